"""Video files as they come: other containers and codecs, odd time stamps, rotation, sound on the pictures' time."""

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from omni.media import Media, MediaError
from omni.media.container import open_container, sound_track
from omni.media.frames import load_frames, load_frames_at
from omni.media.sound import load_sound

RATE = 10
STEP = 4  # grey levels from one frame to the next


def encode(
    file: Any,
    times: Sequence[float],
    *,
    form: str,
    codec: str,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    size: tuple[int, int] = (64, 48),
    rate: int = RATE,
) -> None:
    """A video whose frame `i`, shown from `times[i]` on, has the grey level 4 i."""
    with av.open(file, "w", format=form, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = 12
        stream.options = options or {}
        stream.codec_context.time_base = Fraction(1, rate if codec.startswith("mpeg") else 1000)
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), STEP * index, np.uint8))
            frame.pts = round(time / float(stream.codec_context.time_base))
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def numbers(images: Sequence[Image.Image]) -> list[int]:
    """Which frames these are, by their grey."""
    return [round(float(np.asarray(image).mean()) / STEP) for image in images]


STEADY = np.arange(60) / RATE
KINDS = {
    "mp4": {"form": "mp4", "codec": "libx264", "options": {"crf": "5"}},
    "mov": {"form": "mov", "codec": "mjpeg"},
    "mkv": {"form": "matroska", "codec": "libx264", "options": {"crf": "5"}},
    "webm": {"form": "webm", "codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "avi": {"form": "avi", "codec": "mpeg4", "options": {"qscale": "2"}},
    "mpg": {"form": "mpeg", "codec": "mpeg2video", "options": {"b": "4M"}},
    "ts": {"form": "mpegts", "codec": "libx264", "options": {"crf": "5"}},
    "flv": {"form": "flv", "codec": "libx264", "options": {"crf": "5"}},
    "fragmented mp4": {
        "form": "mp4",
        "codec": "libx264",
        "options": {"crf": "5"},
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "bare h264": {"form": "h264", "codec": "libx264", "options": {"crf": "5", "bf": "0"}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_container_gives_the_same_frames(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By count, by rate and in a window."""
    monkeypatch.setattr("omni.media.container._SEEK_AHEAD_SECONDS", 0.5)
    # MPEG-2 knows no 10 frames a second; a bare stream has no times, and 25 is FFmpeg's guess.
    second = 25 if kind in ("mpg", "bare h264") else RATE
    file = io.BytesIO()
    times = np.arange(60) / second
    encode(file, times, rate=second, **KINDS[kind])
    data = file.getvalue()
    every = load_frames(data)
    assert numbers(every.images) == pytest.approx(list(range(60)), abs=1)
    # MPEG program streams do not say how long they are, and their writer is a frame late in the middle.
    assert every.times == pytest.approx(times, abs=1.1 / second if kind == "mpg" else 0.02)
    middles = [6, 18, 30, 42, 54]
    assert numbers(load_frames(data, 5).images) == pytest.approx(middles, abs=3 if kind == "mpg" else 1)
    part = load_frames(data, start=20 / second, end=30.5 / second)
    assert numbers(part.images) == pytest.approx(list(range(20, 31)), abs=1)
    two = load_frames(data, sample_rate=2 * second / 10, start=10 / second)
    assert numbers(two.images) == pytest.approx(list(range(10, 60, 5)), abs=1)
    assert numbers(load_frames(data, 3, sample_rate=second).images) == pytest.approx([0, 30, 59], abs=5)


def test_frames_of_a_variable_rate_are_chosen_by_time_not_by_number(tmp_path: Path) -> None:
    """Nine frames in the first 0.9 s, then one that stays for 9 s."""
    times = [*np.arange(10) / 10, 10.0]
    encode(str(tmp_path / "slides.mkv"), times, form="matroska", codec="libx264", options={"crf": "5"})
    path = tmp_path / "slides.mkv"
    assert numbers(load_frames(path, sample_rate=1).images) == [0, 9, 10]
    assert numbers(load_frames_at(path, lambda _: [0.25, 5.0, 0.55, 9.9, 10.0]).images) == [2, 9, 5, 9, 10]
    assert numbers(load_frames(path, start=4.0, end=6.0).images) == [9]
    shown = load_frames(path, 4)
    assert shown.times.tolist() == sorted(set(shown.times.tolist()))


def test_a_stream_without_a_duration_is_measured(tmp_path: Path) -> None:
    """A live recording: Matroska written where the writer cannot go back."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, block: Any) -> int:
            self.data += block
            return len(block)

    pipe = Pipe()
    encode(pipe, STEADY, form="webm", codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"})
    with open_container(bytes(pipe.data)) as container:
        assert container.duration is None
        assert container.streams.video[0].duration is None
    assert numbers(load_frames(bytes(pipe.data), 5).images) == pytest.approx([6, 18, 30, 42, 54], abs=1)


def test_rate_of_pictures_and_arrays() -> None:
    array = np.zeros((20, 4, 4, 3), np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None, None] * STEP
    media = Media("video", data=array, options={"frames_per_second": 5, "sample_rate": 1})
    assert numbers(load_frames(media).images) == [0, 5, 10, 15]
    assert numbers(load_frames(media, 2).images) == [0, 15]


def test_too_many_frames_or_pixels_are_an_error_that_says_so() -> None:
    array = np.broadcast_to(np.zeros((1, 1, 1), np.uint8), (5000, 2, 2, 3))
    with pytest.raises(MediaError, match="has 5000 frames, more than 4096; give num_frames"):
        load_frames(array)
    with pytest.raises(MediaError, match="has 5000 frames at 10 a second, more than 4096"):
        load_frames(array, sample_rate=10)
    wide = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (90, 3000, 3000, 3))
    with pytest.raises(MediaError, match="takes more than 2 GB"):
        load_frames(wide)


def with_sound(path: Path, sound_delay: float, video_delay: float = 0.0) -> None:
    """White from 1 s on, and a tone that begins then, in a sound stream that starts `sound_delay` late."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("flac" if path.suffix == ".mkv" else "aac", rate=16000)
        sound.layout = "mono"
        for index in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255 if index >= 10 else 0, np.uint8))
            frame.pts, frame.time_base = round(1000 * (index / RATE + video_delay)), Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        times = np.arange(int(sound_delay * 16000), 48000) / 16000
        samples = np.where(times >= 1.0, 16000 * np.sin(2 * np.pi * 440 * times), 0).astype(np.int16)
        for start in range(0, len(samples), 1024):
            block = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="s16", layout="mono")
            block.sample_rate = 16000
            block.pts = start + round(16000 * (sound_delay + video_delay))
            block.time_base = Fraction(1, 16000)
            container.mux(sound.encode(block))
        container.mux(sound.encode())


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize(("sound_delay", "video_delay"), [(0.0, 0.0), (0.5, 0.0), (0.5, 2.0)])
def test_the_sound_track_keeps_the_time_of_the_pictures(
    suffix: str, sound_delay: float, video_delay: float, tmp_path: Path
) -> None:
    path = tmp_path / f"bell{suffix}"
    with_sound(path, sound_delay, video_delay)
    for start, end in ((0.0, 3.0), (0.25, 2.0), (0.75, 1.5), (0.9, 3.0)):
        video = Media("video", path=str(path), options={"start": start, "end": end, "num_frames": 4})
        sound = sound_track(video)
        assert sound is not None
        assert sound.options == {"start": start, "end": end}
        samples = load_sound(sound).samples
        begins = np.flatnonzero(np.abs(samples) > 0.1)[0] / 16000 + start
        assert begins == pytest.approx(1.0, abs=0.03)
        assert len(samples) / 16000 == pytest.approx(end - start, abs=0.07)
        frames = load_frames(Media("video", path=str(path), options={"start": start, "end": end}))
        is_white = [np.asarray(image).mean() > 200 for image in frames.images]
        assert frames.times[is_white.index(True)] == pytest.approx(1.0, abs=0.01)


def test_silent_videos_have_no_sound_track(tmp_path: Path) -> None:
    encode(str(tmp_path / "mute.mp4"), STEADY[:5], **KINDS["mp4"])
    assert sound_track(Media("video", path=str(tmp_path / "mute.mp4"))) is None
    assert sound_track(Media("video", data=np.zeros((2, 4, 4, 3), np.uint8))) is None
    with pytest.raises(MediaError, match="not a video that can be read"):
        sound_track(Media("video", data=b"nothing of the kind"))


def test_a_playlist_reads_no_other_file(tmp_path: Path) -> None:
    """HLS and concat files name others, on this machine or elsewhere; a video item is one file."""
    encode(str(tmp_path / "secret.ts"), STEADY[:5], **KINDS["ts"])
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{tmp_path / 'secret.ts'}\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist)
    (tmp_path / "list.txt").write_text(f"ffconcat version 1.0\nfile {tmp_path / 'secret.ts'}\n")
    for content in (str(tmp_path / "list.m3u8"), str(tmp_path / "list.txt"), playlist.encode()):
        with pytest.raises(MediaError):
            load_frames(content)


def two_streams(form: str, seconds: float, sound_seconds: float) -> bytes:
    """Pictures as above, and a tone of another length."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        video: Any = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt, video.gop_size = 64, 48, "yuv420p", 12
        video.options = {"crf": "5", "bf": "0"}
        sound: Any = container.add_stream("aac", rate=16000)
        sound.layout = "mono"
        for index in range(round(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), STEP * index, np.uint8))
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for start in range(0, round(sound_seconds * 16000), 1024):
            block = av.AudioFrame.from_ndarray(np.full((1, 1024), 3000, np.int16), format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = 16000, start, Fraction(1, 16000)
            container.mux(sound.encode(block))
        container.mux(sound.encode())
    return file.getvalue()


@pytest.mark.parametrize("form", ["matroska", "flv", "mp4", "mpegts", "avi"])
@pytest.mark.parametrize("sound_seconds", [1.0, 10.0])
def test_length_is_that_of_the_pictures_not_of_the_sound(form: str, sound_seconds: float) -> None:
    data = two_streams(form, 4.0, sound_seconds)
    assert numbers(load_frames(data, 4).images) == pytest.approx([5, 15, 25, 35], abs=1)
    seen: list[float] = []
    load_frames_at(data, lambda duration: [seen.append(duration) or 0.0])
    assert seen == pytest.approx([4.0], abs=0.11)


def test_time_counts_from_the_first_frame_that_can_be_shown() -> None:
    """A recording cut out of a broadcast, between two key frames: the pictures before the second cannot be shown."""
    file = io.BytesIO()
    encode(file, STEADY, **KINDS["ts"])
    with av.open(io.BytesIO(file.getvalue())) as whole:
        places = [packet.pos for packet in whole.demux(whole.streams.video[0]) if packet.size]
    header = file.getvalue()[: places[0]]  # the tables of the programme
    cut = header + file.getvalue()[places[6] :]
    frames = load_frames(cut)
    assert frames.times[0] == 0
    first = numbers(frames.images[:1])[0]
    assert first == 12
    assert numbers(load_frames_at(cut, lambda _: [0.0, 1.0, 2.0]).images) == [12, 22, 32]
    assert numbers(load_frames(cut, start=3.5, end=3.7).images) == [47, 48]


def quarters(image: Image.Image) -> str:
    """Return the colours of the quarters, by the channel that is brightest; grey is "-"."""
    width, height = image.size
    found = ""
    for x, y in ((1, 1), (3, 1), (1, 3), (3, 3)):
        pixel = image.getpixel((width * x // 4, height * y // 4))
        assert isinstance(pixel, tuple)
        found += "-" if max(pixel) - min(pixel) < 60 else "rgb"[int(np.argmax(pixel))]
    return found


def turned(matrix: Sequence[int], shape: Fraction = Fraction(1)) -> Image.Image:
    """Return the frame of an MP4 with this display matrix, of lime and blue above red."""
    picture = Image.new("RGB", (64, 32), "red")
    picture.paste((0, 255, 0), (0, 0, 32, 16))
    picture.paste((0, 0, 255), (32, 0, 64, 16))
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.codec_context.sample_aspect_ratio = shape
        container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    data = file.getvalue()
    place = data.index(b"tkhd") + 44  # of the matrix: ISO/IEC 14496-12, 8.3.2
    return load_frames(data[:place] + struct.pack(">9i", *matrix) + data[place + 36 :]).images[0]


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "seen"),
    [
        (1, 0, 0, 1, "gbrr"),
        (-1, 0, 0, 1, "bgrr"),
        (1, 0, 0, -1, "rrgb"),
        (-1, 0, 0, -1, "rrbg"),
        (0, 1, -1, 0, "rgrb"),
        (0, -1, 1, 0, "brgr"),
        (0, 1, 1, 0, "grbr"),
        (0, -1, -1, 0, "rbrg"),
    ],
)
def test_the_whole_display_matrix_is_applied(a: int, b: int, c: int, d: int, seen: str) -> None:
    one = 1 << 16
    matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30]
    assert quarters(turned(matrix)) == seen
    assert turned(matrix).size == ((64, 32) if a else (32, 64))
    # Stored pixels that are twice as wide as high are stretched before the picture is turned.
    assert quarters(turned(matrix, Fraction(2))) == seen
    assert turned(matrix, Fraction(2)).size == ((128, 32) if a else (32, 128))


def test_a_slanted_or_damaged_matrix_loses_no_picture() -> None:
    assert turned([46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30]).width > 64
    assert turned([0] * 9).size == (64, 32)


@pytest.mark.parametrize("form", ["matroska", "mp4", "avi"])
@pytest.mark.parametrize(("shape", "width"), [(Fraction(2), 128), (Fraction(8, 9), 57), (Fraction(1), 64)])
def test_pixels_that_are_not_square_are_made_square(form: str, shape: Fraction, width: int) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream: Any = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = shape
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8))))
        container.mux(stream.encode())
    assert load_frames(file.getvalue()).images[0].size == (width, 48)
