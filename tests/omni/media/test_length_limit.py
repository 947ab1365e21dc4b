"""The limit of seconds that a server sets for sounds and videos."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from omni.media.errors import MediaError
from omni.media.frames import load_frames
from omni.media.item import Media
from omni.media.length_limit import SECONDS_LIMIT_VARIABLE, seconds_limit
from omni.media.sound import load_sound


def sound_file(kind: str, seconds: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(8000 * seconds), 8000, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_longer_sounds_are_refused_and_parts_of_them_taken(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sound_file(kind, 30)
    assert load_sound(content).duration == pytest.approx(30, abs=0.2)
    monkeypatch.setenv(SECONDS_LIMIT_VARIABLE, "10")
    with pytest.raises(MediaError, match="more than 10 seconds"):
        load_sound(content)
    assert load_sound(Media("sound", data=content, options={"start": 5, "end": 8})).duration == pytest.approx(3)


def test_arrays_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS_LIMIT_VARIABLE, "1.5")
    with pytest.raises(MediaError, match=r"more than 1\.5 seconds"):
        load_sound((np.zeros(20_000, np.float32), 10_000))
    assert load_sound((np.zeros(10_000, np.float32), 10_000)).duration == 1


def test_longer_videos_are_refused_and_parts_of_them_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1)
        stream.width = stream.height = 32
        for shade in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), shade * 20, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    monkeypatch.setenv(SECONDS_LIMIT_VARIABLE, "10")
    with pytest.raises(MediaError, match="more than 10 seconds"):
        load_frames(path.read_bytes(), 4)
    assert len(load_frames(path.read_bytes(), 4, start=2, end=6).images) == 4


@pytest.mark.parametrize("text", ["0", "-1", "long"])
def test_a_limit_that_is_none_is_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS_LIMIT_VARIABLE, text)
    with pytest.raises(ValueError, match=SECONDS_LIMIT_VARIABLE):
        seconds_limit()
