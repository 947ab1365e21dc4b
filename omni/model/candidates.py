"""Split a conversation and its candidate answers into what all share and what each adds."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from omni.model.batch import Example
from omni.model.token_tree import Suffix
from omni.prompts.chat_layout import IGNORED_LABEL, MEDIA_SLOT, ChatLayout, Layout
from omni.samples.messages import Message, SampleError, Text, TooLongError


def split_candidates(
    conversation: ChatLayout,
    messages: Sequence[Message],
    prefix: Example,
    candidates: Sequence[str],
    context_length: int,
) -> tuple[Example, list[Suffix]]:
    """The part of `prefix` (the prepared `messages`) that all candidates share, and for each the tokens that follow.

    What follows is taken from the layout that training uses, so a score is what the loss would be. A template may put
    something else before an answer than where it asks for one; then less is shared.

    Raises:
        SampleError: an empty candidate, one that does not fit the context, or a template that writes the
            conversation differently as soon as there is an answer.
    """
    layouts = []
    for candidate in candidates:
        if not candidate.strip():
            raise SampleError(prefix.id, "a candidate is empty")
        answered = (*messages, Message("assistant", (Text(candidate),)))
        layouts.append(conversation.encode(answered, answer=True, sample_id=prefix.id))
    shared = _num_shared(prefix.token_ids, layouts)
    kept = replace(prefix, token_ids=prefix.token_ids[:shared], labels=prefix.labels[:shared])
    if shared == 0 or int((kept.token_ids == MEDIA_SLOT).sum()) != len(prefix.media):
        raise SampleError(
            prefix.id, "the LLM's chat template writes the conversation differently once there is an answer"
        )
    suffixes = [_suffix(layout, shared) for layout in layouts]
    longest = prefix.length - (len(prefix.token_ids) - shared) + max(len(suffix) for suffix in suffixes)
    if longest > context_length:
        reason = f"with its longest candidate it has {longest} tokens; the LLM's context is {context_length}"
        raise TooLongError(prefix.id, reason, longest, context_length)
    return kept, suffixes


def _num_shared(prefix: Tensor, layouts: Sequence[Layout]) -> int:
    """Tokens with which the prefix and all layouts begin; at least the last token of each layout is its own."""
    shared = len(prefix)
    for layout in layouts:
        ids = torch.tensor(layout.token_ids)
        count = min(shared, layout.answer_start, len(ids) - 1)
        differs = (ids[:count] != prefix[:count]).nonzero()
        shared = int(differs[0]) if len(differs) else count
    return shared


def _suffix(layout: Layout, shared: int) -> Suffix:
    labels = torch.tensor(layout.labels)
    labels[: layout.answer_start] = IGNORED_LABEL  # the answers of earlier turns are not the candidate's
    return Suffix(torch.tensor(layout.token_ids)[shared:], labels[shared:])
