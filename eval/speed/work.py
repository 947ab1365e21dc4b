"""The least arithmetic that a training step needs, and the speed at which this machine multiplies matrices.

Only necessary work counts: no pads, no logits of other positions, no recomputation, no encoders (which the cache makes
unnecessary). Shapes: N weights, T tokens, D width, V vocabulary.
"""

import time
from collections.abc import Sequence
from typing import Any, cast

import torch

from omni.model import OmniModel
from omni.model.batch import Example, pack
from omni.runtime.fast_linear import linear

MATRIX = {"cpu": 2048, "cuda": 8192}
REPEATS = 10


def shared_tokens(model: OmniModel, examples: Sequence[Example]) -> int:
    """Return the number of tokens that all prompts of a batch begin with, which a pack holds once."""
    with torch.no_grad():
        embedded = model.embed_examples(examples)
    return pack(embedded, share=model.llm.can_share).shared


def needed_flops(model: OmniModel, examples: Sequence[Example], shared: int = 0) -> float:
    """Return the floating-point operations of one step, a multiplication and an addition counted as two.

    LLM: 2 N a token forwards and 2 N backwards where its weights are frozen (6 N in all for weights that are trained).
    Attention, causal: 2 T D forwards and 4 T D backwards for each token and layer, half of what a full square takes.
    Head: 4 D V for each answer token. Adapter: 6 N for each of its media tokens. The first `shared` tokens of all count
    once.
    """
    llm = cast(Any, model.llm.model)
    config = llm.config.get_text_config()
    outside = {id(llm.get_input_embeddings().weight), id(llm.get_output_embeddings().weight)}
    body = [parameter for parameter in llm.parameters() if id(parameter) not in outside]
    per_token = sum((6 if parameter.requires_grad else 4) * parameter.numel() for parameter in body)
    width, layers = config.hidden_size, config.num_hidden_layers
    lengths = [example.length for example in examples]
    answers = sum(example.num_answer_tokens for example in examples)
    media_tokens = sum(example.length - len(example.token_ids) + len(example.media) for example in examples)
    adapter = sum(parameter.numel() for parameter in model.trainable_parameters().values())
    again = shared * (len(lengths) - 1)
    return (
        per_token * (sum(lengths) - again)
        + 6 * layers * width * (sum(length**2 for length in lengths) - shared * again)
        + 4 * width * config.vocab_size * answers
        + 6 * adapter * media_tokens
    )


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the best rate of a large square matrix product, in FLOP/s, over some tries with the fastest library."""
    size = MATRIX[device.type]
    left = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(REPEATS):
        synchronize(device)
        started = time.perf_counter()
        linear(left, left, None)
        synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
