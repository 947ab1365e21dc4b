import pytest
import torch

from eval.speed.__main__ import main
from eval.speed.cached_features import measure_cache
from omni.encoders.base import Features
from omni.samples.messages import Media
from tests.tiny import SensorEncoder, recording


def media(count: int) -> list[Media]:
    return [Media("sensor", data=recording(index)) for index in range(count)]


def test_rates_are_of_all_items_and_the_encoder_rests_while_the_cache_is_timed() -> None:
    class Counting(SensorEncoder):
        batches = 0

        def encode(self, inputs: dict[str, torch.Tensor]) -> Features:
            Counting.batches += 1
            return super().encode(inputs)

    found = measure_cache(Counting(), media(20), rounds=3)
    assert found.num_items == 20
    assert min(found.live, found.cached, found.speedup) > 0
    # 20 items are 2 batches: to fill the cache, to compare, and 3 rounds live
    assert Counting.batches == 2 * (1 + 1 + 3)


def test_features_that_are_not_the_encoders_are_refused() -> None:
    class Moody(SensorEncoder):
        def encode(self, inputs: dict[str, torch.Tensor]) -> Features:
            values, mask = super().encode(inputs)
            return Features(values + torch.rand(1), mask)

    with pytest.raises(ValueError, match="other features than the encoder"):
        measure_cache(Moody(), media(2), rounds=1)


def test_wrong_options_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "--pictures", "0"]) == 2
    assert "--pictures is 0, but must be at least 1" in capsys.readouterr().err
