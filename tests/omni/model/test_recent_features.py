"""Features that are kept in memory: the same bits, each content encoded once, and never more than a bound."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from omni.encoders.base import Features
from omni.encoders.media_input import MediaInput
from omni.model import OmniModel
from omni.model.recent_features import RecentFeatures
from omni.runtime.stopwatch import Stopwatch
from omni.samples.messages import Media, Message, Text
from tests.tiny import sensor, tiny_model


@pytest.fixture
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm).eval()


class Counting:
    """An encoder's `encode` that counts its items."""

    def __init__(self, model: OmniModel) -> None:
        self.modality = model.modality("image")
        self.num_items = 0

    def __call__(self, items: Sequence[MediaInput]) -> list[Features]:
        self.num_items += len(items)
        return self.modality.encode(items)


def test_each_content_is_encoded_once_with_the_same_bits(model: OmniModel) -> None:
    recent, encode, encoder = RecentFeatures(1 << 20), Counting(model), model.modality("image").encoder
    media = [sensor("image", seed) for seed in (0, 1, 0)]
    first = recent.encode([recent.prepare(one, encoder) for one in media], encode)
    assert (encode.num_items, len(recent)) == (2, 2)
    again = recent.encode([recent.prepare(one, encoder) for one in (*media, sensor("image", 2))], encode)
    assert encode.num_items == 3
    live = encode([MediaInput("image", encoder.preprocess(one), None) for one in media])
    for found in (first, again[:3]):
        for left, right in zip(found, live, strict=True):
            torch.testing.assert_close(left.values, right.values, atol=1e-6, rtol=0)
            assert torch.equal(left.mask, right.mask)
    assert all(torch.equal(left.values, right.values) for left, right in zip(first, again, strict=False))


def test_no_more_is_kept_than_the_bound_and_the_oldest_go_first(model: OmniModel) -> None:
    encoder, encode = model.modality("image").encoder, Counting(model)
    (one,) = encode([MediaInput("image", encoder.preprocess(sensor("image", 0)), None)])
    recent = RecentFeatures(2 * sum(tensor.numel() * tensor.element_size() for tensor in one))
    for seed in (0, 1, 0, 2):  # 0 is used again, so that 1 is the oldest
        recent.encode([recent.prepare(sensor("image", seed), encoder)], encode)
    assert len(recent) == 2
    assert recent.prepare(sensor("image", 0), encoder).features is not None
    assert recent.prepare(sensor("image", 1), encoder).features is None


def test_scores_and_parts_of_the_time_with_both_switched_on(model: OmniModel) -> None:
    def ask(image: Media) -> torch.Tensor:
        return model.score([Message("user", (image, Text("What is this?")))], ["a frog", "a dog"])

    expected = ask(sensor("image", 0))
    model.recent_features, model.stopwatch = RecentFeatures(1 << 20), Stopwatch(model.device)
    for _ in range(2):
        torch.testing.assert_close(ask(sensor("image", 0)), expected, atol=1e-5, rtol=0)
    seconds = model.stopwatch.seconds()
    assert set(seconds) == {"media", "encoder", "llm"}
    assert all(value > 0 for value in seconds.values())
    model.generate([Message("user", (Text("What is this?"),))], max_new_tokens=2)
    assert model.stopwatch.seconds()["llm"] > seconds["llm"]
