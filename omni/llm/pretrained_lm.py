"""A causal LM of transformers, frozen: its sizes, its embeddings, and how it is called.

Shapes: B batch, L sequence length, D width of the LLM, V vocabulary, K kept positions.
"""

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from omni.config import LLMConfig
from omni.llm.identity import LLMIdentity, text_identity, weights_identity
from omni.llm.lengths import attention_window, context_length, length_switches
from omni.runtime.fast_linear import speed_up_linears

_NUM_TRIED = 6  # tokens


class PretrainedLM(nn.Module):
    """A causal LM of transformers with its tokenizer, as it was loaded.

    Args:
        model: the model of transformers, whose weights are frozen here.
        tokenizer: its tokenizer.
        config: how it was loaded.
    """

    def __init__(self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, config: LLMConfig) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.config = config
        self.drops_out = False  # the mode that `train` was called with; there may be dropout to switch on
        self.keeps_logits = True  # whether it makes logits only where it is told to; some architectures cannot
        self.own_positions = False  # whether it counts positions in a way of its own, and takes none
        self.files_identity: str | None = None  # of the weights in its files, if it was loaded from some
        self.generation_defaults = _take_generation_defaults(model)
        model.requires_grad_(False)
        speed_up_linears(model)

    def forward(self, inputs_embeds: Tensor, keep: Tensor | int, **inputs: Any) -> Any:
        """Run the LLM; logits only where `keep` [B, L] is True (giving [K, V]), or at the last `keep` positions.

        `inputs` go to the transformers model: attention_mask, position_ids, past_key_values, use_cache.
        """
        inputs = self.accepted(inputs)
        if self.keeps_logits:
            return self.model(inputs_embeds=inputs_embeds, logits_to_keep=keep, **inputs)
        output = self.model(inputs_embeds=inputs_embeds, **inputs)
        if isinstance(keep, Tensor):
            output.logits = output.logits[keep]
        elif keep:
            output.logits = output.logits[:, -keep:]
        return output

    def accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call without those that this LLM makes itself."""
        return {name: value for name, value in inputs.items() if not (self.own_positions and name == "position_ids")}

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, which frozen layers never leave, and note `mode`."""
        super().train(False)
        self.drops_out = mode
        return self

    # --- embeddings ---

    @property
    def num_embeddings(self) -> int:
        """Number of tokens that have an embedding."""
        return self._embedding.weight.shape[0]  # a LoRA around the table has its weight, and not its other attributes

    def check_tokens(self, token_ids: Sequence[int]) -> None:
        """Raise ValueError, with its name, for a token that the LLM has no embedding for."""
        largest = max(token_ids, default=0)
        if largest >= self.num_embeddings:
            token = self.tokenizer.convert_ids_to_tokens(largest)
            raise ValueError(
                f"the LLM has no embedding for the token {token!r} ({largest}), which was added to its tokenizer; it "
                f"has {self.num_embeddings}: add rows to its embeddings (resize_token_embeddings), or remove the token"
            )

    def embed(self, token_ids: Tensor) -> Tensor:
        """Return the input embeddings [L, D] of token ids [L]."""
        return self._embedding(token_ids.to(self.device))

    def sample_embeddings(self, count: int) -> Tensor:
        """Return the embeddings [count or less, D] of tokens from all over the vocabulary."""
        size = self._embedding.weight.shape[0]
        return self.embed(torch.arange(0, size, max(1, size // count))[:count])

    @property
    def embedding_rms(self) -> float:
        """Root mean square of the input embeddings: the scale at which the LLM expects tokens."""
        # through the module, since some (Gemma 3) scale what is in the table; a sample, since tables can be huge
        with torch.no_grad():
            return self.sample_embeddings(4096).float().pow(2).mean().sqrt().item()

    @property
    def hidden_size(self) -> int:
        """Width D of the input embeddings."""
        return self._embedding.weight.shape[1]

    @property
    def device(self) -> torch.device:
        return self._embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self._embedding.weight.dtype

    @property
    def _embedding(self) -> nn.Embedding:
        return cast(Any, self.model).get_input_embeddings()

    # --- what transformers says of it ---

    @property
    def causal_lm(self) -> nn.Module:
        """The model of transformers, without PEFT's wrapper."""
        return self.model

    @property
    def text_config(self) -> Any:
        """The configuration of transformers, of the text part where the model has several."""
        return cast(Any, self.model).config.get_text_config()

    @property
    def num_layers(self) -> int:
        """Number of its layers."""
        return int(self.text_config.num_hidden_layers)

    @functools.cached_property
    def attention_window(self) -> int | None:
        """How far back local attention layers look; None = everywhere."""
        return attention_window(self.text_config)

    @functools.cached_property
    def length_switches(self) -> tuple[int, ...]:
        """Lengths beyond which the LLM computes all positions of a conversation otherwise, in their order."""
        return length_switches(self.text_config)

    @functools.cached_property
    def context_length(self) -> int:
        """Most tokens, media tokens included, that the LLM can read; found by a short run when first asked."""
        runs = self.config.attention != "flash_attention_2" or self.device.type != "cpu"
        return context_length(self.causal_lm, self.text_config, self.sample_embeddings(_NUM_TRIED) if runs else None)

    @property
    def end_token_ids(self) -> list[int]:
        """Ids of the tokens at which the LLM's own generation settings stop; some LLMs have several."""
        settings = getattr(self.causal_lm, "generation_config", None)
        found = None if settings is None else settings.eos_token_id
        return [] if found is None else [found] if isinstance(found, int) else [*found]

    @functools.cached_property
    def identity(self) -> LLMIdentity:
        """What the LLM is told by, as it was when first asked: it is frozen."""
        return LLMIdentity(self._embeddings_identity(), weights_identity(self.model), self.files_identity)

    @functools.cached_property
    def text_identity(self) -> str:
        """16 hex digits that change with the tokenizer and the chat template."""
        return text_identity(self.tokenizer)

    def _embeddings_identity(self) -> str:
        """16 hex digits of the architecture and a sample of its embeddings in bfloat16."""
        weight = self._embedding.weight.detach()
        rows = weight[:: max(1, weight.shape[0] // 64)].to("cpu", torch.bfloat16)
        model_type = cast(Any, self.model).config.model_type
        shape = [model_type, weight.shape[1], self.text_config.num_hidden_layers, weight.shape[0]]
        digest = hashlib.sha256(json.dumps(shape).encode())
        digest.update(rows.contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]


# These belong to the LLM, however answers are chosen.
_KEPT_FOR_GENERATION = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "cache_implementation",
)


def _take_generation_defaults(model: nn.Module) -> GenerationConfig:
    """Take what the LLM's folder says of generation out of the model, and return it.

    transformers would put it under whatever `generate` is called with, so that a greedy answer would not be one.
    """
    found: GenerationConfig | None = getattr(model, "generation_config", None)  # some models cannot generate
    if found is None:
        return GenerationConfig()
    kept = {name: getattr(found, name, None) for name in _KEPT_FOR_GENERATION}
    cast(Any, model).generation_config = GenerationConfig(**kept)
    return found
