"""From a conversation, in any form that users give it, to an example, on the CPU."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from omni.encoders.media_input import MediaInput
from omni.media.item import shorten
from omni.model.batch import Example
from omni.prompts.chat_layout import Layout
from omni.samples.messages import Message, Sample, TooLongError, parse_messages

Messages = Sequence[Mapping[str, Any]] | Sequence[Message]


def make_example(
    sample_id: str, layout: Layout, media: list[MediaInput], num_media_tokens: int, context_length: int
) -> Example:
    """Put a laid out conversation and its prepared media together.

    Args:
        sample_id: the conversation's, for errors.
        layout: the conversation as the LLM will read it.
        media: the prepared media, in the order of the layout's slots.
        num_media_tokens: tokens that the media become at most.
        context_length: tokens that the LLM can read.

    Raises:
        TooLongError: the conversation is longer than the LLM's context.
    """
    text_length = len(layout.token_ids) - len(media)
    length = text_length + num_media_tokens
    if length > context_length:
        reason = (
            f"{length} tokens ({text_length} of text, up to {num_media_tokens} of media) are more than the LLM's "
            f"context of {context_length}; shorten the text, leave out turns or media, or use an adapter with fewer "
            "tokens"
        )
        raise TooLongError(sample_id, reason, length, context_length)
    return Example(sample_id, torch.tensor(layout.token_ids), torch.tensor(layout.labels), media, length)


def parse_conversation(messages: Messages | Sample, modalities: Collection[str]) -> tuple[str, tuple[Message, ...]]:
    """Return the id and the messages of a conversation in either form."""
    if isinstance(messages, Sample):
        return messages.id, messages.messages
    return "(conversation)", parse_messages(messages, modalities=modalities)


def is_single(messages: Any) -> bool:
    """Tell one conversation (True) from a list of them.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(messages, Sample) and (isinstance(messages, str | bytes) or not isinstance(messages, Sequence)):
        raise ValueError(f"expected a conversation, a list of messages, or a list of these; got {shorten(messages)}")
    return isinstance(messages, Sample) or (len(messages) > 0 and isinstance(messages[0], Mapping | Message))
