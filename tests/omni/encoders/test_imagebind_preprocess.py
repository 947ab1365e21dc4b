"""What ImageBind is given: against golden filter banks, CLIP's processor of transformers, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from omni.encoders.imagebind.preprocess import (
    depth_clips,
    image_clips,
    imu_clips,
    mel_clip,
    sound_clips,
    thermal_clips,
    video_clips,
)
from omni.encoders.imagebind.tokenizer import clean_text
from omni.media.clips import Clips
from omni.media.errors import MediaError
from omni.media.item import Media
from tests.golden_numbers import Golden

GOLDEN = Golden("imagebind_audio_preproc")
MEL_TOLERANCE = 2e-3 / 9.138  # that of the golden file, on the normalised scale
ONE, THREE = Clips("uniform", 1), Clips("uniform", 3)


def imu_only(media: Media) -> torch.Tensor:
    return imu_clips(media, ONE)[0]


@pytest.mark.parametrize("name", ["clip2s", "clip_short", "clip_long", "clip_silence", "clip_stereo"])
def test_filter_banks_equal_the_reference(name: str) -> None:
    expected = (GOLDEN.outputs[f"{name}.melspec"] + 4.268) / 9.138
    actual = mel_clip(GOLDEN.inputs[name][0].numpy())
    assert actual.shape == expected.shape == (1, 128, 204)
    assert float((actual - expected).abs().max()) <= MEL_TOLERANCE


def test_overlapping_clips_of_a_sound_do_not_change_each_other() -> None:
    samples = GOLDEN.inputs["flow4s"][0].numpy()
    before = samples.copy()
    clips, mask = sound_clips(Media("sound", data=samples, sampling_rate=16000), THREE)
    assert float((clips - GOLDEN.outputs["flow4s.normalised_copies"]).abs().max()) <= MEL_TOLERANCE
    assert mask.all()
    assert np.array_equal(samples, before)


def test_the_shortest_sounds_become_one_masked_clip() -> None:
    for num_samples in (1, 100, 368, 16000):  # 368 samples are 23 ms, less than one frame
        samples = np.linspace(-1, 1, num_samples).astype(np.float32)
        clips, mask = sound_clips(Media("sound", data=samples, sampling_rate=16000), THREE)
        assert clips.shape == (1, 1, 128, 204)
        assert clips.isfinite().all()
        times = mask[0, 1:].reshape(12, 19)
        num_real = max(1, -(-((num_samples - 400) // 160 + 1) // 10))
        assert mask[0, 0]
        assert times.sum(dim=1).tolist() == [num_real] * 12
        assert times[:, :num_real].all()


@pytest.mark.parametrize("size", [(300, 200), (200, 333), (224, 224), (50, 61)])
def test_pictures_are_prepared_as_clip_does(size: tuple[int, int]) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    expected = CLIPImageProcessorPil()(picture, return_tensors="pt")["pixel_values"]
    actual = image_clips(Media("image", data=picture))
    assert float((actual - expected).abs().max()) < 1e-5


def test_a_video_becomes_first_and_last_frames_of_clips_in_three_crops() -> None:
    """At 2 frames a second, a clip of 2 s holds four frames, each of one grey; brightness grows along the width."""
    frames = np.zeros((12, 8, 16, 3), np.uint8)
    frames += (10 * np.arange(12, dtype=np.uint8))[:, None, None, None]
    frames[:, :, 8:] += 100
    media = Media("video", data=frames, options={"frames_per_second": 2})
    clips = video_clips(media, THREE)
    assert clips.shape == (9, 3, 2, 224, 224)
    red = clips[:, 0] * 0.26862954 + 0.48145466
    left = (red[::3, :, 100, 10] * 255).round().int().tolist()
    right = (red[2::3, :, 100, 200] * 255).round().int().tolist()
    assert left == [[0, 30], [40, 70], [80, 110]]
    assert right == [[100, 130], [140, 170], [180, 210]]
    middle = red[1, 0, 100] * 255
    assert middle[10] == pytest.approx(0, abs=0.01)
    assert middle[210] == pytest.approx(100, abs=0.01)


def test_a_video_file_gives_the_frames_at_the_clips_ends(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "grey.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"crf": "1"}
        for index in range(60):
            picture = np.full((48, 64, 3), 4 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    clips = video_clips(Media("video", path=str(tmp_path / "grey.mp4")), THREE)
    grey = (clips[1::3, 0, :, 112, 112] * 0.26862954 + 0.48145466) * 255
    expected = torch.tensor([[0, 19], [20, 39], [40, 59]]) * 4.0
    assert float((grey - expected).abs().max()) < 3


def test_a_still_picture_and_a_short_video_have_one_clip() -> None:
    one = video_clips(Media("video", data=np.full((1, 30, 30, 3), 90, np.uint8)), Clips("uniform", 5))
    assert one.shape == (3, 3, 2, 224, 224)
    assert torch.equal(one[0], one[2])
    assert torch.equal(one[:, :, 0], one[:, :, 1])


def test_disparity_is_cut_at_75_and_normalised() -> None:
    """At 0.1 m the first Kinect's disparity is 0.075 x 518.86 / 0.1 = 389."""
    clips = depth_clips(Media("depth", data=np.full((300, 400), 0.1)))
    assert clips.shape == (1, 1, 224, 224)
    torch.testing.assert_close(clips, torch.full_like(clips, (1 - 0.0418) / 0.0295))
    ready = Media("depth", data=np.full((1, 230, 230), 7.5, np.float32), options={"encoding": "disparity"})
    clips = depth_clips(ready)
    torch.testing.assert_close(clips, torch.full_like(clips, (0.1 - 0.0418) / 0.0295))


def test_thermal_pictures_are_scaled_by_their_number_format() -> None:
    full = {"scaling": "full"}
    for array in (np.full((10, 20), 51, np.uint8), np.full((10, 20), 13107, np.uint16), np.full((10, 20), 0.2)):
        clips = thermal_clips(Media("thermal", data=array, options=full))
        torch.testing.assert_close(clips, torch.full((1, 1, 224, 224), 0.2), atol=1e-5, rtol=0)


def test_inertial_samples_may_be_turned_round() -> None:
    samples = np.random.default_rng(0).normal(size=(6, 2000)).astype(np.float32)
    for array in (samples, samples.T):
        clips, mask = imu_clips(Media("imu", data=array), ONE)
        assert torch.equal(clips[0], torch.from_numpy(samples))
        assert mask.shape == (1, 251)
        assert mask.all()


def test_recordings_shorter_than_a_clip_are_filled_up_and_masked() -> None:
    """804 samples are 100 and a half patches of 8, behind the class token."""
    clips, mask = imu_clips(Media("imu", data=np.ones((6, 804)), options={"sampling_rate": 400}), ONE)
    assert clips.shape == (1, 6, 2000)
    assert (clips[:, :, :804] == 1).all()
    assert (clips[:, :, 804:] == 0).all()
    assert mask.sum() == 1 + 101
    assert mask[0, :102].all()


def test_long_recordings_have_clips_by_policy() -> None:
    ramp = np.tile(np.arange(6000.0), (6, 1))
    media = Media("imu", data=ramp, sampling_rate=400)
    assert imu_clips(media, THREE)[0][:, 0, 0].tolist() == [0, 2000, 4000]
    assert imu_clips(media, Clips("dense", 9, stride_seconds=2.5))[0][:, 0, 0].tolist() == [0, 1000, 2000, 3000, 4000]


@pytest.mark.parametrize(
    ("prepare", "array", "problem"),
    [
        (imu_only, np.zeros((6, 1999)), r"has neither times nor a rate"),
        (imu_only, np.full((6, 2000), np.nan), "holds NaN"),
        (imu_only, np.zeros((5, 2000)), r"must be \[T, 6\] or \[6, T\].* got \[5, 2000\]"),
        (depth_clips, np.zeros((3, 4, 5)), r"must be an array \[height, width\], got \[3, 4, 5\]"),
        (depth_clips, np.full((4, 5), np.inf), "no pixel of known depth"),
        (thermal_clips, np.full((4, 5), 30.0), "from 30 to 30; say how they become brightness"),
        (thermal_clips, np.zeros((0, 5)), r"got \[0, 5\]"),
    ],
)
def test_arrays_that_cannot_be_used_are_errors_of_that_item(prepare, array: np.ndarray, problem: str) -> None:
    with pytest.raises(MediaError, match=problem):
        prepare(Media("sensor", data=array))


def test_pictures_of_extreme_proportions_take_bounded_memory() -> None:
    """Resized whole, this one would have 224 x 4.5 million pixels."""
    narrow = np.zeros((20000, 1, 3), np.uint8)
    narrow[9990:10010] = 255
    clips = image_clips(Media("image", data=narrow))
    assert clips.shape == (1, 3, 224, 224)
    assert float(clips.min()) > 1.9
    with pytest.raises(MediaError, match="is 1 x 60 pixels; a side may be at most 50 times the other"):
        video_clips(Media("video", data=np.zeros((2, 60, 1, 3), np.uint8)), ONE)


def test_text_is_cleaned_as_clip_does() -> None:
    assert clean_text("two  people &amp; a dog's\n ball ") == "two people & a dog's ball"
    assert clean_text("a dogâ€™s cafÃ©") == "a dog's café"
