"""Questions about two media of different modalities: "which of the two is ...?" (DisCRn's way).

Discriminatory cross-modal reasoning is due to X-InstructBLIP (Panagopoulou et al. 2023, arXiv:2311.18799): to answer, a
model has to compare what it perceives through two encoders that were never trained together.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from omni.samples.sample import Message, Sample, Text

OPTIONS = ("the first", "the second")
QUESTION = 'Which of the two belongs to "{value}"?'


def caption_of(sample: Sample) -> str | None:
    """Return the caption of a sample with media: `meta.caption`, else its last answer; None if it has neither."""
    if not sample.media:
        return None
    caption = sample.meta.get("caption")
    if not isinstance(caption, str):
        caption = sample.last_answer or ""
    return " ".join(caption.split()) or None


def draw_partners(firsts: Sequence[str], seconds: Sequence[str], seed: int) -> list[int | None]:
    """Return for each of `firsts` the index of one of `seconds` with another value; None where all have the same.

    Each of `seconds` is drawn about as often as the others.
    """
    generator = random.Random(seed)
    order = list(range(len(seconds)))
    generator.shuffle(order)
    used = [0] * len(seconds)
    found: list[int | None] = []
    for value in firsts:
        others = [index for index in order if seconds[index] != value]
        if not others:
            found.append(None)
            continue
        chosen = min(others, key=lambda index: (used[index], generator.random()))
        used[chosen] += 1
        found.append(chosen)
    return found


def paired_sample(
    one: Sample, other: Sample, question: str, right: int, sample_id: str, meta: Mapping[str, Any] | None = None
) -> Sample:
    """Return the question about the media of two samples.

    Args:
        one: shown first.
        other: shown second.
        question: such as "Which of the two is an animal?".
        right: 0 if the first is right, 1 if the second is.
        sample_id: of the new sample.
        meta: what else it has; `options`, `answer`, `captions` and `sources` are set.
    """
    content = (
        Text("First: "),
        *one.media,
        Text("\nSecond: "),
        *other.media,
        Text(f"\n{question}\nAnswer with: {OPTIONS[0]}, or {OPTIONS[1]}."),
    )
    answer = OPTIONS[right]
    values = {
        **(meta or {}),
        "question": question,
        "options": [*OPTIONS],
        "answer": answer,
        "captions": [caption_of(one) or "", caption_of(other) or ""],
        "sources": [one.id, other.id],
    }
    spoken = f"{answer[0].upper()}{answer[1:]}."
    return Sample(sample_id, (Message("user", content), Message("assistant", (Text(spoken),))), values)


def pairs_by_key(
    firsts: Sequence[Sample], seconds: Sequence[Sample], key: str, seed: int, question: str = QUESTION
) -> list[Sample]:
    """Return a question for each of `firsts` with a partner of another value of `key`, without any language model.

    In every second one the order is exchanged, and in half of each the value asked for is the partner's, so that
    neither the place nor the modality tells the answer.

    Args:
        firsts: samples of one modality.
        seconds: samples of another.
        key: of their `meta`, such as `category`.
        seed: of the partners.
        question: with `{value}` where the value of the right one stands.

    Raises:
        ValueError: no sample has the key, or all have the same value, or the question has no `{value}`.
    """
    if "{value}" not in question:
        raise ValueError(f"the question {question!r} has no {{value}} in it, so that it would be the same for all")
    left, right = ([one for one in rows if _value(one, key)] for rows in (firsts, seconds))
    if not left or not right:
        raise ValueError(f"no sample of the {'second' if left else 'first'} data set has {key!r} in its row")
    partners = draw_partners([_value(one, key) for one in left], [_value(one, key) for one in right], seed)
    found = []
    for one, partner in zip(left, partners, strict=True):
        if partner is None:
            continue
        number = len(found)
        pair = (one, right[partner])
        asked = pair[number // 2 % 2]
        shown = pair if number % 2 == 0 else (pair[1], pair[0])
        text = question.replace("{value}", _value(asked, key))
        meta = {"property": key, "value": _value(asked, key)}
        name = f"{one.id}+{right[partner].id}"
        found.append(paired_sample(*shown, text, [sample is asked for sample in shown].index(True), name, meta))
    if not found:
        raise ValueError(f"all samples have the same {key!r}; there is nothing to tell apart")
    return found


def _value(sample: Sample, key: str) -> str:
    value = sample.meta.get(key)
    return str(value).strip() if isinstance(value, str | int | float) else ""
