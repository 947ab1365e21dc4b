"""Preference pairs: a prompt (which may hold media anywhere) with a better and a worse answer to it."""

from dataclasses import dataclass
from typing import Any

from omni.samples.messages import Message, Sample, SampleError, parse_messages
from omni.samples.preference_rows import answer_turns


@dataclass(frozen=True)
class Preference:
    """Two continuations of a prompt: mostly one turn of the assistant each, or several with the user's in between."""

    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]


def parse_preference(sample: Sample) -> Preference:
    """Parse the two answers of a sample whose `messages` are the prompt and whose `meta` has `chosen` and `rejected`.

    Each is a text, a message, or a list of turns that ends with the assistant's; a list may repeat the prompt.

    Raises:
        SampleError: one is missing, empty, holds media, or both are the same.
    """
    preference = Preference(_answers(sample, "chosen"), _answers(sample, "rejected"))
    if _texts(preference.chosen) == _texts(preference.rejected):
        raise SampleError(sample.id, "'chosen' and 'rejected' are the same: there is nothing to prefer")
    return preference


def _answers(sample: Sample, key: str) -> tuple[Message, ...]:
    value = sample.meta.get(key)
    if value is None:
        raise SampleError(sample.id, f"{key!r} is missing: preference tuning needs a chosen and a rejected answer")
    if not sample.messages or sample.messages[-1].role != "user":
        raise SampleError(sample.id, "'messages' must end with the user's turn that 'chosen' and 'rejected' answer")
    try:
        turns = answer_turns(value)
    except ValueError as error:
        raise SampleError(sample.id, f"{key!r} {error}") from error
    parsed = _parse_after_prompt(sample, turns, key)
    if not parsed or parsed[0].role != "assistant" or parsed[-1].role != "assistant":
        raise SampleError(sample.id, f"{key!r} must begin and end with a turn of the assistant")
    if any(message.media for message in parsed):
        raise SampleError(sample.id, f"{key!r} holds media; media belong in the prompt, which both answers share")
    if not all(message.text.strip() for message in parsed if message.role == "assistant"):
        raise SampleError(sample.id, f"{key!r} is empty: a turn of the assistant has no text")
    return parsed


def _parse_after_prompt(sample: Sample, turns: list[Any], key: str) -> tuple[Message, ...]:
    """Parse the turns that follow the prompt; a whole conversation must repeat the prompt's turns."""
    prompt = sample.messages
    first = turns[0]
    role = first.role if isinstance(first, Message) else first.get("role") if isinstance(first, dict) else None
    if role == "assistant":
        return parse_messages([*prompt, *turns], sample_id=sample.id)[len(prompt) :]
    whole = parse_messages(turns, sample_id=sample.id)
    start = whole[: len(prompt)]
    # A turn of media alone may have been given an instruction in the meantime, so its text is not compared.
    repeats = [one.role for one in start] == [one.role for one in prompt] and all(
        not one.text.strip() or one.text.strip() == other.text.strip() for one, other in zip(start, prompt, strict=True)
    )
    if not repeats:
        raise SampleError(sample.id, f"{key!r} begins with a {role!r} turn, but does not repeat the prompt")
    return whole[len(prompt) :]


def _texts(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(message.role, message.text.strip()) for message in messages]
