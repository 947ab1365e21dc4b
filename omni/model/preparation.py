"""Conversations -> examples, on the CPU: laid out for the LLM, with their media prepared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from omni.media.item import shorten
from omni.model.batch import Example
from omni.samples.messages import Message, Sample, TooLongError, parse_messages

if TYPE_CHECKING:
    from omni.model.omni_model import OmniModel

Messages = Sequence[Mapping[str, Any]] | Sequence[Message]


def prepare_example(model: OmniModel, messages: Sample | Messages, *, answer: bool, questions: bool) -> Example:
    """See `OmniModel.prepare`."""
    sample_id, parsed = parse_conversation(messages, [*model.modalities])
    layout = model.conversation.encode(parsed, answer=answer, questions=questions, sample_id=sample_id)
    pairs = zip(layout.media, layout.instructions, strict=True)
    media = [
        replace(model.prepare_media(item, sample_id, index), instruction=instruction)
        for index, (item, instruction) in enumerate(pairs)
    ]
    text_length = len(layout.token_ids) - len(media)
    length = text_length + sum(model.modality(item.modality).num_tokens(item) for item in media)
    limit = model.llm.context_length
    if length > limit:
        reason = (
            f"{length} tokens ({text_length} of text, up to {length - text_length} of media) are more than the "
            f"LLM's context of {limit}; shorten the text, leave out turns or media, or use an adapter with fewer tokens"
        )
        raise TooLongError(sample_id, reason, length, limit)
    return Example(sample_id, torch.tensor(layout.token_ids), torch.tensor(layout.labels), media, length)


def measure_example(model: OmniModel, messages: Sample | Messages) -> int:
    """See `OmniModel.measure`."""
    sample_id, parsed = parse_conversation(messages, [*model.modalities])
    layout = model.conversation.encode(parsed, answer=True, sample_id=sample_id)
    media_length = sum(model.modality(item.modality).measure(item) for item in layout.media)
    return len(layout.token_ids) - len(layout.media) + media_length


def parse_conversation(messages: Messages | Sample, modalities: Collection[str]) -> tuple[str, tuple[Message, ...]]:
    """Id and messages of a conversation in either form."""
    if isinstance(messages, Sample):
        return messages.id, messages.messages
    return "(conversation)", parse_messages(messages, modalities=modalities)


def is_single(messages: Any) -> bool:
    """One conversation, as against a list of them.

    Raises:
        ValueError: neither.
    """
    if not isinstance(messages, Sample) and (isinstance(messages, str | bytes) or not isinstance(messages, Sequence)):
        raise ValueError(f"expected a conversation, a list of messages, or a list of these; got {shorten(messages)}")
    return isinstance(messages, Sample) or (len(messages) > 0 and isinstance(messages[0], Mapping | Message))
