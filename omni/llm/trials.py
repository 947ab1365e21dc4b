"""Trials of a causal LM: whether it honours packed rows, masks of trees and copied caches, asked with a few tokens.

Architectures differ in what they do with position ids and four-dimensional masks, and some silently ignore them (BLOOM
makes its positions from the padding mask). A wrong answer there would be a wrong loss or a wrong score, so nothing is
concluded from the architecture's name.

Shapes: L length, D width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from omni.llm.attention_masks import additive_mask

PackArguments = Callable[[Sequence[int]], dict[str, Any]]

UNSUPPORTED = (TypeError, ValueError, IndexError, RuntimeError)  # what models raise for inputs they cannot take


@torch.no_grad()
def honours_packing(model: nn.Module, embeds: Tensor, arguments: PackArguments) -> bool:
    """Return whether samples in one row, told apart by positions that start again at 0, are as if each were alone.

    `embeds` [12, D] are any embeddings of tokens; `arguments` gives what the model is called with for given lengths.
    """
    first, second, other = embeds[:3], embeds[3:8], embeds[8:11]
    try:
        packed = [_packed_logits(model, [before, second], arguments)[len(before) :] for before in (first, other)]
        alone = _logits(model, second)
    except UNSUPPORTED:
        return False
    # what stands before must not matter at all; being packed may matter by rounding
    return close(packed[0], packed[1]) and close(packed[0], alone)


@torch.no_grad()
def honours_sharing(
    model: nn.Module, embeds: Tensor, arguments: Callable[[Sequence[int], int], dict[str, Any]]
) -> bool:
    """Return whether samples in one row see a beginning that stands there once, and still not each other.

    `embeds` [12, D] are any embeddings of tokens; `arguments` gives what the model is called with for given lengths
    behind so many shared tokens.
    """
    shared, first, second = embeds[:3], embeds[3:6], embeds[6:11]
    positions = torch.tensor([[*range(3), *range(3, 6), *range(3, 8)]], device=embeds.device)
    try:
        inputs = arguments([len(first), len(second)], len(shared))
        row = torch.cat([shared, first, second])
        packed = _run(model, row, position_ids=positions, use_cache=False, **inputs).logits[0]
        alone = [_logits(model, torch.cat([shared, sample]))[len(shared) :] for sample in (first, second)]
    except UNSUPPORTED:
        return False
    return close(packed[len(shared) :], torch.cat(alone))


@torch.no_grad()
def honours_tree_mask(model: nn.Module, embeds: Tensor) -> bool:
    """Return whether continuations of one cached prefix can stand in one row, kept apart by a four-dimensional mask."""
    prefix, branches = embeds[:4], embeds[4:6]
    visible = torch.tensor([[True] * 4 + [True, False], [True] * 4 + [False, True]], device=embeds.device)
    try:
        cache = _run(model, prefix, use_cache=True).past_key_values
        tree = _run(
            model,
            branches,
            attention_mask=additive_mask(visible, embeds.dtype)[None, None],
            position_ids=torch.full((1, 2), 4, device=embeds.device),
            past_key_values=cache,
            use_cache=True,
        ).logits[0]
        alone = [_logits(model, torch.cat([prefix, branch[None]]))[-1] for branch in branches]
    except UNSUPPORTED:
        return False
    return close(tree, torch.stack(alone))


@torch.no_grad()
def honours_copied_cache(model: nn.Module, embeds: Tensor) -> bool:
    """Return whether the cache of a batch of prefixes can be copied row by row, each copy to go on with several tokens.

    Mamba and other state-space models, and the layers of that kind in hybrids (LFM2, Qwen3-Next, Jamba), cannot.
    """
    prefixes, suffixes = embeds[:6].reshape(2, 3, -1), embeds[6:12].reshape(3, 2, -1)
    rows = torch.tensor([1, 0, 1], device=embeds.device)
    try:
        cache = model(inputs_embeds=prefixes, use_cache=True).past_key_values
        cache.batch_select_indices(rows)
        found = model(
            inputs_embeds=suffixes,
            attention_mask=torch.ones(3, 5, dtype=torch.long, device=embeds.device),
            position_ids=torch.tensor([[3, 4]] * 3, device=embeds.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
        whole = model(inputs_embeds=torch.cat([prefixes[rows], suffixes], dim=1), use_cache=False).logits[:, 3:]
    except (*UNSUPPORTED, AttributeError):  # no such output, or a cache without that method
        return False
    return close(found, whole)


def _run(model: nn.Module, embeds: Tensor, **inputs: Any) -> Any:
    return model(inputs_embeds=embeds[None], **inputs)


def _logits(model: nn.Module, embeds: Tensor) -> Tensor:
    return _run(model, embeds, use_cache=False).logits[0]


def _packed_logits(model: nn.Module, samples: list[Tensor], arguments: PackArguments) -> Tensor:
    positions = torch.cat([torch.arange(len(sample), device=sample.device) for sample in samples])[None]
    inputs = arguments([len(sample) for sample in samples])
    return _run(model, torch.cat(samples), position_ids=positions, use_cache=False, **inputs).logits[0]


def close(found: Tensor, expected: Tensor) -> bool:
    """Return whether logits are equal but for rounding.

    That is to a thousandth of the spread of the logits, and in 16 bits to a tenth of it in the square mean.

    Seeing one token too many moves logits by more than half their spread. In 16 bits another kernel may move single
    ones among millions by a tenth and more, so these do not count.
    """
    difference = (found.float() - expected.float()) / expected.float().std()
    if found.dtype == torch.float32:
        return bool(difference.abs().max() <= 1e-3)
    return bool(difference.square().mean().sqrt() <= 0.1)
