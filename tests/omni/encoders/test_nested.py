import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from omni.encoders.efficientnet import EfficientNetLite
from omni.encoders.nested import FrameEncoder, MultiViewEncoder, SensorPictureEncoder, sinusoidal_positions
from omni.media.errors import MediaError
from omni.media.item import Media
from omni.samples.messages import parse_messages
from omni.starter import resolve
from tests.omni.encoders.tiny_networks import efficientnet_state


@pytest.fixture(scope="module")
def image_encoder(tmp_path_factory: pytest.TempPathFactory) -> EfficientNetLite:
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(efficientnet_state(), path)
    return EfficientNetLite(path, image_size=64)


def video(num_frames: int, seed: int = 0) -> Media:
    frames = np.random.default_rng(seed).integers(0, 256, (num_frames, 20, 20, 3), dtype=np.uint8)
    return Media("video", data=frames)


def test_frames_are_the_image_encoders_features_with_time_added(image_encoder: EfficientNetLite) -> None:
    media = video(3)
    assert isinstance(media.data, np.ndarray)
    plain = FrameEncoder(image_encoder, num_frames=4, position_scale=0.0)
    features = plain(plain.preprocess(media))
    alone = [image_encoder(image_encoder.preprocess(Media("image", data=frame))) for frame in media.data]
    expected = torch.cat([one.values for one in alone])
    torch.testing.assert_close(features.values, expected, atol=1e-5, rtol=1e-5)

    timed = FrameEncoder(image_encoder, num_frames=4, position_scale=0.5)
    added = timed(timed.preprocess(media)).values - expected
    assert (timed.dim, timed.max_features) == (1280, 4 * image_encoder.max_features)
    for frame in range(3):
        size = expected[frame].square().mean().sqrt().item()
        assert added[frame].square().mean().sqrt().item() == pytest.approx(0.5 * size, rel=1e-3)
        direction = sinusoidal_positions(torch.tensor([float(frame)]), 1280)[0]
        assert torch.cosine_similarity(added[frame, 0], direction, dim=0) > 0.999


def test_a_still_frame_twice_differs_by_its_time_only_when_positions_are_on(image_encoder: EfficientNetLite) -> None:
    media = Media("video", data=np.full((2, 20, 20, 3), 90, dtype=np.uint8))
    without, with_time = (FrameEncoder(image_encoder, position_scale=scale) for scale in (0.0, 0.5))
    first, second = without(without.preprocess(media)).values
    torch.testing.assert_close(first, second, atol=1e-6, rtol=0)
    first, second = with_time(with_time.preprocess(media)).values
    assert (first - second).abs().max() > 1e-4


def test_a_video_that_asks_for_fewer_frames_gives_fewer(image_encoder: EfficientNetLite) -> None:
    encoder = FrameEncoder(image_encoder, num_frames=4)
    media = video(9)
    numbers = {
        asked: len(encoder.preprocess(Media("video", data=media.data, options={"num_frames": asked}))["frame_number"])
        for asked in (1, 2, 4, 8)
    }
    assert numbers == {1: 1, 2: 2, 4: 4, 8: 4}  # never more than the encoder takes
    with pytest.raises(MediaError, match="num_frames must be a whole number"):
        encoder.preprocess(Media("video", data=media.data, options={"num_frames": 1.5}))


def test_batched_videos_of_different_length_equal_single_ones(image_encoder: EfficientNetLite) -> None:
    encoder = FrameEncoder(image_encoder, num_frames=4)
    items = [encoder.preprocess(video(length, seed=length)) for length in (1, 3, 9)]
    assert [len(item["frame_number"]) for item in items] == [1, 3, 4]
    joined = {name: torch.cat([item[name] for item in items]) for name in items[0]}
    alone = torch.cat([encoder(item).values for item in items])
    torch.testing.assert_close(encoder(joined).values, alone, atol=1e-5, rtol=0)


def test_views_are_the_image_encoders_features_of_rendered_pictures(image_encoder: EfficientNetLite) -> None:
    points = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) * [1, 2, 3]
    encoder = MultiViewEncoder(image_encoder, num_views=3, render_size=64)
    features = encoder(encoder.preprocess(Media("point_cloud", data=points.astype(np.float32))))
    assert features.values.shape == (3, 4, 1280)
    assert features.mask.all()
    assert encoder.max_features == 12
    assert encoder.features_per_clip({}) == 4
    assert not torch.allclose(features.values[0], features.values[1], atol=1e-3)


def test_licence_extensions_and_frozenness_come_with_the_image_encoder(image_encoder: EfficientNetLite) -> None:
    encoder = MultiViewEncoder(image_encoder, up="z").train()
    assert encoder.licence == "Apache-2.0"
    assert ".obj" in encoder.file_extensions
    assert not encoder.image_encoder.training
    with pytest.raises(ValueError, match="up is 'w'; allowed: x, y, z"):
        MultiViewEncoder(image_encoder, up="w")
    with pytest.raises(ValueError, match="must be an Encoder, got Linear"):
        FrameEncoder(torch.nn.Linear(1, 1))  # pyright: ignore[reportArgumentType]


def test_fingerprints_depend_on_settings_and_on_the_image_encoder(
    image_encoder: EfficientNetLite, tmp_path: Path
) -> None:
    save_file(efficientnet_state(seed=1), tmp_path / "other.safetensors")
    other = EfficientNetLite(tmp_path / "other.safetensors", image_size=64)
    assert FrameEncoder(image_encoder).fingerprint() == FrameEncoder(image_encoder).fingerprint()
    prints = {
        FrameEncoder(image_encoder).fingerprint(),
        FrameEncoder(image_encoder, num_frames=3).fingerprint(),
        FrameEncoder(other).fingerprint(),
        MultiViewEncoder(image_encoder).fingerprint(),
        MultiViewEncoder(image_encoder, elevation=10.0).fingerprint(),
    }
    assert len(prints) == 5


SPEC = {"class_path": "omni.encoders.EfficientNetLite", "init_args": {"weights": "starter:efficientnet-lite0"}}


@pytest.mark.starter
def test_real_furniture_and_frames_through_an_encoder_named_in_a_recipe() -> None:
    with open(resolve("starter:furniture/object-test.jsonl"), encoding="utf-8") as file:
        chair = json.loads(next(line for line in file if " chair" in line))
    path = resolve("starter:furniture/" + chair["meta"]["point_cloud"])
    views = MultiViewEncoder(SPEC)
    features = views(views.preprocess(Media("point_cloud", path=path)))
    assert features.values.shape == (6, 49, 1280)
    seats = {
        423,
        559,
        765,
        703,
        857,
        831,
    }  # barber chair, folding chair, rocking chair, park bench, throne, studio couch
    assert isinstance(views.image_encoder, EfficientNetLite)
    inputs = views.preprocess(Media("point_cloud", path=path))
    torch.testing.assert_close(views.label_probabilities(inputs), views.image_encoder.label_probabilities(inputs))
    guesses = views.image_encoder.classify(views.preprocess(Media("point_cloud", path=path))["pixels"]).topk(5).indices
    assert sum(bool(seats & set(view)) for view in guesses.tolist()) >= 3

    with open(resolve("starter:wesnoth/video-test.jsonl"), encoding="utf-8") as file:
        (part, *_) = json.loads(next(file))["messages"][0]["content"]
    frames = FrameEncoder(SPEC, num_frames=4)
    paths = [resolve("starter:wesnoth/" + name) for name in part["path"]]
    inputs = frames.preprocess(Media("video", path=paths))
    assert len(inputs["frame_number"]) == min(4, len(paths))
    assert frames(inputs).mask.all()
    assert frames.label_probabilities(inputs).sum() == pytest.approx(1, abs=1e-5)


def test_frames_are_chosen_by_the_policy_of_the_recipe(image_encoder: EfficientNetLite) -> None:
    media = video(30)  # 3 s
    dense = FrameEncoder(image_encoder, num_frames=8, clips={"policy": "dense", "stride_seconds": 1.0})
    whole = FrameEncoder(image_encoder, clips={"policy": "whole", "num_clips": 40})
    assert len(dense.preprocess(media)["frame_number"]) == 3
    assert len(whole.preprocess(media)["frame_number"]) == 30
    assert whole.max_features == 40 * image_encoder.max_features
    with pytest.raises(MediaError, match="has 30 frames, more than 20"):
        FrameEncoder(image_encoder, clips={"policy": "whole", "num_clips": 20}).preprocess(media)
    with pytest.raises(ValueError, match="need stride_seconds"):
        FrameEncoder(image_encoder, clips={"policy": "dense"})


def test_depth_and_thermal_of_a_manifest_are_grey_pictures(image_encoder: EfficientNetLite, tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 16), 1000, np.uint16)).save(tmp_path / "x.png")
    for kind, options, grey in (
        ("depth", {"focal_length": 500}, round(0.075 * 500 / 75 * 255)),
        ("thermal", {"scaling": "radiometric", "kelvin_per_count": 0.29315, "temperatures": [0, 40]}, 128),
    ):
        content = [{"type": kind, "path": "x.png"}, {"type": "text", "text": "What is this?"}]
        messages = parse_messages([{"role": "user", "content": content}], base=tmp_path)
        encoder = SensorPictureEncoder(image_encoder, kind, options=options)
        found = encoder.preprocess(messages[0].media[0])
        same = image_encoder.preprocess(Media("image", data=np.full((16, 16, 3), grey, np.uint8)))
        assert found.keys() == same.keys()
        for key, tensor in found.items():
            torch.testing.assert_close(tensor.float(), same[key].float(), atol=1.01, rtol=0)
    with pytest.raises(ValueError, match="modality is 'sound'; allowed: depth, thermal"):
        SensorPictureEncoder(image_encoder, "sound")
