"""Several encoders for one modality: each feature stands at the nearest place, alone as in a batch, live as cached."""

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from omni.encoders import Concat, Encoder, Features
from omni.encoders.encoding import encode_items
from omni.encoders.media_input import MediaInput
from omni.feature_cache import FeatureCache
from omni.feature_cache.encoding import encode_with_cache, prepare_with_cache
from omni.media.item import Media
from tests.tiny import SensorEncoder, recording


class Grid(Encoder):
    """A square of `side` features for any item: its mean times its place's number."""

    modality = "sensor"

    def __init__(self, side: int, dim: int = 2) -> None:
        super().__init__(licence="MIT")
        self.side, self.dim, self.max_features = side, dim, side**2
        self.weight = nn.Parameter(torch.arange(1.0, side**2 + 1))

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        return {"mean": torch.as_tensor(np.asarray(media.data)).float().mean().reshape(1)}

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return self.side**2

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        values = (inputs["mean"][:, None] * self.weight)[..., None].repeat(1, 1, self.dim)
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool))


def items(lengths: tuple[int, ...] = (6, 17, 1)) -> list[Media]:
    return [Media("sensor", data=recording(length, length)) for length in lengths]


def encode(encoder: Encoder, media: list[Media]) -> list[Features]:
    return encode_items(encoder, [MediaInput("sensor", encoder.preprocess(one), None) for one in media])


def test_grids_meet_at_their_nearest_places() -> None:
    concat = Concat([Grid(2), Grid(4, dim=1)], normalize=False)
    (features,) = encode(concat, [Media("sensor", data=np.ones((4, 3)))])
    assert features.values.shape == (1, 16, 3)
    coarse = features.values[0, :, 0].reshape(4, 4).tolist()
    assert coarse == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert features.values[0, :, 2].tolist() == list(range(1, 17))


def test_sequences_meet_at_their_nearest_real_places() -> None:
    first, second = SensorEncoder(dim=4), SensorEncoder(dim=3, seed=1)
    concat = Concat([first, second, Grid(2)], normalize=False)
    (media,) = items((6,))
    (features,), (alone,), (other,) = (encode(one, [media]) for one in (concat, first, second))
    assert features.mask.sum() == 6
    joined = torch.cat([alone.values[alone.mask], other.values[other.mask]], dim=-1)
    assert torch.equal(features.values[features.mask][:, :7], joined)
    mean = float(np.asarray(media.data).mean())
    places = features.values[features.mask][:, 7] / mean
    torch.testing.assert_close(places, torch.tensor([1.0, 2.0, 2.0, 3.0, 4.0, 4.0]), atol=1e-4, rtol=0)


def test_interleaved_features_take_turns_in_channels_of_their_own() -> None:
    first, second = SensorEncoder(dim=4), SensorEncoder(dim=3, seed=1)
    concat = Concat([first, second], mix="interleave", normalize=False)
    media = items((6,))
    (features,), (alone,), (other,) = (encode(one, media) for one in (concat, first, second))
    rows = features.values[features.mask]
    assert (len(rows), concat.dim, concat.max_features) == (12, 7, 128)
    assert torch.equal(rows[0::2], torch.cat([alone.values[alone.mask], torch.zeros(6, 3)], dim=1))
    assert torch.equal(rows[1::2], torch.cat([torch.zeros(6, 4), other.values[other.mask]], dim=1))


def test_normalised_features_have_mean_zero_and_variance_one_in_each_encoders_channels() -> None:
    concat = Concat([SensorEncoder(dim=16), SensorEncoder(dim=8, seed=1)])
    (features,) = encode(concat, items((8,)))
    for part in features.values[features.mask].split([16, 8], dim=1):
        torch.testing.assert_close(part.mean(1), torch.zeros(8), atol=1e-5, rtol=0)
        torch.testing.assert_close(part.var(1, correction=0), torch.ones(8), atol=1e-2, rtol=0)


@pytest.mark.parametrize("mix", ["channel", "interleave"])
def test_batched_and_cached_equal_single_and_live(mix: Any, tmp_path: Any) -> None:
    concat = Concat([SensorEncoder(dim=4), SensorEncoder(dim=3, seed=1), Grid(2)], mix=mix)
    media = items()
    together = encode(concat, media)
    for one, features in zip(media, together, strict=True):
        (alone,) = encode(concat, [one])
        assert torch.equal(features.values[features.mask], alone.values[alone.mask])
        inputs = concat.preprocess(one)
        assert features.mask.shape == (1, concat.features_per_clip(inputs))
    with contextlib.closing(FeatureCache(tmp_path)) as cache:
        for expected_misses in (len(media), 0):
            prepared = [prepare_with_cache(cache, concat.fingerprint(), concat, one) for one in media]
            assert sum(one.features is None for one in prepared) == expected_misses
            cached = encode_with_cache(cache, concat.fingerprint(), lambda found: encode_items(concat, found), prepared)
            for live, found in zip(together, cached, strict=True):
                assert torch.equal(live.values, found.values)
                assert torch.equal(live.mask, found.mask)


def test_the_fingerprint_changes_with_every_encoder_their_order_and_the_mix() -> None:
    def concat(seeds: tuple[int, ...] = (0, 1), **options: Any) -> str:
        return Concat([SensorEncoder(seed=seed) for seed in seeds], **options).fingerprint()

    prints = [concat(), concat((0, 2)), concat((1, 0)), concat(mix="interleave"), concat(normalize=False)]
    assert len(set(prints)) == len(prints)
    assert concat() == prints[0]


def test_encoders_are_built_from_class_paths_and_their_licences_are_joined() -> None:
    built = Concat([{"class_path": "tests.tiny.SensorEncoder", "init_args": {"dim": 5}}, Grid(2)], modality="imu")
    assert (built.dim, built.modality, built.licence) == (7, "imu", "Apache-2.0")
    assert not any(weight.requires_grad for weight in built.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoders": []}, "encoders is empty"),
        ({"encoders": [SensorEncoder()], "mix": "sum"}, "mix is 'sum'; allowed: channel, interleave"),
        ({"encoders": [SensorEncoder(trainable=True)]}, r"encoders\[0\]: SensorEncoder is trainable"),
        ({"encoders": [{"class_path": "adapters.Linear", "init_args": {"feature_dim": 2, "llm_dim": 2}}]}, "no omni"),
    ],
)
def test_what_cannot_be_joined_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Concat(**arguments)
