"""Frames of a video come in order, with their times, evenly spread, whatever the video is stored as."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from omni.media.errors import MediaError
from omni.media.frames import load_frames
from omni.samples.messages import Media


def shade(index: int) -> int:
    return 12 * index


def pictures(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (32, 16), (shade(index),) * 3) for index in range(count)]


def video(count: int, rate: int = 10, format: str = "mp4", codec: str = "mpeg4") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for index, picture in enumerate(pictures(count)):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = index, Fraction(1, rate)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return buffer.getvalue()


def indices_of(images: list[Image.Image]) -> list[int]:
    """Which frames these are, by their shade."""
    return [round(float(np.asarray(image).mean()) / 12) for image in images]


def test_listed_pictures_are_frames_in_the_given_order(tmp_path: Path) -> None:
    paths = []
    for index, picture in enumerate(pictures(5)):
        paths.append(str(tmp_path / f"walk-{index}.png"))
        picture.save(paths[-1])
    frames = load_frames(Media("video", path=paths))
    assert indices_of(frames.images) == [0, 1, 2, 3, 4]
    assert frames.times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    slow = load_frames(Media("video", path=paths[::-1], options={"num_frames": 2, "frames_per_second": 1}))
    assert indices_of(slow.images) == [3, 1]
    assert slow.times.tolist() == [1, 3]


def test_folder_of_pictures_is_in_natural_order(tmp_path: Path) -> None:
    for index, picture in enumerate(pictures(12)):
        picture.save(tmp_path / f"walk-{index}.png")
    assert indices_of(load_frames(tmp_path).images) == list(range(12))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_animation_gives_frames_at_its_own_times(format: str) -> None:
    buffer = io.BytesIO()
    first, *rest = pictures(4)
    options = {"lossless": True} if format == "WEBP" else {}
    first.save(buffer, format, save_all=True, append_images=rest, duration=200, **options)
    frames = load_frames(buffer.getvalue())
    assert indices_of(frames.images) == [0, 1, 2, 3]
    assert frames.times.tolist() == pytest.approx([0, 0.2, 0.4, 0.6])
    assert indices_of(load_frames(buffer.getvalue(), 2).images) == [1, 3]
    assert indices_of(load_frames(buffer.getvalue(), start=0.15, end=0.5).images) == [1, 2]


@pytest.mark.parametrize(
    ("format", "codec"), [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4")]
)
def test_video_file_gives_its_frames_evenly_spread(format: str, codec: str) -> None:
    data = video(20, format=format, codec=codec)
    everything = load_frames(data)
    assert indices_of(everything.images) == list(range(20))
    assert everything.times == pytest.approx(np.arange(20) / 10, abs=2e-3)
    few = load_frames(data, 4)
    assert indices_of(few.images) == [2, 7, 12, 17]
    assert indices_of(load_frames(data, 2, start=1.0, end=2.0).images) == [12, 17]


def test_seeking_and_reading_on_choose_the_same_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    data = video(20)
    reading_on = load_frames(data, 5)
    monkeypatch.setattr("omni.media.container._SEEK_AHEAD_SECONDS", 0.0)
    seeking = load_frames(data, 5)
    assert indices_of(seeking.images) == indices_of(reading_on.images) == [2, 6, 10, 14, 18]


def test_no_frame_comes_twice() -> None:
    assert indices_of(load_frames(video(3), 16).images) == [0, 1, 2]
    assert len(load_frames(Image.new("RGB", (2, 2)), 8).images) == 1


def test_array_of_frames_is_a_video() -> None:
    array = np.stack([np.asarray(picture) for picture in pictures(6)])
    assert indices_of(load_frames(array, 3).images) == [1, 3, 5]


def test_broken_video_is_an_error_with_its_cause(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="looks like a text file"):
        load_frames(b"some words, no video")
    with pytest.raises(MediaError, match="zero bytes"):
        load_frames(b"")
    data = video(20)
    with pytest.raises(MediaError, match=r"not a video that can be read|damaged or cut off"):
        load_frames(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"0\.png.*no such file"):
        load_frames(Media("video", path=[str(tmp_path / "0.png")]))
    with pytest.raises(MediaError, match="holds no pictures"):
        load_frames(tmp_path)
    with pytest.raises(MediaError, match="it is 2 s long"):
        load_frames(data, 2, start=7)
    with pytest.raises(MediaError, match="num_frames must be a number from 1"):
        load_frames(data, 0)
    with pytest.raises(MediaError, match=r"\[T, H, W, 3\]"):
        load_frames(np.zeros((4, 4)))
