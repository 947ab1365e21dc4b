"""Damaged media through encoders: each item ends in finite tensors or in one clear error, and costs no other item.

Some dozens of cases of each encoder; a thousand by `python -m tests.fuzz encoders 1000`, within a bound of memory, and
of damaged weights and settings by `python -m tests.fuzz_weights`.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from omni import encoders
from omni.encoders import Encoder, EvaClipEncoder, ImageBindEncoder
from omni.media import Media, MediaError
from tests.fuzz import cases, run
from tests.fuzz_encoders import ENCODERS, checked
from tests.fuzz_weights import BUILDS
from tests.fuzz_weights import run as run_weights
from tests.omni.encoders import test_eva_clip

NUM_CASES = 40
NUM_WEIGHTS = 12


def test_every_encoder_is_tried() -> None:
    named = {getattr(encoders, name) for name in encoders.__all__}
    published = {kind for kind in named if isinstance(kind, type) and issubclass(kind, Encoder) and kind is not Encoder}
    assert published <= {case.kind for case in ENCODERS.values()}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.filterwarnings("ignore")
def test_damaged_media_end_in_tensors_or_one_error_and_cost_no_other(name: str, tmp_path: Path) -> None:
    modality, kind, make = ENCODERS[name]
    (tmp_path / "weights").mkdir()
    encoder = make(tmp_path / "weights")
    assert type(encoder) is kind
    figures = run(checked(encoder, encode_every=5), cases(modality, NUM_CASES, tmp_path, seed=1))
    assert figures["failures"] == []
    assert figures["results"] + figures["errors"] == NUM_CASES
    assert min(figures["results"], figures["errors"]) >= 1

    # Files are written over by the next case, so a batch is made of what lies in memory.
    items = [media for _, media in cases(modality, NUM_CASES, tmp_path, seed=1) if media.path is None]
    items = [media for media in items if not isinstance(media.features, str)][:8]
    for media, prepared in zip(items, encoder.preprocess_all(items), strict=True):
        if isinstance(prepared, MediaError):
            with pytest.raises(MediaError):
                encoder.preprocess(media)
            continue
        alone = encoder.preprocess(media)
        assert all(torch.equal(tensor, alone[key]) for key, tensor in prepared.items())


def test_one_bad_item_of_a_batch_costs_no_other(tmp_path: Path) -> None:
    encoder = ENCODERS["imagebind-depth"].make(tmp_path)
    assert isinstance(encoder, ImageBindEncoder)
    metres = np.full((20, 30), 2.0)
    items = [
        Media("depth", data=metres),
        Media("depth", data=b"cut off"),
        Media("depth", path=str(tmp_path / "absent.png")),
        Media("depth", data=metres / 2),
    ]
    first, broken, absent, last = encoder.preprocess_all(items)
    assert isinstance(broken, MediaError)
    assert "not a picture" in str(broken)
    assert isinstance(absent, MediaError)
    assert "no such file" in str(absent)
    assert isinstance(first, dict)
    assert isinstance(last, dict)
    together = encoder({"clips": torch.cat([first["clips"], last["clips"]])}).values
    torch.testing.assert_close(together[:1], encoder(first).values, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.filterwarnings("ignore")
def test_damaged_weights_end_in_an_encoder_or_one_error_that_names_them(name: str, tmp_path: Path) -> None:
    figures = run_weights(name, tmp_path, NUM_WEIGHTS)
    assert figures["failures"] == []
    assert figures["built"] + figures["errors"] == NUM_WEIGHTS
    assert figures["errors"] >= 1


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "blocks.1.norm1.bias",
            torch.full((48,), float("nan")),
            "holds NaN or infinite numbers in blocks.1.norm1.bias;",
        ),
        ("blocks.1.norm1.bias", torch.ones(48, dtype=torch.int64), "holds torch.int64 in blocks.1.norm1.bias"),
    ],
)
def test_weights_that_are_no_numbers_to_compute_with_are_named(
    name: str, value: torch.Tensor, problem: str, tmp_path: Path
) -> None:
    weights = test_eva_clip.GOLDEN.weights
    assert weights[name].shape == value.shape
    save_file(weights | {name: value}, tmp_path / "eva.safetensors")
    with pytest.raises(ValueError, match=problem) as error:
        EvaClipEncoder(tmp_path, image_size=28, size=test_eva_clip.SIZE)
    assert str(tmp_path / "eva.safetensors") in str(error.value)


def test_large_finite_weights_are_no_mistake(tmp_path: Path) -> None:
    weights = test_eva_clip.GOLDEN.weights
    large = torch.full_like(weights["blocks.1.norm1.bias"], 3e38)  # their sum is no float32
    save_file(weights | {"blocks.1.norm1.bias": large}, tmp_path / "eva.safetensors")
    encoder = EvaClipEncoder(tmp_path, image_size=28, size=test_eva_clip.SIZE)
    assert torch.equal(encoder.network.get_parameter("blocks.1.norm1.bias"), large)
