"""Sounds are as long as decoding them gives, whatever their header claims; and none may fill the memory."""

import io
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from omni.media.errors import MediaError
from omni.media.sound import load_sound
from omni.media.sound_headers import may_say_too_little, ogg_links

RATE = 16000


def rising(seconds: float, rate: int = RATE, loudness: float = 0.5) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return (loudness * np.sin(2 * np.pi * (300 + 100 * times) * times)).astype(np.float32)


def encode(samples: np.ndarray, format: str, rate: int = RATE, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def mp3_of_varying_bitrate(seconds: float) -> bytes:
    """A loud half and a silent one, without the Xing header that would tell the number of frames."""
    buffer = io.BytesIO()
    half = round(seconds * RATE) // 2
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, half)
    samples = np.r_[noise, np.zeros(half)].astype(np.float32)[None]
    with av.open(buffer, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream: Any = container.add_stream("libmp3lame", rate=RATE, options={"q": "2"})
        stream.layout = "mono"
        stream.codec_context.qscale = True
        stream.codec_context.global_quality = 2 * 118
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue()


def flac_that_claims(samples: int, data: bytes) -> bytes:
    changed = bytearray(data)
    packed = int.from_bytes(data[21:26]) >> 36 << 36 | samples
    changed[21:26] = packed.to_bytes(5)
    return bytes(changed)


def wav_that_claims(data_bytes: int, riff_bytes: int, samples: np.ndarray, more: bytes = b"") -> bytes:
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    data = b"data" + struct.pack("<I", data_bytes) + (samples * 32767).astype("<i2").tobytes()
    return b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVE" + form + data + more


def test_mp3_of_varying_bitrate_without_xing_is_whole(tmp_path: Path) -> None:
    data = mp3_of_varying_bitrate(6)
    assert b"Xing" not in data
    assert soundfile.info(io.BytesIO(data)).duration < 5, "libsndfile's estimate is no longer short"
    (tmp_path / "x.mp3").write_bytes(data)
    for source in (data, tmp_path / "x.mp3", b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + data):
        assert load_sound(source).duration == pytest.approx(6, abs=0.15)
    whole = load_sound(data).samples
    window = load_sound(data, start=2, end=5).samples
    assert np.array_equal(window, whole[2 * RATE : 5 * RATE])


def test_mp3_of_one_bitrate_is_read_as_before_and_joined_ones_whole() -> None:
    one = encode(rising(3), "MP3")
    assert not may_say_too_little(one)
    assert not may_say_too_little(one + b"TAG" + bytes(125))
    assert load_sound(one).duration == 3.0
    # The second file begins with a frame of silence that holds its header, as FFmpeg plays it.
    for second in (one, encode(rising(3), "MP3", 32000)):
        seconds = 3 + soundfile.info(io.BytesIO(second)).duration
        assert load_sound(one + second).duration == pytest.approx(seconds, abs=0.2)


@pytest.mark.parametrize("kinds", [("VORBIS", "VORBIS"), ("OPUS", "OPUS"), ("VORBIS", "OPUS")])
def test_all_links_of_a_chained_ogg_are_read(kinds: tuple[str, str]) -> None:
    links = [encode(rising(2), "OGG", subtype=kinds[0]), encode(rising(1, loudness=0.1), "OGG", subtype=kinds[1])]
    chain = b"".join(links)
    assert len(ogg_links(chain)) == 2
    sound = load_sound(chain)
    apart = np.concatenate([load_sound(link).samples for link in links])
    assert sound.duration == pytest.approx(3, abs=0.01)
    np.testing.assert_allclose(sound.samples[: len(apart)], apart[: len(sound.samples)], atol=2e-2)
    np.testing.assert_allclose(load_sound(chain, start=1.5, end=2.5).samples[100:-100], apart[24100:39900], atol=2e-2)


def test_the_same_ogg_twice_and_links_of_other_rates_are_a_chain() -> None:
    one, fast = encode(rising(1), "OGG"), encode(rising(1, 32000), "OGG", 32000)
    assert load_sound(one + one).duration == pytest.approx(2, abs=0.01)
    sound = load_sound(one + fast, None)
    assert sound.sampling_rate == RATE
    assert sound.duration == pytest.approx(2, abs=0.01)
    assert np.corrcoef(sound.samples[:RATE], sound.samples[-RATE:])[0, 1] > 0.99


@pytest.mark.parametrize("claimed", [0, 16000, 160000])
def test_flac_is_as_long_as_its_frames(claimed: int) -> None:
    samples = rising(3)
    data = encode(samples, "FLAC")
    changed = flac_that_claims(claimed, data)
    expected = load_sound(data).samples
    assert len(expected) == 3 * RATE
    np.testing.assert_array_equal(load_sound(changed).samples, expected)
    np.testing.assert_array_equal(load_sound(changed, start=1.5, end=2).samples, expected[24000:32000])


def test_joined_and_truncated_flac_give_what_is_there_and_a_gap_is_told() -> None:
    data = encode(rising(3), "FLAC")
    assert not may_say_too_little(data)
    assert load_sound(data + data).duration == 6
    assert load_sound(flac_that_claims(0, data) + data).duration == 6
    assert 1 < load_sound(data[: len(data) * 2 // 3]).duration < 2.5
    damaged = bytearray(data)
    damaged[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    with pytest.raises(MediaError, match="damaged"):
        load_sound(bytes(damaged))


@pytest.mark.parametrize(("data_bytes", "riff_bytes"), [(0, 96036), (0, 0), (2**32 - 1, 2**32 - 1), (2 * 10**9, 0)])
def test_wav_of_a_recorder_that_was_stopped_is_whole(data_bytes: int, riff_bytes: int) -> None:
    assert load_sound(wav_that_claims(data_bytes, riff_bytes, rising(3))).duration == 3.0


def test_wav_that_is_really_empty_stays_empty() -> None:
    for more in (b"", b"LIST" + struct.pack("<I", 8) + b"INFOabcd"):
        with pytest.raises(MediaError, match="has no samples"):
            load_sound(wav_that_claims(0, 36 + len(more), np.zeros(0), more))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_of_files_and_arrays_have_one_scale(subtype: str) -> None:
    opposite = np.stack([rising(1), -rising(1)], axis=1)  # their mean is 0
    for samples in (rising(1) * 32767, opposite * 32767):
        for source in ((samples, RATE), encode(samples, "WAV", subtype=subtype)):
            with pytest.raises(MediaError, match="divide 16-bit values by 32768"):
                load_sound(source)
    for source in ((rising(1) * 3, RATE), encode(rising(1) * 3, "WAV", subtype=subtype)):
        np.testing.assert_allclose(load_sound(source).samples, rising(1) * 3, atol=1e-6)


def test_more_than_the_limit_is_refused_in_words_and_a_part_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omni.media.sound._MOST_SAMPLES", 600 * RATE)
    silence = encode(np.zeros(1200 * RATE, np.int16), "FLAC")
    assert len(silence) < 100_000
    with pytest.raises(MediaError, match=r"longer than 0\.2 hours at 16000 Hz; take a part of it with start and end"):
        load_sound(silence)
    assert load_sound(silence, start=1190, end=1195).duration == 5
