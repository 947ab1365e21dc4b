"""Preference pairs through the model: prepared together, embedded together, and their log-likelihoods.

Shapes: B pairs.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from omni.model import OmniModel
from omni.model.batch import Example
from omni.prompts.chat_layout import IGNORED_LABEL
from omni.samples.messages import Message, Sample, TooLongError
from omni.samples.preferences import parse_preference


class PairLogLikelihoods(NamedTuple):
    """Summed log-likelihoods in nats of the better and the worse answers, and their numbers of tokens."""

    chosen: Tensor  # [B]
    rejected: Tensor  # [B]
    chosen_tokens: Tensor  # [B]
    rejected_tokens: Tensor  # [B]


def prepare_pair(model: OmniModel, sample: Sample) -> Example:
    """The chosen conversation with the rejected one beside it; media are preprocessed once, for both.

    Labels are on the turns after the prompt alone, not on earlier turns of the assistant.

    Raises:
        SampleError: one of the answers is missing or does not fit the model or its context.
        MediaError: a media item cannot be read.
    """
    preference = parse_preference(sample)
    chosen = model.prepare(replace(sample, messages=sample.messages + preference.chosen), answer=True)
    layout = model.conversation.encode(
        sample.messages + preference.rejected, answer=True, sample_id=f"{sample.id} (rejected)"
    )
    length = chosen.length - len(chosen.token_ids) + len(layout.token_ids)
    limit = model.llm.context_length
    if length > limit:
        reason = f"{length} tokens with the rejected answer are more than the context of {limit}"
        raise TooLongError(sample.id, reason, length, limit)
    rejected = Example(
        chosen.id,
        torch.tensor(layout.token_ids),
        _only_last_answers(torch.tensor(layout.labels), preference.rejected),
        chosen.media,
        length,
    )
    labels = _only_last_answers(chosen.labels, preference.chosen)
    return replace(chosen, labels=labels, rejected=rejected)


def pair_log_likelihoods(model: OmniModel, pairs: Sequence[Example], *, packed: bool) -> PairLogLikelihoods:
    """Both answers of every pair in one pass of the LLM; the media tokens of a pair are made once."""
    media = model.media_tokens(pairs)
    rejected = [_rejected(pair) for pair in pairs]
    examples = [*pairs, *rejected]
    embedded = [model.interleave(one, tokens) for one, tokens in zip(examples, [*media, *media], strict=True)]
    found = model.answer_log_likelihoods(examples, embedded, packed=packed)
    counts = torch.tensor([one.num_answer_tokens for one in examples], device=found.device)
    return PairLogLikelihoods(*found.split(len(pairs)), *counts.split(len(pairs)))


def _rejected(pair: Example) -> Example:
    if pair.rejected is None:
        raise ValueError(f"sample {pair.id!r} has no rejected answer: prepare it with PreferenceObjective.prepare")
    return pair.rejected


def _only_last_answers(labels: Tensor, turns: Sequence[Message]) -> Tensor:
    """`labels` [L] without those of earlier answers than those in `turns`; each answer is one run of labels."""
    wanted = sum(message.role == "assistant" for message in turns)
    is_label = labels != IGNORED_LABEL
    before = torch.cat([is_label.new_zeros(1), is_label[:-1]])
    run = (is_label & ~before).cumsum(0)  # 1, 2, ... within the runs
    return torch.where(is_label & (run > run[-1] - wanted), labels, IGNORED_LABEL)
