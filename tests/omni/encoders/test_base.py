import pickle
import time

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from omni.config.components import build
from omni.encoders.base import Encoder, Features
from omni.media.item import Media


class Projection(Encoder):
    """A user's encoder: an array [N, 3] through one linear layer."""

    modality = "sensor"
    max_features = 4

    def __init__(self, dim: int = 5, scale: float = 1.0, trainable: bool = False) -> None:
        super().__init__(trainable=trainable, licence="MIT")
        self.dim = dim
        self.scale = scale
        self.layer = nn.Linear(3, dim)
        self.dropout = nn.Dropout(0.5)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        assert isinstance(media.data, np.ndarray)
        return {"values": torch.from_numpy(media.data).float()[None] * self.scale}

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        values = self.dropout(self.layer(inputs["values"]))
        return Features(values, torch.ones(values.shape[:2], dtype=torch.bool))


class Wider(Projection):
    """A subclass with a constructor of its own, which adds weights after that of its parent."""

    def __init__(self) -> None:
        super().__init__()
        self.extra = nn.Linear(2, 2)


class Renamed(Projection):
    """The same weights and settings, which another class may read in another way."""


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    return {"values": torch.arange(12.0).reshape(2, 2, 3)}


def test_frozen_is_the_default_also_for_weights_made_last_and_after_train(inputs: dict[str, Tensor]) -> None:
    encoder = Wider()
    parent = nn.ModuleList([encoder]).train()
    assert parent.training
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    encoder.requires_grad_(True)
    assert not encoder(inputs).values.requires_grad
    assert torch.equal(encoder(inputs).values, encoder(inputs).values)  # no dropout


def test_a_trainable_encoder_trains(inputs: dict[str, Tensor]) -> None:
    encoder = Projection(trainable=True).train()
    encoder(inputs).values.sum().backward()
    assert encoder.layer.weight.grad is not None
    assert encoder.dropout.training
    with torch.no_grad():
        assert not encoder(inputs).values.requires_grad


def test_a_class_path_sees_the_constructors_own_arguments() -> None:
    spec = {"class_path": f"{__name__}.Projection", "init_args": {"dim": 7}}
    assert build(spec, "encoder", modality="sensor").dim == 7
    with pytest.raises(ValueError, match=r"takes no \['width'\]; there are dim, scale, trainable"):
        build({**spec, "init_args": {"width": 7}}, "encoder")


def test_the_fingerprint_changes_with_weights_settings_and_class_only(inputs: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    encoder = Projection()
    before_change = pickle.dumps(encoder)
    same = pickle.loads(before_change)
    before = encoder.fingerprint()
    assert len(before) == 64
    encoder(inputs)
    assert encoder.fingerprint() == before == same.fingerprint()
    same.scale = 2.0
    assert same.fingerprint() != before
    with torch.no_grad():
        encoder.layer.bias[0] += 1e-6
    changed = encoder.fingerprint()
    assert changed != before
    encoder.load_state_dict({key: value + 1 for key, value in encoder.state_dict().items()})
    assert encoder.fingerprint() not in (before, changed)
    torch.manual_seed(0)
    renamed = Renamed()
    assert torch.equal(renamed.layer.weight, pickle.loads(before_change).layer.weight)
    assert renamed.fingerprint() != before


def test_the_fingerprint_of_100_megabytes_takes_under_half_a_second_and_then_none() -> None:
    encoder = Projection(dim=100_000_000 // 16)  # 3 weights and a bias of 4 bytes each per output
    start = time.perf_counter()
    encoder.fingerprint()
    first = time.perf_counter()
    encoder.fingerprint()
    assert first - start < 0.5 * 4  # with room for a busy machine
    assert time.perf_counter() - first < 0.01


def test_an_encoder_that_lacks_a_method_says_which() -> None:
    class Nothing(Encoder):
        modality, dim, max_features = "sensor", 1, 1

    with pytest.raises(NotImplementedError, match="Nothing does not implement preprocess"):
        Nothing().preprocess(Media("sensor", data=np.zeros(1)))
    with pytest.raises(NotImplementedError, match="Nothing does not implement encode"):
        Nothing()({})
