"""Encoders say which part of a medium each feature stands for, and a change there changes that feature most."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from omni.encoders.beats import BeatsEncoder
from omni.encoders.efficientnet import EfficientNetLite
from omni.encoders.huggingface import HuggingFaceEncoder
from omni.encoders.nested import FrameEncoder, SensorPictureEncoder
from omni.encoders.point_bert import PointBertEncoder
from omni.encoders.precomputed import PrecomputedFeatures
from omni.encoders.regions import mel_edges, picture_regions
from omni.encoders.yamnet import YamNet
from omni.media.frames import load_frames
from omni.media.item import Media
from omni.media.parts import cut
from tests.golden_numbers import Golden
from tests.omni.encoders.tiny_families import FAMILIES, items_for
from tests.omni.encoders.tiny_networks import efficientnet_state

UNKNOWN = ("clap", "videomae", "vivit", "timesformer")  # how families begin whose features' places are not known
RATE = 16000


def holds(region: Tensor, *place: float, slack: float = 0.0) -> bool:
    """Whether a region [A, 2] holds a place along each axis."""
    return all(start - slack <= at <= end + slack for (start, end), at in zip(region.tolist(), place, strict=True))


def grey(*dots: tuple[int, int], size: tuple[int, int] = (48, 96)) -> Media:
    pixels = np.full((*size, 3), 128, dtype=np.uint8)
    for row, column in dots:
        pixels[row - 2 : row + 2, column - 2 : column + 2] = 255
    return Media("image", data=Image.fromarray(pixels))


def click(at: float, seconds: float = 1.0) -> Media:
    samples = np.random.default_rng(0).normal(size=round(seconds * RATE)).astype(np.float32) * 0.01
    begin = round(at * RATE)
    samples[begin : begin + 400] = np.sin(np.arange(400)) * 0.5
    return Media("sound", data=samples, sampling_rate=RATE)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_feature_has_a_region_where_any_is_known(family: str, folder_of: Callable[[str], Path]) -> None:
    for keep in (True, False):
        encoder = HuggingFaceEncoder(str(folder_of(family)), keep_class_token=keep)
        for item in items_for(family):
            inputs = encoder.preprocess(item)
            regions = encoder.feature_regions(item, inputs)
            assert (regions is None) == family.startswith(UNKNOWN)
            if regions is not None:
                assert regions.shape == (*encoder(inputs).mask.shape, 2, 2)
                assert (regions[..., 0] < regions[..., 1]).all()


@pytest.mark.parametrize("family", ["clip vision", "siglip", "dinov2"])
def test_a_dot_changes_the_patch_that_stands_for_its_place(family: str, folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of(family)), layers=0)
    for row, column in ((10, 40), (36, 60)):
        media = grey((row, column))
        regions = encoder.feature_regions(media, encoder.preprocess(media))
        assert regions is not None
        change = encoder(encoder.preprocess(media)).values - encoder(encoder.preprocess(grey())).values
        chosen = regions[0, int(change[0].norm(dim=-1).argmax())]
        assert holds(chosen, row / 48, column / 96, slack=0.02)
        assert (chosen[:, 1] - chosen[:, 0]).max() < 0.5


@pytest.mark.parametrize("family", ["whisper", "ast", "hubert"])
def test_a_click_changes_the_step_that_stands_for_its_time(family: str, folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of(family)), layers=0, trim_padding=False)
    media, quiet = click(0.3, 0.6), click(0.3, 0.6)
    assert isinstance(quiet.data, np.ndarray)
    quiet.data[4800:5200] = 0
    regions = encoder.feature_regions(media, encoder.preprocess(media))
    assert regions is not None
    loud, real = encoder(encoder.preprocess(media))
    change = (loud - encoder(encoder.preprocess(quiet)).values).norm(dim=-1) * real
    chosen = regions[0, int(change[0].argmax()), :1]
    assert holds(chosen, 0.3125, slack=0.03)


@pytest.mark.parametrize("size", [(64, 64), (40, 100), (120, 50)])
def test_what_is_padded_around_a_picture_is_outside_of_it(size: tuple[int, int], tmp_path: Path) -> None:
    save_file(efficientnet_state(), tmp_path / "model.safetensors")
    encoder = EfficientNetLite(tmp_path / "model.safetensors", image_size=96)
    media = grey(size=size)
    regions = encoder.feature_regions(media, encoder.preprocess(media))
    assert regions is not None
    assert regions.shape == (1, 9, 2, 2)
    height, width = size
    side = max(size)
    for axis, length in ((0, height), (1, width)):
        expected = (np.linspace(0, side, 4) - (side - length) / 2) / length
        np.testing.assert_allclose(np.unique(regions[0, :, axis].numpy().round(2)), expected.round(2), atol=0.03)


def test_pixels_without_a_square_grid_of_features_have_no_regions() -> None:
    def preprocess(media: Media) -> dict[str, Tensor]:
        return {"pixels": torch.zeros(1, 3, 8, 8) + torch.as_tensor(np.array(media.data))[..., :1, :1, 0].float()}

    assert picture_regions(preprocess, (8, 8), "pixels", 7) is None


def test_yamnet_hears_a_click_where_it_is() -> None:
    encoder = YamNet("starter:yamnet")
    media = click(1.1, 1.9)
    inputs = encoder.preprocess(media)
    regions = encoder.feature_regions(media, inputs)
    assert regions.shape == (*inputs["mask"].shape, 2, 2)
    assert regions[..., 1, 0].min() == pytest.approx(125)
    assert regions[..., 1, 1].max() == pytest.approx(7500)
    assert isinstance(media.data, np.ndarray)
    media.data[round(1.1 * RATE) : round(1.1 * RATE) + 400] = 0
    change = (encoder(inputs).values - encoder(encoder.preprocess(media)).values).norm(dim=-1)
    assert holds(regions.flatten(0, 1)[int(change.argmax()), :1], 1.1, slack=0.05)


def test_beats_and_groups_and_features_have_a_region_each(tmp_path: Path) -> None:
    golden = Golden("beats_tiny")
    torch.save({"cfg": golden.details["constructor"], "model": golden.weights}, tmp_path / "beats.pt")
    beats = BeatsEncoder(tmp_path / "beats.pt")
    media = click(6.0, 7.0)
    regions = beats.feature_regions(media, beats.preprocess(media))
    assert regions.shape == (*beats.preprocess(media)["mask"].shape, 2, 2)
    assert regions[1, 0, 0].tolist() == pytest.approx([5.12, 5.28])

    golden = Golden("point_bert_tiny")
    save_file(golden.weights, tmp_path / "ulip.safetensors")
    size = {"width": 48, "num_blocks": 3, "num_heads": 4, "group_width": 32, "embedding_dim": 40}
    cloud = Media("cloud", data=np.random.default_rng(0).normal(size=(300, 3)) * 5 + 100)
    for output, count in (("tokens", 17), ("embedding", 1)):
        points = PointBertEncoder(tmp_path / "ulip.safetensors", output, 256, 16, 8, size=size)
        found = points.feature_regions(cloud, points.preprocess(cloud))
        assert found is not None
        assert found.shape[:2] == (1, count)
        assert torch.isinf(found[0, 0]).all()
        if count > 1:
            assert ((found[0, 1:] > 80) & (found[0, 1:] < 120)).all()  # in the coordinates of the cloud

    ready = PrecomputedFeatures("features", 4, 9)
    rows = Media("features", features=np.ones((3, 4), dtype=np.float32))
    assert ready.feature_regions(rows, ready.preprocess(rows))[0, :, 0].tolist() == [[0, 1], [1, 2], [2, 3]]


@pytest.mark.parametrize("clips", [None, {"policy": "dense", "stride_seconds": 0.2}, {"policy": "whole"}])
def test_a_video_is_cut_into_the_frames_that_its_encoder_takes(clips: dict[str, object] | None, tmp_path: Path) -> None:
    save_file(efficientnet_state(), tmp_path / "model.safetensors")
    encoder = FrameEncoder(EfficientNetLite(tmp_path / "model.safetensors", image_size=64), 6, clips=clips)
    media = Media("video", data=np.random.default_rng(0).integers(0, 256, (10, 20, 30, 3), dtype=np.uint8))
    inputs = encoder.preprocess(media)
    parts = encoder.media_parts(media, 12)
    whole = encoder.preprocess(parts.hide(np.zeros([axis.size for axis in parts.axes], dtype=bool)))
    assert all(torch.equal(inputs[name], whole[name]) for name in inputs)
    regions = encoder.feature_regions(media, inputs)
    assert regions is not None
    assert regions.shape == (*encoder(inputs).mask.shape, 3, 2)
    assert regions[-1, 0, 0].tolist() == [len(inputs["frame_number"]) - 1, len(inputs["frame_number"])]


def test_a_video_of_unknown_sampling_is_read_as_frames_in_their_times() -> None:
    media = Media("video", data=tuple(Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(40)))
    parts = cut(media, "video", 8)
    assert parts is not None
    frames = load_frames(parts.hide(np.zeros([axis.size for axis in parts.axes], dtype=bool)))
    assert len(frames.images) == 16
    assert frames.times[-1] == pytest.approx(load_frames(media, 16).times[-1], abs=0.5)


def test_depth_has_the_regions_of_the_picture_that_is_made_of_it(tmp_path: Path) -> None:
    save_file(efficientnet_state(), tmp_path / "model.safetensors")
    inner = EfficientNetLite(tmp_path / "model.safetensors", image_size=64)
    encoder = SensorPictureEncoder(inner, "depth")
    media = Media("depth", data=np.ones((20, 40), dtype=np.float32))
    regions = encoder.feature_regions(media, encoder.preprocess(media))
    assert encoder.medium == "depth"
    assert regions is not None
    assert regions.shape == (1, inner.max_features, 2, 2)


def test_bands_are_equally_wide_on_the_mel_scale() -> None:
    low, middle, high = mel_edges(0.0, 8000.0, 2)
    assert low == pytest.approx(0)
    assert 1127 * np.log1p(middle / 700) == pytest.approx(1127 * np.log1p(8000 / 700) / 2)
    assert high == pytest.approx(8000)
