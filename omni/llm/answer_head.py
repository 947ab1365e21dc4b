"""From hidden states to the loss of the answer tokens, without ever holding the logits of all of them.

At a vocabulary of 256,000 the logits of 4,000 answer tokens are 4 GB in float32, their gradient as much again. Here
they exist for a chunk of positions at a time. For a frozen linear head the gradient is taken in the forward pass, while
the chunk's logits are there: nothing is computed twice and only [K, D] is kept. That is the idea of Liger Kernel's
fused linear cross-entropy (Hsu et al. 2024, arXiv:2410.10989) and of Cut Cross-Entropy (Wijmans et al. 2024,
arXiv:2411.09009). Any other head (LoRA on it, quantised, sharded) is called as the module it is, and the backward pass
computes its chunks again.

Shapes: B batch, L length, K answer positions, C positions of a chunk, D width, V vocabulary.
"""

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omni.losses import token_log_likelihoods
from omni.runtime.fast_linear import FastLinear, linear

CHUNK_ELEMENTS = 1 << 26  # logits in memory at once: 256 MiB in float32

Contexts = Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]]


@dataclass(frozen=True)
class LogitTransform:
    """Change of the head's output by an architecture: multiplied (Cohere, Granite), or soft-capped (Gemma 2)."""

    scale: float = 1.0
    softcap: float | None = None

    def __call__(self, raw: Tensor) -> Tensor:
        """Turn the output of the head into logits, in the dtype of the model as the model itself does it."""
        logits = raw if self.scale == 1.0 else raw * self.scale
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap

    def chain(self, gradient: Tensor, logits: Tensor) -> Tensor:
        """Turn the gradient with respect to logits into that of the head's output; changes `gradient` in place."""
        if self.softcap is not None:
            gradient.mul_(1 - (logits.float() / self.softcap).square_())
        return gradient if self.scale == 1.0 else gradient.mul_(self.scale)


@dataclass(frozen=True)
class AnswerHead:
    """The two halves of a causal LM: what gives hidden states, and what makes logits of them."""

    model: nn.Module  # the causal LM of transformers, without PEFT's wrapper
    transform: LogitTransform

    def hidden_states(self, inputs_embeds: Tensor, **inputs: Any) -> Tensor:
        """Turn inputs of the LLM [B, L, D] into what its head reads, [B, L, D]."""
        return cast(Any, self.model).get_decoder()(inputs_embeds=inputs_embeds, **inputs)[0]

    def log_likelihoods(self, hidden: Tensor, targets: Tensor, *, contexts: Contexts | None = None) -> Tensor:
        """Return the log-likelihood in nats of each target [K] after the hidden states [K, D]: [K] in float32.

        `contexts` is torch's `context_fn` for chunks that are computed again in the backward pass.
        """
        head = cast(Any, self.model).get_output_embeddings()
        if not _is_frozen_linear(head):
            return self._checkpointed(head, hidden, targets, contexts)
        weight, bias = head.weight, head.bias
        if torch.is_autocast_enabled(hidden.device.type):  # once, not for every chunk: autocast keeps no frozen weights
            dtype = torch.get_autocast_dtype(hidden.device.type)
            weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
        return cast(Tensor, _FrozenLinearLogLikelihoods.apply(hidden, weight, bias, targets, self.transform))

    def fused_nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the summed negative log-likelihood in nats, by Liger Kernel's CUDA kernel; see `check_fused_loss`."""
        if len(targets) == 0:
            return hidden.float().sum()  # 0; the kernel would divide by their number
        from liger_kernel.transformers import (  # pyright: ignore[reportMissingImports]
            LigerFusedLinearCrossEntropyLoss,
        )

        head = cast(Any, self.model).get_output_embeddings()
        if not _is_frozen_linear(head):
            raise ValueError("train.fused_loss needs a frozen, unquantised, unsharded linear head: set it to false")
        scale, bias = self.transform.scale, head.bias
        if scale != 1.0:  # s (W h + b) = W (s h) + s b
            hidden, bias = hidden * scale, None if bias is None else bias * scale
        loss = LigerFusedLinearCrossEntropyLoss(reduction="sum", softcap=self.transform.softcap)
        return loss(head.weight, hidden, targets, bias).float()

    def _checkpointed(self, head: nn.Module, hidden: Tensor, targets: Tensor, contexts: Contexts | None) -> Tensor:
        def of_chunk(chunk: Tensor, target: Tensor) -> Tensor:
            return token_log_likelihoods(self.transform(head(chunk)), target)

        size = rows_of_a_chunk(cast(Any, self.model).config.get_text_config().vocab_size)
        options: dict[str, Any] = {} if contexts is None else {"context_fn": contexts}
        chunks = zip(hidden.split(size), targets.split(size), strict=True)
        return torch.cat(
            [cast(Tensor, checkpoint(of_chunk, *chunk, use_reentrant=False, **options)) for chunk in chunks]
        )


def rows_of_a_chunk(vocabulary: int) -> int:
    """Return how many positions have their logits in memory at once."""
    return max(1, CHUNK_ELEMENTS // vocabulary)


def check_fused_loss(device: torch.device) -> None:
    """Raise ValueError where Liger Kernel's loss cannot run: not installed, or no CUDA device."""
    if importlib.util.find_spec("liger_kernel") is None:
        raise ValueError("train.fused_loss needs liger-kernel: pip install 'omni[flash]'")
    if device.type != "cuda":
        raise ValueError(
            f"train.fused_loss runs on CUDA devices only, and this run is on {device.type}; leave it false"
        )


def _is_frozen_linear(head: nn.Module) -> bool:
    """Whether a head computes the product with its weight and no more, and the whole weight is here and not trained.

    A class of linear layers says so by leaving `forward` as it is, an instance by having no hooks. Sharding strategies
    leave a piece (FSDP2: a DTensor; ZeRO-3: an empty tensor) and fetch the rest when the module is called, so their
    heads have to be called.
    """
    if type(head).forward not in (nn.Linear.forward, FastLinear.forward):
        return False
    if head._forward_hooks or head._forward_pre_hooks or "forward" in vars(head):
        return False
    if type(head.weight) is not nn.Parameter or head.weight.ndim != 2:
        return False
    return head.weight.numel() > 0 and not any(parameter.requires_grad for parameter in head.parameters())


class _FrozenLinearLogLikelihoods(torch.autograd.Function):
    """Log-likelihoods after a frozen linear head, with the gradient made in the forward pass.

    With p = softmax(logits) and y one-hot, the gradient of a log-likelihood with respect to the logits is y - p.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, transform: LogitTransform
    ) -> Tensor:
        found = hidden.new_empty(len(hidden), dtype=torch.float32)
        gradients = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        size = rows_of_a_chunk(len(weight))
        for start in range(0, len(hidden), size):
            rows, target = slice(start, start + size), targets[start : start + size, None]
            logits = transform(linear(hidden[rows], weight, bias))
            values = logits.log_softmax(-1, dtype=torch.float32)
            found[rows] = values.gather(1, target)[:, 0]
            if gradients is not None:
                gradient = values.exp_()
                gradient.scatter_add_(1, target, gradient.new_full(target.shape, -1.0))  # p - y
                gradients[rows] = linear(transform.chain(gradient, logits).to(weight.dtype), weight.t(), None).neg_()
        if gradients is not None:
            ctx.save_for_backward(gradients)
        return found

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (gradients,) = ctx.saved_tensors
        return gradients * grad_outputs[0].to(gradients.dtype)[:, None], None, None, None, None


@torch.enable_grad()  # as in training: without gradients bitsandbytes rearranges its weights in place on a CPU
def find_answer_head(model: nn.Module, embeds: Tensor) -> AnswerHead | None:
    """Return the halves of a causal LM, or None where hidden states and head alone do not give its logits.

    Found out by trying, since architectures differ in what they do before the head (Falcon-H1 multiplies) and after it.
    The head's output is replaced by known numbers, large enough that a soft cap shows. `embeds` [L, D] are those of any
    tokens.
    """
    causal_lm = cast(Any, model)
    head, decoder = causal_lm.get_output_embeddings(), causal_lm.get_decoder()
    if head is None or decoder is model:
        return None
    seen: list[Tensor] = []
    probe = torch.empty(0)

    def replace_output(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        nonlocal probe
        seen.append(arguments[0].detach())
        probe = torch.linspace(-200, 200, output.shape[-1], device=output.device).to(output.dtype).expand_as(output)
        return probe.clone()

    positions = torch.arange(len(embeds), device=embeds.device)[None]
    inputs: dict[str, Any] = {
        "inputs_embeds": embeds.detach()[None].requires_grad_(),
        "attention_mask": torch.ones_like(positions),
        "position_ids": positions,
        "use_cache": False,
    }
    handle = head.register_forward_hook(replace_output)
    try:
        logits = causal_lm(**inputs).logits.detach()
        hidden = decoder(**inputs)[0].detach()
    except (TypeError, ValueError, IndexError, RuntimeError, AttributeError):  # what models raise for odd inputs
        return None
    finally:
        handle.remove()
    if len(seen) != 1 or seen[0].shape != hidden.shape or not torch.allclose(seen[0], hidden, rtol=1e-3, atol=1e-5):
        return None
    for transform in _candidates(causal_lm.config.get_text_config()):
        expected = transform(probe)
        if logits.shape == expected.shape and torch.allclose(logits.float(), expected.float(), rtol=1e-5, atol=1e-6):
            return AnswerHead(model, transform)
    return None


def _candidates(config: Any) -> list[LogitTransform]:
    """Return the transforms that architectures of transformers have, with the numbers of this config."""
    found = [LogitTransform()]
    if softcap := getattr(config, "final_logit_softcapping", None):  # Gemma 2 and later
        found.append(LogitTransform(softcap=float(softcap)))
    if scale := getattr(config, "logit_scale", None):  # Cohere (Command R)
        found.append(LogitTransform(scale=float(scale)))
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        found.append(LogitTransform(scale=1 / float(divisor)))
    return found
