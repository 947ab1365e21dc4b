"""Sounds and videos as torchcodec decodes them, which other people's tasks hand over: `make test-plugins`."""

from pathlib import Path

import av
import numpy as np
import pytest

from eval.plugins.media import plain_media
from omni.media.frames import load_frames
from omni.media.item import media_from_value
from omni.media.sound import load_sound
from tests.eval.plugins.tiny_media import write_sound

pytest.importorskip("torchcodec", reason="torchcodec is in an environment of its own: make test-plugins")
pytestmark = pytest.mark.plugins


def test_decoders_hold_what_omni_reads_from_the_file(tmp_path: Path) -> None:
    from torchcodec.decoders import AudioDecoder, VideoDecoder

    sound = str(write_sound(tmp_path / "a.wav", 0))
    found = load_sound(media_from_value("sound", plain_media(AudioDecoder(sound))))
    wanted = load_sound(sound)
    assert found.sampling_rate == wanted.sampling_rate
    np.testing.assert_allclose(found.samples, wanted.samples, atol=1e-4)

    film = str(tmp_path / "a.mp4")
    with av.open(film, "w") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        for level in (20, 120, 220):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8))))
        file.mux(stream.encode())
    frames = load_frames(media_from_value("video", plain_media(VideoDecoder(film)))).images
    wanted_frames = load_frames(film).images
    assert len(frames) == len(wanted_frames) == 3
    for one, other in zip(frames, wanted_frames, strict=True):
        assert abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max() <= 4
