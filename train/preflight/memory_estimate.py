"""An estimate of the device memory that a run needs, for each way of sharing it out over processes.

Weights, gradients and optimiser states follow ZeRO (Rajbhandari et al. 2020, section 3): stage 1 divides the optimiser
states by the number of processes, stage 2 the gradients too, stage 3 (and FSDP2) the weights too, frozen ones included.
Activations are estimated from what a frozen Llama-like layer keeps for its backward pass (see `activation_bytes`);
encoders run without gradient and are counted with their weights only, adapters with their weights and states.
"""

from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from omni.model.encoder_stack import EncoderStack

_FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on each device; `host` is memory of the machine, for each process."""

    strategy: str
    weights: float
    gradients: float
    optimizer: float
    activations: float
    host: float = 0.0

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations


def estimate_memory(model: EncoderStack, num_processes: int, activations: float) -> list[MemoryEstimate]:
    """The estimate for every strategy on `num_processes` devices."""
    weights = float(sum(parameter.numel() * parameter.element_size() for parameter in model.parameters()))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = float(sum(parameter.numel() * parameter.element_size() for parameter in trained))
    adam = 2 * gradients  # torch's AdamW keeps both running means in the dtype of the weights
    master = float(sum(parameter.numel() * _FLOAT32 for parameter in trained))  # DeepSpeed's float32 copy
    share = 1 / num_processes
    gathered = float(_largest_layer(model)) if num_processes > 1 else 0.0  # of divided weights one layer is whole
    divided = weights * share + gathered
    zero_adam = 2 * master + master
    buckets = gradients if num_processes > 1 else 0.0  # in which DDP exchanges gradients
    return [
        MemoryEstimate("single / DDP", weights, gradients + buckets, adam, activations),
        MemoryEstimate("ZeRO-1", weights, gradients, zero_adam * share, activations),
        MemoryEstimate("ZeRO-2", weights, gradients * share, zero_adam * share, activations),
        MemoryEstimate("ZeRO-2 + offload", weights, gradients * share, 0.0, activations, zero_adam * share),
        MemoryEstimate("ZeRO-3", divided, gradients * share, zero_adam * share, activations),
        MemoryEstimate(
            "ZeRO-3 + offload", gathered, gradients * share, 0.0, activations, (weights + zero_adam) * share
        ),
        MemoryEstimate("FSDP2", divided, gradients * share, adam * share, activations),
    ]


def activation_bytes(model: EncoderStack, num_tokens: int, num_answer_tokens: int, checkpointed: bool = False) -> float:
    """What one forward pass of the LLM over `num_tokens` keeps for its backward pass, in bytes.

    A frozen linear layer keeps nothing (its input is needed only for the gradient of its weight). What is kept for each
    token and layer: inputs of the two norms (2 h), query and attention output (2 h), key and value (2 kv), and in the
    MLP gate, its activation and the product's other factor (3 f), so 4 h + 2 kv + 3 f numbers; with h the width, kv the
    width of keys, f that of the MLP. Logits are made at answer positions only: each with a float32 copy and a gradient.
    With checkpointed layers only the input of each is kept (h), and all of one layer at a time.
    """
    assert model.language_model is not None
    llm = model.language_model.model
    config = cast(Any, llm).config.get_text_config()
    width = config.hidden_size
    head = getattr(config, "head_dim", None) or width // config.num_attention_heads
    keys = head * (getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    inner = getattr(config, "intermediate_size", None) or 4 * width  # GPT-2 leaves it out where it is four times h
    size = next(llm.parameters()).element_size()
    layer = 4 * width + 2 * keys + 3 * inner
    kept = config.num_hidden_layers * width + layer if checkpointed else config.num_hidden_layers * layer
    return num_tokens * kept * size + num_answer_tokens * config.vocab_size * (size + 2 * _FLOAT32)


def _largest_layer(model: EncoderStack) -> int:
    """Bytes of the largest layer that is repeated (an entry of a module list): what is gathered at once."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return max(
        (
            sum(parameter.numel() * parameter.element_size() for parameter in layer.parameters())
            for layers in lists
            for layer in layers
        ),
        default=0,
    )
