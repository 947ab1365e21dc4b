"""Log-likelihoods of candidate answers: the prefix runs once, all candidates share its keys and values.

Where the LLM can take it, all candidates of a prefix run in one row, as a tree in which common beginnings are computed
once and a mask keeps the branches apart; else each candidate has a row of its own behind a copy of the prefix's cache.
An LLM whose cache cannot be copied (state-space models) reads the prefix again for each candidate.

Shapes: B prefixes, P prefix length, S suffix length, N nodes of a tree, R rows, D width of the LLM, V vocabulary.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from omni.llm.attention_masks import additive_mask
from omni.llm.cross_attention import AttendedMedia, attending
from omni.llm.language_model import LanguageModel
from omni.losses import token_log_likelihoods
from omni.model.batch import LLMInputs
from omni.model.prefix_cache import Prefixes, run_prefixes
from omni.model.token_tree import ROOT, Suffix, TokenTree, grow_trees
from omni.prompts.chat_layout import IGNORED_LABEL

NORMALIZATIONS = ("sum", "mean", "bytes")
_MAX_TOKENS = 1024  # suffix tokens in one forward pass, whose logits are in memory at once
_MAX_NODES = 512  # of one tree: the attention of a row grows with the square of it
_LOGIT_ROWS = 128  # rows of the vocabulary's width that are in float32 at once


def score_suffixes(
    llm: LanguageModel, batch: LLMInputs, suffixes: Sequence[Sequence[Suffix]], media: AttendedMedia | None = None
) -> list[Tensor]:
    """Summed log-likelihood in nats of each suffix after its prefix: for each prefix float32 [num_suffixes].

    `batch` holds the prefixes, padded on the left so that all end together; `media` what the layers look at.
    """
    mask = batch.attention_mask
    assert mask is not None
    if not llm.can_copy_cache or _crosses_switch(llm, mask, suffixes):
        return _score_whole(llm, batch, suffixes, media)
    window = llm.attention_window
    fits = window is None or mask.shape[1] + _MAX_NODES + max(len(s) for row in suffixes for s in row) < window
    branches = fits and llm.can_branch
    # where the length counts, a beginning by itself is computed otherwise than in a longer conversation
    ran = run_prefixes(llm, batch, media, may_share=branches and not llm.length_switches)
    return (_score_trees if branches else _score_apart)(llm, ran, suffixes)


def _crosses_switch(llm: LanguageModel, mask: Tensor, suffixes: Sequence[Sequence[Suffix]]) -> bool:
    """Whether a conversation is computed otherwise with a candidate than without, so that its cache is of no use."""
    if not llm.length_switches:
        return False
    ends = [
        (length, length + len(suffix))
        for length, row in zip(mask.sum(1).tolist(), suffixes, strict=True)
        for suffix in row
    ]
    return any(bisect_left(llm.length_switches, one) != bisect_left(llm.length_switches, end) for one, end in ends)


# --- all candidates of a prefix in one row ---


@dataclass(frozen=True)
class _Row:
    prefix: int
    members: list[int]  # indices of the prefix's suffixes
    tree: TokenTree


def _score_trees(llm: LanguageModel, prefixes: Prefixes, suffixes: Sequence[Sequence[Suffix]]) -> list[Tensor]:
    scores = [torch.zeros(len(found), device=llm.device) for found in suffixes]
    rows = [_Row(i, *grown) for i, found in enumerate(suffixes) for grown in grow_trees(found, _MAX_NODES)]
    rows.sort(key=lambda row: len(row.tree), reverse=True)
    for chunk in _chunks(rows):
        for row, values in zip(chunk, _score_tree_rows(llm, prefixes, chunk), strict=True):
            scores[row.prefix][row.members] = values
    return scores


def _chunks(rows: list[_Row]) -> Iterator[list[_Row]]:
    """Rows, the largest first, in parts whose padded size is within bounds."""
    while rows:
        count = max(1, _MAX_TOKENS // max(1, len(rows[0].tree)))
        yield rows[:count]
        rows = rows[count:]


def _score_tree_rows(llm: LanguageModel, prefixes: Prefixes, rows: Sequence[_Row]) -> list[Tensor]:
    index = torch.tensor([row.prefix for row in rows], device=llm.device)
    size = len(rows[0].tree)
    if size == 0:  # every candidate is a single token: the prefix's own logits say it all
        none = prefixes.logits[:0]
        return [_path_sums(row.tree, prefixes.logits[row.prefix], none) for row in rows]
    token_ids = torch.zeros(len(rows), size, dtype=torch.long)
    depths = torch.zeros(len(rows), size, dtype=torch.long)
    visible = torch.zeros(len(rows), size, size, dtype=torch.bool)
    for r, row in enumerate(rows):
        count = len(row.tree)
        token_ids[r, :count] = torch.tensor(row.tree.token_ids, dtype=torch.long)
        depths[r, :count] = torch.tensor(row.tree.depths, dtype=torch.long)
        visible[r, :count, :count] = row.tree.ancestors()
    mask = prefixes.mask[index].bool()
    visible = torch.cat([mask[:, None].expand(-1, size, -1), visible.to(llm.device)], dim=2)
    keep = torch.arange(size, device=llm.device) < torch.tensor([[len(row.tree)] for row in rows], device=llm.device)
    with prefixes.attending(index):
        logits = llm(
            llm.embed(token_ids),
            keep,
            attention_mask=additive_mask(visible, llm.dtype)[:, None],
            position_ids=mask.sum(1, keepdim=True) + depths.to(llm.device),
            past_key_values=prefixes.cache_of(index),
            use_cache=True,
        ).logits
    nodes = logits.split([len(row.tree) for row in rows])
    return [_path_sums(row.tree, prefixes.logits[row.prefix], found) for row, found in zip(rows, nodes, strict=True)]


def _path_sums(tree: TokenTree, root: Tensor, nodes: Tensor) -> Tensor:
    """Log-likelihood of each suffix of a tree, given the logits of the root [V] and of the nodes [N, V].

    They are not joined: a copy of the logits of all nodes would be the largest thing in memory.
    """
    scores = torch.zeros(len(tree.paths), device=root.device)
    steps = [(i, node, token_id) for i, path in enumerate(tree.paths) for node, token_id in path]
    for logits, first, chosen in (
        (root[None], ROOT, [step for step in steps if step[1] == ROOT]),
        (nodes, 0, [step for step in steps if step[1] != ROOT]),
    ):
        if chosen:
            totals = torch.cat([rows.float().logsumexp(-1) for rows in logits.split(_LOGIT_ROWS)])
            suffix, node, token_id = torch.tensor(chosen, device=logits.device).T
            scores.index_add_(0, suffix, logits[node - first, token_id].float() - totals[node - first])
    return scores


# --- a row for each candidate ---


def _score_apart(llm: LanguageModel, prefixes: Prefixes, suffixes: Sequence[Sequence[Suffix]]) -> list[Tensor]:
    scores = [torch.zeros(len(found), device=llm.device) for found in suffixes]
    rows = [(i, j) for i, found in enumerate(suffixes) for j in range(len(found))]
    rows.sort(key=lambda row: len(suffixes[row[0]][row[1]]), reverse=True)
    while rows:
        count = max(1, _MAX_TOKENS // max(1, len(suffixes[rows[0][0]][rows[0][1]])))
        chunk, rows = rows[:count], rows[count:]
        index = torch.tensor([i for i, _ in chunk], device=llm.device)
        found = _score_rows(llm, prefixes, index, [suffixes[i][j] for i, j in chunk])
        for (i, j), value in zip(chunk, found, strict=True):
            scores[i][j] = value
    return scores


def _score_rows(llm: LanguageModel, prefixes: Prefixes, index: Tensor, suffixes: Sequence[Suffix]) -> Tensor:
    """Scores [R] of suffix r behind prefix `index[r]`."""
    token_ids = pad_sequence([suffix.token_ids for suffix in suffixes], batch_first=True).to(llm.device)
    labels = pad_sequence([suffix.labels for suffix in suffixes], batch_first=True, padding_value=IGNORED_LABEL)
    labels = labels.to(llm.device)
    targets = labels.clamp(min=0)
    values = torch.zeros(labels.shape, device=llm.device)
    values[:, 0] = token_log_likelihoods(prefixes.logits[index], targets[:, 0])
    if token_ids.shape[1] > 1:
        real = pad_sequence([torch.ones(len(suffix), dtype=torch.long) for suffix in suffixes], batch_first=True)
        prefix_mask = prefixes.mask[index]
        mask = torch.cat([prefix_mask, real[:, :-1].to(llm.device)], dim=1)
        keep = labels[:, 1:] != IGNORED_LABEL
        with prefixes.attending(index):
            output = llm(
                llm.embed(token_ids[:, :-1]),
                keep,
                attention_mask=mask,
                position_ids=(mask.cumsum(-1) - 1)[:, prefix_mask.shape[1] :],
                past_key_values=prefixes.cache_of(index),
                use_cache=True,
            )
        values[:, 1:][keep] = token_log_likelihoods(output.logits, targets[:, 1:][keep])
    return (values * (labels != IGNORED_LABEL)).sum(1)


# --- the prefix again for each candidate ---


def _score_whole(
    llm: LanguageModel, batch: LLMInputs, suffixes: Sequence[Sequence[Suffix]], media: AttendedMedia | None
) -> list[Tensor]:
    prefix_mask = batch.attention_mask
    assert prefix_mask is not None
    scores = [torch.zeros(len(found), device=llm.device) for found in suffixes]
    for i, found in enumerate(suffixes):
        for j, suffix in enumerate(found):  # one by one: pads would change what a recurrent layer remembers
            labels = suffix.labels.to(llm.device)
            # the last token too, which predicts nothing: an LLM may compute positions by the length of the whole
            embeds = torch.cat([batch.inputs_embeds[i], llm.embed(suffix.token_ids)])
            mask = torch.cat([prefix_mask[i], prefix_mask.new_ones(len(suffix))])[None]
            index = torch.tensor([i], device=llm.device)
            with attending(None if media is None else media.rows(index)):
                logits = llm(
                    embeds[None],
                    len(suffix) + 1,
                    attention_mask=mask,
                    position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
                    use_cache=False,
                ).logits[0, :-1]
            counts = labels != IGNORED_LABEL
            scores[i][j] = token_log_likelihoods(logits[counts], labels[counts]).sum()
    return scores


def normalize_scores(
    scores: Tensor, suffixes: Sequence[Suffix], candidates: Sequence[str], normalization: str
) -> Tensor:
    """Scores by `sum`, per answer token (`mean`) or per UTF-8 byte of the candidate (`bytes`)."""
    check_normalization(normalization)
    if normalization == "sum":
        return scores
    if normalization == "mean":
        counts = [suffix.num_counted for suffix in suffixes]
    else:
        counts = [len(candidate.encode()) for candidate in candidates]
    return scores / scores.new_tensor(counts).clamp(min=1)


def check_normalization(normalization: str) -> None:
    """Raise ValueError unless `normalize_scores` knows `normalization`."""
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization {normalization!r} is unknown; choose one of {list(NORMALIZATIONS)}")
