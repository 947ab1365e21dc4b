"""The held-out score of an adapter: how often the model chooses the right one of ten captions for an item.

A caption counts by its log-likelihood with the item minus that without any, or short and common captions would win.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from omni.model import OmniModel
from omni.readers import open_dataset
from omni.samples.messages import Media, Message, SampleError, Text

PROMPT = "Describe the picture in a few words."
NUM_CANDIDATES = 10


@dataclass(frozen=True)
class CaptionedItem:
    """One media item and its caption."""

    media: Media
    caption: str


def question(media: Media | None) -> tuple[Message, ...]:
    """Return the conversation that asks for a caption, with or without the item."""
    return (Message("user", (Text(PROMPT),) if media is None else (media, Text(PROMPT))),)


def captioned_items(source: str, limit: int | None = None) -> list[CaptionedItem]:
    """Return the first items of a data set whose rows hold one media item each, with a caption as the answer."""
    found: list[CaptionedItem] = []
    for sample in open_dataset(source):
        if isinstance(sample, SampleError):
            continue
        answers = [message for message in sample.messages if message.role == "assistant"]
        texts = [part.text for part in answers[-1].content if isinstance(part, Text)] if answers else []
        if len(sample.media) == 1 and texts:
            found.append(CaptionedItem(sample.media[0], texts[0]))
        if limit is not None and len(found) == limit:
            break
    return found


def make_choices(items: Sequence[CaptionedItem], seed: int) -> list[tuple[CaptionedItem, list[str]]]:
    """Return each item with the captions to choose from, its own first.

    Raises:
        ValueError: there are fewer than ten different captions.
    """
    captions = sorted({item.caption for item in items})
    if len(captions) < NUM_CANDIDATES:
        raise ValueError(
            f"the held-out items have {len(captions)} different captions, but {NUM_CANDIDATES} are needed: give more "
            "with --items"
        )
    generator = random.Random(seed)
    choices = []
    for item in items:
        others = [caption for caption in captions if caption != item.caption]
        choices.append((item, [item.caption, *generator.sample(others, NUM_CANDIDATES - 1)]))
    return choices


def caption_scores(model: OmniModel, captions: Sequence[str]) -> dict[str, float]:
    """Return the log-likelihood in nats of each caption without any media."""
    return dict(zip(captions, model.score(question(None), captions).tolist(), strict=True))


def count_correct(
    model: OmniModel,
    choices: Sequence[tuple[CaptionedItem, list[str]]],
    prior: Mapping[str, float],
    batch_size: int,
) -> int:
    """Return for how many items the model prefers the first caption; `prior` is what `caption_scores` returned."""
    correct = 0
    for start in range(0, len(choices), batch_size):
        part = choices[start : start + batch_size]
        scores = model.score_batch([question(item.media) for item, _ in part], [found for _, found in part])
        scores = scores.cpu() - torch.tensor([[prior[caption] for caption in found] for _, found in part])
        correct += int((scores.argmax(1) == 0).sum())
    return correct
