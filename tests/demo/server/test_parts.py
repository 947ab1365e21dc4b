"""Parts of messages: every way to send a medium, and nothing that names a file of the server."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import soundfile
from PIL import Image

from demo.server.errors import APIError
from demo.server.fetching import Fetcher
from demo.server.limits import Limits
from demo.server.parts import Accepted, PartReader
from omni.media.image import load_image
from omni.media.item import Media
from omni.media.mesh import load_mesh
from omni.media.sound import load_sound
from omni.samples.messages import Text
from tests.demo.server.serving import Running, npy
from tests.tiny import recording

MODALITIES = {
    "image": Accepted((".png", ".jpg")),
    "sound": Accepted((".wav", ".mp3")),
    "video": Accepted((".mp4",)),
    "depth": Accepted((".png", ".npy")),
    "point_cloud": Accepted((".obj", ".ply", ".npy"), takes_format=True),
    "imu": Accepted((".csv",)),
    "gait": Accepted((".npy", ".safetensors")),  # the user's own, or ready-made features
}


def reader(limits: Limits | None = None, **modalities: Accepted) -> PartReader:
    limits = limits or Limits()
    return PartReader(modalities or MODALITIES, limits, Fetcher().fetch)


def media(part: dict[str, Any], **options: Any) -> Media:
    found = reader(**options).part(part, "part")
    assert isinstance(found, Media)
    return found


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3, 2), (255, 0, 0)).save(file, "png")
    return file.getvalue()


def wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(800, np.float32), 16000, format="wav")
    return file.getvalue()


PNG, WAV = base64_of(png()), base64_of(wav())


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
        {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
        {"type": "file", "file": {"file_data": f"data:image/png;base64,{PNG}", "filename": "a.png"}},
        {"type": "file", "file": {"file_data": PNG, "filename": "a.jpg"}},
        {"type": "image", "data": PNG},
        {"type": "image", "base64": PNG},
        {"type": "image", "bytes": PNG, "format": "png"},
        {"type": "image", "image": PNG},
        {"type": "image", "url": f"data:;base64,{PNG}"},
        {"type": "image", "data": PNG.replace("+", "-").replace("/", "_")},
    ],
)
def test_a_picture_comes_in_many_spellings(part: dict[str, Any]) -> None:
    item = media(part)
    assert item.modality == "image"
    assert item.data == png()
    assert load_image(item).size == (3, 2)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{WAV}"}},
        {"type": "file", "file": {"file_data": WAV, "filename": "a.WAV"}},
        {"type": "audio", "data": WAV},
        {"type": "sound", "data": WAV, "start": 0.01, "end": 0.03},
        {"type": "sound", "data": base64_of(np.zeros(800, "<i2").tobytes()), "dtype": "int16", "sampling_rate": 16000},
        {"type": "sound", "data": [0.0] * 800, "sampling_rate": 16000},
    ],
)
def test_a_sound_comes_in_many_spellings(part: dict[str, Any]) -> None:
    sound = load_sound(media(part))
    assert sound.duration == pytest.approx(0.02 if "start" in part else 0.05)


def test_a_sound_for_two_modalities_says_which_it_is() -> None:
    both = {"sound": Accepted((".wav",)), "speech": Accepted((".wav",))}
    part = {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}
    with pytest.raises(APIError, match=r"sound.*speech"):
        media(part, **both)
    assert media({**part, "modality": "speech"}, **both).modality == "speech"
    assert media({"type": "speech", "data": WAV}, **both).modality == "speech"
    file = {"type": "file", "file": {"file_data": WAV, "filename": "a.wav"}}
    with pytest.raises(APIError, match="sound or speech"):
        media(file, **both)
    assert media({**file, "modality": "sound"}, **both).modality == "sound"


def test_videos_and_shapes_keep_their_options() -> None:
    video = media({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}, "num_frames": 4})
    assert (video.modality, video.data, video.options) == ("video", b"\0\0\0", {"num_frames": 4})
    obj = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    for part in (
        {"type": "point_cloud", "data": base64_of(obj), "format": "OBJ"},
        {"type": "file", "file": {"file_data": base64_of(obj), "filename": "thing.obj"}},
    ):
        assert len(load_mesh(media(part)).vertices) == 3
    depth = media({"type": "depth", "data": npy(np.ones((2, 2), np.uint16)), "options": {"units_per_metre": 1000}})
    assert isinstance(depth.data, np.ndarray)
    assert depth.options == {"units_per_metre": 1000}


@pytest.mark.parametrize(
    "part",
    [
        {"data": npy(recording(1))},
        {"data": base64_of(recording(1).tobytes()), "dtype": "float32", "shape": [6, 3]},
        {"data": recording(1).tolist()},
        {"url": f"data:application/octet-stream;base64,{npy(recording(1))}"},
        {"features": npy(recording(1))},
        {"features": base64_of(safetensors.numpy.save({"x": recording(1)}))},
        {"features": base64_of(safetensors.numpy.save({"x": recording(1), "y": recording(2)})), "key": "x"},
        {"features": recording(1).tolist()},
        {"features": base64_of(recording(1).astype("<f4").tobytes()), "dtype": "float32", "shape": [6, 3]},
    ],
)
def test_own_sensors_and_features_come_as_arrays(part: dict[str, Any]) -> None:
    item = media({"type": "gait", **part})
    array = item.features if "features" in part else item.data
    assert isinstance(array, np.ndarray)
    assert np.allclose(array, recording(1))
    assert array.dtype == np.float32


def test_own_sensors_get_bytes_of_their_own_files() -> None:
    item = media({"type": "imu", "data": base64_of(b"a,b\n1,2\n"), "format": "csv", "options": {"mine": 3}})
    assert item.data == b"a,b\n1,2\n"
    assert item.options == {"mine": 3}


@pytest.mark.parametrize(
    "secret", ["/etc/passwd", "file:///etc/passwd", "../secret.png", "~/.ssh/id_rsa", "secret.npy"]
)
def test_no_file_of_the_server_can_be_named(secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("secret.npy", recording(1))
    Path("secret.png").write_bytes(png())
    for part in (
        {"type": "image", "path": secret},
        {"type": "image", "data": secret},
        {"type": "image", "url": secret},
        {"type": "image", "image": secret},
        {"type": "image", "bytes": secret},
        {"type": "image_url", "image_url": {"url": secret}},
        {"type": "image_url", "image_url": {"url": secret, "path": secret}},
        {"type": "image", "data": {"path": secret}},
        {"type": "image", "data": [secret]},
        {"type": "video", "data": [secret, secret]},
        {"type": "video_url", "video_url": {"url": [secret]}},
        {"type": "input_audio", "input_audio": {"data": secret, "format": "wav"}},
        {"type": "input_audio", "input_audio": {"path": secret, "format": "wav"}},
        {"type": "file", "file": {"file_id": secret}},
        {"type": "file", "file": {"filename": secret}},
        {"type": "file", "file": {"file_data": secret, "filename": "a.png"}},
        {"type": "gait", "features": secret},
        {"type": "gait", "features": {"path": secret}},
        {"type": "gait", "features": [secret]},
        {"type": "component", "component": "image", "value": secret},
    ):
        with pytest.raises(APIError):
            media(part)


def test_a_playlist_opens_no_file(server: Running, tmp_path: Path) -> None:
    secret = tmp_path / "secret.ts"
    secret.write_bytes(wav())
    listed = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    with pytest.raises(ValueError, match="not a sound that can be read"):
        load_sound(media({"type": "sound", "data": base64_of(listed)}))
    gltf = b'{"asset":{"version":"2.0"},"buffers":[{"uri":"secret.ts","byteLength":9}],"meshes":[],"nodes":[]}'
    obj = b"mtllib secret.ts\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n"
    with pytest.raises(ValueError, match="GLTF"):
        load_mesh(media({"type": "point_cloud", "data": base64_of(gltf), "format": "gltf"}))
    assert load_mesh(media({"type": "point_cloud", "data": base64_of(obj), "format": "obj"})).colors is None


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (5, "object with a 'type'"),
        ({"type": "image"}, "no content"),
        ({"type": "image", "data": PNG, "url": "data:;base64,AA=="}, "both data and url"),
        ({"type": "image", "data": ""}, "empty"),
        ({"type": "image", "data": "A*B="}, "base64"),
        ({"type": "image", "url": "data:image/png,plain"}, "in base64"),
        ({"type": "image", "data": PNG, "detial": 1}, "'detial'"),
        ({"type": "image", "data": PNG, "format": "exe"}, "format"),
        ({"type": "image", "data": PNG, "options": [1]}, "options"),
        ({"type": "sound", "data": WAV, "sampling_rate": -1}, "sampling_rate"),
        ({"type": "gait", "data": "AAAA", "dtype": "object"}, "dtype"),
        ({"type": "gait", "data": "AAAA", "dtype": "uint8", "shape": [9]}, "3 bytes"),
        ({"type": "gait", "data": "AAAA", "shape": [3]}, "belongs to 'dtype'"),
        ({"type": "gait", "data": [[1, 2], [3]]}, "numbers"),
        ({"type": "gait", "features": "AAAA"}, "safetensors"),
        ({"type": "gait", "features": npy(recording(1)), "row": -1}, "row"),
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "--allow_host example.com"),
        ({"type": "image_url", "image_url": {"url": "ftp://example.com/a.png"}}, "http"),
        ({"type": "text", "text": 5}, "text"),
        ({"type": "text", "text": "a", "path": "b"}, "text"),
    ],
)
def test_a_part_that_cannot_be_used_is_refused_in_words(part: Any, word: str) -> None:
    with pytest.raises(APIError, match="part") as failed:
        reader().part(part, "part")
    assert word in failed.value.message


def test_arrays_of_objects_are_not_unpickled() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(APIError, match="NPY"):
        media({"type": "gait", "data": base64_of(file.getvalue())})


def test_a_header_claims_no_memory() -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)})
    with pytest.raises(APIError, match="NPY"):
        media({"type": "gait", "data": base64_of(file.getvalue() + b"\0" * 64)})


def test_media_are_counted_and_weighed() -> None:
    parts = [{"type": "image", "data": PNG}] * 3
    with pytest.raises(APIError, match="2 media") as failed:
        reader(Limits(max_media=2)).parts(parts, "content")
    assert failed.value.param == "content[2]"
    with pytest.raises(APIError, match="limit of a medium") as failed:
        media({"type": "image", "data": base64_of(b"a" * 20_000)}, limits=Limits(max_medium_mb=0.01))
    assert failed.value.status == 413


def test_text_is_text() -> None:
    for part in ("a", {"type": "text", "text": "a"}, {"type": "input_text", "text": "a", "cache_control": {}}):
        assert reader().part(part, "part") == Text("a")
