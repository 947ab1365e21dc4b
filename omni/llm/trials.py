"""Trials of a causal LM: whether it honours packed rows, masks of trees and copied caches, asked with a few tokens.

Architectures differ in what they do with position ids and four-dimensional masks, and some silently ignore them (BLOOM
makes its positions from the padding mask). A wrong answer there would be a wrong loss or a wrong score, so nothing is
concluded from the architecture's name.

Shapes: L length, D width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from omni.llm.attention_masks import additive_mask

PackArguments = Callable[[Sequence[int]], dict[str, Any]]

_NUM_GENERATED = 2
# what models raise for inputs they cannot take; some want token ids next to embeddings
UNSUPPORTED = (TypeError, ValueError, IndexError, RuntimeError, AttributeError, KeyError)


@torch.no_grad()
def honours_packing(model: nn.Module, embeds: Tensor, arguments: PackArguments) -> bool:
    """Return whether samples in one row, told apart by positions that start again at 0, are as if each were alone.

    `embeds` [12 or more, D] are any embeddings of tokens, more than a window of local attention; `arguments` gives what
    the model is called with for given lengths.
    """
    first, second, other = embeds[:3], embeds[3:-4], embeds[-4:-1]
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

    `embeds` [12 or more, D] are any embeddings of tokens, more than a window of local attention; `arguments` gives what
    the model is called with for given lengths behind so many shared tokens.
    """
    shared, first, second = embeds[:3], embeds[3:6], embeds[6:]
    positions = torch.tensor([[*range(3), *range(3, 6), *range(3, 3 + len(second))]], device=embeds.device)
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
    `embeds` [12 or more, D] are any embeddings of tokens, more than a window of local attention.
    """
    prefixes = torch.stack([embeds, embeds.flip(0)])
    suffixes = embeds[:6].reshape(3, 2, -1)
    length = len(embeds)
    rows = torch.tensor([1, 0, 1], device=embeds.device)
    try:
        cache = model(inputs_embeds=prefixes.clone(), use_cache=True).past_key_values
        cache.batch_select_indices(rows)
        found = model(
            inputs_embeds=suffixes.clone(),
            attention_mask=torch.ones(3, length + 2, dtype=torch.long, device=embeds.device),
            position_ids=torch.tensor([[length, length + 1]] * 3, device=embeds.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
        whole = model(inputs_embeds=torch.cat([prefixes[rows], suffixes], dim=1), use_cache=False).logits[:, length:]
    except UNSUPPORTED:  # no such output, or a cache without that method
        return False
    return close(found, whole)


@torch.no_grad()
def honours_padding(model: nn.Module, embeds: Tensor) -> bool:
    """Return whether rows of different lengths in one batch are as if each were alone, pads before or behind them.

    Recurrent layers that take no mask (RWKV) remember pads. `embeds` [12 or more, D] are any embeddings of tokens.
    """
    rows = [embeds[:3], embeds[3:], embeds[2:8]]
    try:
        alone = [_logits(model, row) for row in rows]
        for side in ("left", "right"):
            padded, mask = _padded(rows, side)
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            found = model(inputs_embeds=padded, attention_mask=mask, position_ids=positions, use_cache=False).logits
            if not all(close(found[i][mask[i].bool()], alone[i]) for i in range(len(rows))):
                return False
    except UNSUPPORTED:
        return False
    return True


@torch.no_grad()
def honours_generation(model: nn.Module, embed: Callable[[Tensor], Tensor], rows: Sequence[Tensor]) -> bool:
    """Return whether transformers' `generate` continues embeddings, and with its cache, as reading all again would.

    Args:
        model: the LLM.
        embed: from token ids [L] to embeddings [L, D].
        rows: the embeddings [L, D] of each row of one batch, padded on the left where they differ in length.
    """
    embeds, mask = _padded(rows, "left")
    try:
        output = cast(Any, model).generate(
            inputs_embeds=embeds.clone(),
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=_NUM_GENERATED,
            min_new_tokens=_NUM_GENERATED,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )
        for i, row in enumerate(rows):
            whole = torch.cat([row, embed(output.sequences[i, :-1])])
            again = _logits(model, whole)[-_NUM_GENERATED:]
            if not close(torch.stack([step[i] for step in output.logits]), again):
                return False
    except UNSUPPORTED:  # no `generate`, or a cache that it cannot make
        return False
    return True


def _padded(rows: Sequence[Tensor], side: str) -> tuple[Tensor, Tensor]:
    """Rows [L, D] as one batch [B, L, D] with its mask [B, L]."""
    masks = [torch.ones(len(row), dtype=torch.long, device=row.device) for row in rows]
    padded, mask = (pad_sequence(found, batch_first=True, padding_side=side) for found in ([*rows], masks))
    return padded, mask


def _run(model: nn.Module, embeds: Tensor, **inputs: Any) -> Any:
    return model(inputs_embeds=embeds[None].clone(), **inputs)  # CTRL writes into them


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
