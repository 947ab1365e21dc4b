"""Log-likelihoods of candidate answers: the prefix runs once, all candidates share its keys and values.

Shapes: B prefixes, P prefix length, S suffix length, R rows (pairs of a prefix and a candidate), D width of the LLM.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from omni.batching import EmbeddedExample, pad
from omni.conversation import IGNORED_LABEL
from omni.llm import LanguageModel
from omni.losses import token_log_likelihoods

NORMALIZATIONS = ("sum", "mean", "bytes")
_MAX_TOKENS = 2048  # suffix tokens in one forward pass, whose logits are in memory at once


@dataclass(frozen=True)
class Suffix:
    """What follows a shared prefix for one candidate."""

    token_ids: Tensor  # [S] int64
    labels: Tensor  # [S], IGNORED_LABEL where a token does not count

    def __len__(self) -> int:
        return len(self.token_ids)


def score_suffixes(
    llm: LanguageModel, prefixes: Sequence[EmbeddedExample], suffixes: Sequence[Sequence[Suffix]]
) -> list[Tensor]:
    """Summed log-likelihood in nats of each suffix after its prefix: for each prefix a tensor [num_suffixes]."""
    batch = pad(prefixes, side="left")  # all prefixes end together, so that suffixes start at one position
    assert batch.attention_mask is not None
    output = llm(
        batch.inputs_embeds,
        1,
        attention_mask=batch.attention_mask,
        position_ids=batch.position_ids,
        use_cache=True,
    )
    first_logits = output.logits[:, -1]  # [B, V]
    scores = [torch.zeros(len(found), device=llm.device) for found in suffixes]
    rows = [(i, j) for i, found in enumerate(suffixes) for j in range(len(found))]
    rows.sort(key=lambda row: len(suffixes[row[0]][row[1]]), reverse=True)
    while rows:
        count = max(1, _MAX_TOKENS // max(1, len(suffixes[rows[0][0]][rows[0][1]])))
        chunk, rows = rows[:count], rows[count:]
        prefix_index = torch.tensor([i for i, _ in chunk], device=llm.device)
        cache = copy.deepcopy(output.past_key_values)
        cache.batch_select_indices(prefix_index)
        found = _score_rows(
            llm,
            cache,
            batch.attention_mask[prefix_index],
            first_logits[prefix_index],
            [suffixes[i][j] for i, j in chunk],
        )
        for (i, j), value in zip(chunk, found, strict=True):
            scores[i][j] = value
    return scores


def _score_rows(
    llm: LanguageModel, cache: object, prefix_mask: Tensor, first_logits: Tensor, suffixes: Sequence[Suffix]
) -> Tensor:
    """Scores [R] of one suffix a row, given the keys and values of each row's prefix and its last logits [R, V]."""
    token_ids = pad_sequence([suffix.token_ids for suffix in suffixes], batch_first=True).to(llm.device)
    labels = pad_sequence([suffix.labels for suffix in suffixes], batch_first=True, padding_value=IGNORED_LABEL)
    labels = labels.to(llm.device)
    targets = labels.clamp(min=0)
    values = torch.zeros(labels.shape, device=llm.device)
    values[:, 0] = token_log_likelihoods(first_logits, targets[:, 0])
    if token_ids.shape[1] > 1:
        real = pad_sequence([torch.ones(len(suffix), dtype=torch.long) for suffix in suffixes], batch_first=True)
        mask = torch.cat([prefix_mask, real[:, :-1].to(llm.device)], dim=1)
        positions = (mask.cumsum(-1) - 1)[:, prefix_mask.shape[1] :]
        keep = labels[:, 1:] != IGNORED_LABEL
        output = llm(
            llm.embed(token_ids[:, :-1]),
            keep,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        values[:, 1:][keep] = token_log_likelihoods(output.logits, targets[:, 1:][keep])
    return (values * (labels != IGNORED_LABEL)).sum(1)


def normalize_scores(
    scores: Tensor, suffixes: Sequence[Suffix], candidates: Sequence[str], normalization: str
) -> Tensor:
    """Scores by `sum`, per answer token (`mean`) or per UTF-8 byte of the candidate (`bytes`)."""
    if normalization == "sum":
        return scores
    if normalization == "mean":
        counts = [int((suffix.labels != IGNORED_LABEL).sum()) for suffix in suffixes]
    elif normalization == "bytes":
        counts = [len(candidate.encode()) for candidate in candidates]
    else:
        raise ValueError(f"normalization {normalization!r} is unknown; choose one of {list(NORMALIZATIONS)}")
    return scores / scores.new_tensor(counts).clamp(min=1)
