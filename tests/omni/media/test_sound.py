"""Sounds of any format, rate and length become mono float32; everything broken is a MediaError that says why."""

import io
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from omni.media.errors import MediaError
from omni.media.sound import load_sound
from omni.samples.messages import Media


def tone(rate: int, seconds: float = 1.0, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def encode(samples: np.ndarray, rate: int, format: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def encode_container(samples: np.ndarray, rate: int, format: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]), format="fltp", layout="stereo")
        frame.rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue()


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


def test_same_rate_and_mono_is_taken_bit_by_bit(tmp_path: Path) -> None:
    samples = tone(16000)
    soundfile.write(tmp_path / "x.wav", samples, 16000, subtype="FLOAT")
    for source in (tmp_path / "x.wav", Media("sound", path=str(tmp_path / "x.wav")), (samples, 16000)):
        sound = load_sound(source)
        assert sound.sampling_rate == 16000
        assert sound.samples.dtype == np.float32
        assert np.array_equal(sound.samples, samples)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_any_rate_keeps_pitch_and_length(rate: int) -> None:
    sound = load_sound(encode(tone(rate, 2.0), rate), 16000)
    assert len(sound.samples) == 32000
    assert loudest_hertz(sound.samples, 16000) == 440.0
    assert np.abs(sound.samples[2000:-2000]).max() == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_formats_of_soundfile_keep_the_pitch(format: str) -> None:
    assert loudest_hertz(load_sound(encode(tone(16000), 16000, format)).samples, 16000) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(("format", "codec", "rate"), [("mp4", "aac", 44100), ("webm", "libopus", 48000)])
def test_containers_are_read_and_their_window_is_the_part_of_the_whole(format: str, codec: str, rate: int) -> None:
    sweep = np.sin(2 * np.pi * np.cumsum(np.linspace(200, 2000, rate * 3)) / rate).astype(np.float32) * 0.5
    data = encode_container(sweep, rate, format, codec)
    whole = load_sound(data, None)
    assert whole.sampling_rate == rate
    assert whole.duration == pytest.approx(3, abs=0.06)
    assert np.corrcoef(whole.samples[rate : 2 * rate], sweep[rate : 2 * rate])[0, 1] > 0.99
    window = load_sound(data, None, start=1.0, end=2.0)
    # WebM's time stamps are whole milliseconds, so the window may begin that much beside.
    shifts = range(-rate // 1000, rate // 1000 + 1)
    assert max(np.corrcoef(window.samples, whole.samples[rate + i : 2 * rate + i])[0, 1] for i in shifts) > 0.9999


def test_channels_are_averaged_whichever_axis_they_are() -> None:
    channels = np.stack([np.full(100, 0.2), np.full(100, 0.4), np.full(100, 0.9)], axis=1).astype(np.float32)
    for source in ((channels, 16000), (channels.T, 16000), encode(channels, 16000, subtype="FLOAT")):
        assert np.allclose(load_sound(source).samples, 0.5, atol=1e-6)


def test_integers_are_scaled_to_one() -> None:
    for dtype in (np.int16, np.int32):
        lowest = np.iinfo(dtype).min
        samples = load_sound((np.array([lowest, 0, -(lowest // 2)], dtype), 16000)).samples
        assert samples.tolist() == [-1.0, 0.0, 0.5]
    assert load_sound((np.array([0, 128, 192], np.uint8), 16000)).samples.tolist() == [-1.0, 0.0, 0.5]


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 192000])
@pytest.mark.parametrize("length", [1, 2, 50])
def test_a_few_samples_are_a_sound(rate: int, length: int) -> None:
    for source in ((np.full(length, 0.5, np.float32), rate), encode(np.full(length, 0.5), rate)):
        assert 1 <= len(load_sound(source).samples) <= max(3 * length, 1)


def test_one_millisecond_is_sixteen_samples() -> None:
    assert len(load_sound((tone(48000, 0.001), 48000)).samples) == 16


def test_window_of_a_file_is_the_part_of_the_whole(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 50000).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, 10000, subtype="FLOAT")
    path = str(tmp_path / "x.wav")
    assert np.array_equal(load_sound(path, None, start=1, end=2.5).samples, samples[10000:25000])
    assert np.array_equal(load_sound((samples, 10000), None, start=1, end=2.5).samples, samples[10000:25000])
    by_options = Media("sound", path=path, options={"start": 4.0, "end": 9.0})
    assert np.array_equal(load_sound(by_options, None).samples, samples[40000:])


def test_window_of_an_hour_decodes_only_the_window(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "hour.wav", "w", 8000, 2, subtype="PCM_U8") as file:
        for minute in range(60):
            file.write(np.full((8000 * 60, 2), minute / 128))
    sound = load_sound(tmp_path / "hour.wav", None, start=42 * 60, end=42 * 60 + 1)
    assert len(sound.samples) == 8000
    assert np.allclose(sound.samples, 42 / 128)
    assert len(load_sound(tmp_path / "hour.wav", 4000).samples) == 3600 * 4000


def test_blocks_are_joined_without_seams() -> None:
    long = tone(44100, 30.0)
    blockwise = load_sound(encode(long, 44100, subtype="FLOAT"), 16000).samples
    at_once = load_sound((long, 44100), 16000).samples
    assert len(blockwise) == len(at_once) == 480000
    assert np.allclose(blockwise, at_once, atol=1e-5)


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        (b"", "zero bytes"),
        (b"only some words " * 20, "looks like a text file"),
        (encode(np.zeros(0), 16000), "has no samples"),
        (encode(np.array([0.0, np.nan]), 16000, subtype="FLOAT"), "NaN"),
        (encode(np.array([0.0, np.inf]), 16000, subtype="FLOAT"), "NaN or infinite"),
        ((np.array([0.0, np.nan]), 16000), "NaN"),
        ((np.zeros(0), 16000), "has no samples"),
        (np.zeros(5), "needs its 'sampling_rate'"),
        (Media("sound", data=np.zeros(5)), "needs its 'sampling_rate'"),
        ((np.zeros((70, 70)), 16000), "must be an array"),
        ((np.zeros(5, np.int64), 16000), "no known scale"),
        ((np.array([20000.0]), 16000), "divide 16-bit values by 32768"),
        ("/nowhere/x.wav", "no such file"),
    ],
)
def test_broken_sound_is_an_error_with_its_cause(source, cause: str) -> None:
    with pytest.raises(MediaError, match=cause):
        load_sound(source)


def test_picture_called_wav_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(MediaError, match=r"x\.wav.*starts like a PNG"):
        load_sound(tmp_path / "x.wav")


@pytest.mark.parametrize(("start", "end"), [(2, 1), (-1, None), (1, 1), (float("nan"), None), ("1", None)])
def test_window_that_makes_no_sense_is_refused(start, end) -> None:
    with pytest.raises(MediaError, match=r"window|seconds from 0 on"):
        load_sound((np.zeros(100), 100), start=start, end=end)


def test_window_after_the_end_has_no_samples() -> None:
    with pytest.raises(MediaError, match="no samples between 5 s and its end"):
        load_sound((np.zeros(100), 100), start=5)


WHOLE = {
    **{format: encode(tone(16000, 0.2), 16000, format) for format in ("WAV", "FLAC", "OGG", "MP3")},
    "M4A": encode_container(tone(44100, 0.2), 44100, "mp4", "aac"),
}


@seed(0)
@settings(max_examples=120, deadline=None, database=None)
@given(st.sampled_from(sorted(WHOLE)), st.floats(0, 1), st.binary(max_size=8))
def test_cut_and_changed_bytes_load_or_raise_media_error(format: str, share: float, noise: bytes) -> None:
    data = WHOLE[format][: int(share * len(WHOLE[format]))] + noise
    try:
        sound = load_sound(data)
    except MediaError:
        return
    assert np.isfinite(sound.samples).all()


def hours_of_silence(path: Path, hours: int, rate: int) -> Path:
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for _ in range(6 * hours):
            file.write(np.zeros(600 * rate, np.int16))
    return path


def test_hours_of_silence_are_refused_at_once_and_a_window_of_them_is_read(tmp_path: Path) -> None:
    path = hours_of_silence(tmp_path / "long.flac", 10, 1000)
    assert path.stat().st_size < 2_000_000
    for source in (path, path.read_bytes(), Media("sound", path=str(path), options={"start": 60.0})):
        tracemalloc.start()
        with pytest.raises(MediaError, match=r"is longer than 4\.0 hours at 16000 Hz; take a part"):
            load_sound(source)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
        tracemalloc.stop()
    for source in (path, path.read_bytes()):
        assert load_sound(source, start=35_000, end=35_002.5).duration == 2.5
        assert load_sound(source, 1000, start=30_000).duration == 6000


def test_a_block_of_a_thousand_channels_or_of_a_high_rate_takes_little_memory(tmp_path: Path) -> None:
    samples = np.tile(np.sin(np.arange(4000) / 9)[:, None], (1, 1024))
    soundfile.write(tmp_path / "wide.wav", samples, 4000)
    slow = np.random.default_rng(0).normal(size=90_000) / 4
    soundfile.write(tmp_path / "slow.wav", slow, 100, "FLOAT")
    tracemalloc.start()
    wide = load_sound(tmp_path / "wide.wav", None)
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    np.testing.assert_allclose(wide.samples, samples[:, 0], atol=1e-4)
    tracemalloc.stop()
    assert load_sound(tmp_path / "slow.wav", 16000).samples.shape == (90_000 * 160,)
