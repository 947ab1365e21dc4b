"""The keys `clips` and `clip_seconds` of `HuggingFaceEncoder`: which parts of long sounds and videos it is given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image

from omni.encoders.huggingface import HuggingFaceEncoder
from omni.media.errors import MediaError
from omni.media.item import Media
from tests.omni.encoders.tiny_families import join, sound


def seconds_of(media: Media, start: float, end: float) -> Media:
    assert isinstance(media.data, np.ndarray)
    return Media("sound", data=media.data[round(start * 16000) : round(end * 16000)], sampling_rate=16000)


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ({"policy": "uniform", "num_clips": 2}, [(0, 30), (40, 70)]),
        ({"policy": "dense", "num_clips": 4, "stride_seconds": 20}, [(0, 30), (20, 50), (40, 70)]),
        ({"policy": "dense", "num_clips": 2}, [(0, 30), (60, 70)]),
        ({"policy": "whole"}, [(0, 30), (30, 60), (60, 70)]),
    ],
)
def test_clips_of_a_long_sound_are_the_parts_that_the_policy_says(
    clips: dict[str, Any], expected: list[tuple[float, float]], folder_of: Callable[[str], Path]
) -> None:
    folder = str(folder_of("whisper"))
    encoder = HuggingFaceEncoder(folder, clips=clips)
    long = sound(70)
    inputs = encoder.preprocess(long)
    parts = [HuggingFaceEncoder(folder).preprocess(seconds_of(long, *part)) for part in expected]
    for name in ("input_features", "mask"):
        assert torch.equal(inputs[name], torch.cat([part[name] for part in parts]))
    assert inputs["mask"].sum(dim=1).tolist() == [50 * (end - start) for start, end in expected]
    assert encoder.max_features == clips.get("num_clips", 256) * 1500


def test_a_sound_shorter_than_a_clip_is_one_padded_clip_whatever_the_policy(folder_of: Callable[[str], Path]) -> None:
    folder = str(folder_of("ast"))  # clips of 0.64 s
    (alone,) = HuggingFaceEncoder(folder).preprocess(sound(0.25))["input_values"]
    for policy in ("uniform", "dense", "whole"):
        encoder = HuggingFaceEncoder(folder, clips={"policy": policy, "num_clips": 3}, keep_class_token=False)
        short = encoder.preprocess(sound(0.25))
        assert torch.equal(short["input_values"], alone[None])
        together = encoder(join(encoder, [sound(0.25), sound(1.9, seed=1)]))
        apart = [encoder(encoder.preprocess(item)) for item in (sound(0.25), sound(1.9, seed=1))]
        assert together.mask.sum(dim=1).tolist() == [2 * 3, 10, 10, 10], "bands x times that hold sound"
        assert torch.equal(together.mask[:1, : apart[0].mask.shape[1]], apart[0].mask)
        length = apart[0].values.shape[1]
        torch.testing.assert_close(together.values[:1, :length], apart[0].values, atol=1e-5, rtol=0)
        torch.testing.assert_close(together.values[1:], apart[1].values, atol=1e-5, rtol=0)


def test_overlapping_waveform_clips_leave_out_what_another_holds(folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of("hubert")), clips={"policy": "dense", "num_clips": 5})
    long = sound(23)
    assert isinstance(long.data, np.ndarray)
    inputs = encoder.preprocess(long)
    assert inputs["input_values"].shape == (3, 160000)
    real = inputs["mask"].sum(dim=1) / (16000 / 20)
    assert real.tolist() == pytest.approx([10, 10, 3], abs=0.01)
    last = HuggingFaceEncoder(str(folder_of("hubert"))).preprocess(seconds_of(long, 13, 23))["input_values"]
    torch.testing.assert_close(inputs["input_values"][2:], last)


def test_more_sound_than_whole_clips_may_hold_is_an_error_of_the_item(folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of("ast")), clips={"policy": "whole", "num_clips": 2})
    kept, refused = encoder.preprocess_all([sound(1.2), sound(1.5)])
    assert isinstance(kept, dict)
    assert len(kept["mask"]) == 2
    assert isinstance(refused, MediaError)
    assert "3 clips of 0.64 s; at most 2" in str(refused)


@pytest.mark.parametrize(
    ("clips", "num_frames", "expected"),
    [  # 10 frames a second, 4 in the middles of the quarters of each clip
        ({"policy": "whole"}, 25, [[1, 3, 6, 8], [11, 13, 16, 18], [20, 21, 23, 24]]),
        ({"policy": "dense", "stride_seconds": 0.5, "num_clips": 2}, 25, [[1, 3, 6, 8], [16, 18, 21, 23]]),
        ({"policy": "uniform"}, 25, [[1, 3, 6, 8], [6, 8, 11, 13], [11, 13, 16, 18], [16, 18, 21, 23]]),
        ({"policy": "uniform"}, 3, [[0, 1, 1, 2]]),
    ],
)
def test_clips_of_a_video_hold_the_frames_of_their_seconds(
    clips: dict[str, Any], num_frames: int, expected: list[list[int]], folder_of: Callable[[str], Path]
) -> None:
    encoder = HuggingFaceEncoder(str(folder_of("videomae")), clips=clips, clip_seconds=1.0)
    frames = np.random.default_rng(0).integers(0, 256, (num_frames, 40, 48, 3), dtype=np.uint8)
    inputs = encoder.preprocess(Media("video", data=frames))
    processor = hf.AutoImageProcessor.from_pretrained(folder_of("videomae"), backend="pil")
    for clip, numbers in zip(inputs["pixel_values"], expected, strict=True):
        pixels = processor([Image.fromarray(frames[number]) for number in numbers], return_tensors="pt")
        assert torch.equal(clip, pixels["pixel_values"][0])
    features = encoder(inputs)
    assert features.mask.all()
    assert encoder.max_features == {"whole": 256, "dense": 2, "uniform": 4}[clips["policy"]] * features.mask.shape[1]


def test_clips_that_make_no_sense_are_errors_and_others_change_the_fingerprint(
    folder_of: Callable[[str], Path],
) -> None:
    uniform = {"policy": "uniform", "num_clips": 2}
    for family, keys, message in (
        ("vit", {"clips": uniform}, "is a model of pictures"),
        ("videomae", {"clips": uniform}, "need clip_seconds"),
        ("videomae", {"clip_seconds": 1.0}, "together with clips only"),
        ("videomae", {"clips": uniform, "clip_seconds": 0.0}, "it is above 0"),
        ("ast", {"clips": uniform, "clip_seconds": 1.0}, "for video models"),
        ("ast", {"clips": {"policy": "all"}}, "clips.policy"),
    ):
        with pytest.raises(ValueError, match=message):
            HuggingFaceEncoder(str(folder_of(family)), **keys)  # pyright: ignore[reportArgumentType]
    ast = str(folder_of("ast"))
    prints = {
        HuggingFaceEncoder(ast).fingerprint(),
        HuggingFaceEncoder(ast, clips=uniform).fingerprint(),
        HuggingFaceEncoder(ast, clips=uniform | {"num_clips": 3}).fingerprint(),
    }
    assert len(prints) == 3
