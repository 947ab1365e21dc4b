"""Damaged media through encoders: each item ends in finite tensors or in one clear error, and costs no other item."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from omni.encoders import BeatsEncoder, Encoder, ImageBindEncoder, PointBertEncoder, PrecomputedFeatures
from omni.media import Media, MediaError
from tests.fuzz import cases
from tests.golden_numbers import Golden
from tests.omni.encoders import test_beats, test_imagebind, test_point_bert

NUM_CASES = 300  # the loaders, which do most of the work, have a thousand each
KINDS = ("image", "sound", "video", "depth", "thermal", "imu")


def _imagebind(modality: str) -> Callable[[Path], Encoder]:
    def make(folder: Path) -> Encoder:
        save_file(Golden("imagebind_tiny_a").weights, folder / "imagebind.safetensors")
        clips = 1 if modality == "video" else None
        return ImageBindEncoder(folder, modality, num_clips=clips, sizes=test_imagebind.SIZES)

    return make


def _beats(folder: Path) -> Encoder:
    torch.save({"cfg": test_beats.SETTINGS, "model": test_beats.GOLDEN.weights}, folder / "beats.pt")
    return BeatsEncoder(folder)


def _point_bert(folder: Path) -> PointBertEncoder:
    save_file(test_point_bert.GOLDEN.weights, folder / "ulip.safetensors")
    return test_point_bert.small_encoder(folder)


ENCODERS: dict[str, tuple[str, Callable[[Path], Encoder]]] = {
    **{
        f"ImageBind {name}": (name, _imagebind(name)) for name in ("image", "sound", "video", "depth", "thermal", "imu")
    },
    "BEATs": ("sound", _beats),
    "Point-BERT": ("point_cloud", _point_bert),
    "precomputed": ("features", lambda _: PrecomputedFeatures("features", dim=7, max_features=5)),
}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.filterwarnings("ignore")
def test_damaged_media_end_in_tensors_or_one_error(name: str, tmp_path: Path) -> None:
    modality, make = ENCODERS[name]
    (tmp_path / "weights").mkdir()
    encoder = make(tmp_path / "weights")
    count = NUM_CASES
    good, bad = 0, 0
    for description, media in cases(modality, count, tmp_path, seed=1):
        (prepared,) = encoder.preprocess_all([media])
        if isinstance(prepared, MediaError):
            bad += 1
            continue
        good += 1
        for tensor in prepared.values():
            assert tensor.isfinite().all(), description
        if good <= 5:
            assert encoder(prepared).values.isfinite().all(), description
    assert good + bad == count
    assert min(good, bad) >= count // 50


def test_one_bad_item_of_a_batch_costs_no_other(tmp_path: Path) -> None:
    encoder = _imagebind("depth")(tmp_path)
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
