"""What a person is shown of an item of each modality."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import trimesh
from PIL import Image

from omni.encoders import Encoder, PrecomputedFeatures
from omni.media import Media, MediaError
from omni.previews import Curves, Film, Picture, Player, Shape, Words, preview
from tests.tiny import SensorEncoder, recording


def _encoder(modality: str) -> Encoder:
    return SensorEncoder(modality=modality)


def _colours(image: Image.Image) -> int:
    return len(np.unique(np.asarray(image).reshape(-1, 3), axis=0))


def test_a_transparent_picture_is_shown_on_white_as_the_model_sees_it() -> None:
    shown = preview(Media("left_eye", data=Image.new("RGBA", (40, 20), (255, 0, 0, 0))), _encoder("image"))
    assert isinstance(shown, Picture)
    assert shown.image.getpixel((5, 5)) == (255, 255, 255)
    assert shown.caption == "40 x 20 pixels"
    assert shown.still is shown


@pytest.mark.parametrize("modality", ["sound", "speech", "audio"])
def test_a_sound_is_a_player_with_its_length(modality: str) -> None:
    samples = np.sin(np.arange(8000) * 0.3).astype(np.float32)
    shown = preview(Media(modality, data=samples, sampling_rate=16000), _encoder(modality))
    assert isinstance(shown, Player)
    assert shown.seconds == 0.5
    heard, rate = soundfile.read(io.BytesIO(shown.wav), dtype="float32")
    assert rate == 16000
    np.testing.assert_allclose(heard, samples, atol=1e-4)
    assert shown.caption == "0.5 s at 16 kHz"
    assert _colours(shown.still.image) > 50


def test_a_video_is_frames_in_order_with_its_length() -> None:
    frames = np.stack([np.full((24, 32, 3), value, np.uint8) for value in (0, 60, 120, 180, 240)])
    shown = preview(Media("video", data=frames, options={"frames_per_second": 5}), _encoder("video"))
    assert isinstance(shown, Film)
    assert shown.sound is None
    assert shown.mp4 is None
    assert [frame.image.getpixel((0, 0)) for frame in shown.frames] == [(v, v, v) for v in (0, 60, 120, 180, 240)]
    assert "silent" in shown.caption
    assert shown.still.image.width > 4 * 160


def test_a_3d_object_is_a_glb_file_and_a_picture(tmp_path: Path) -> None:
    trimesh.creation.box().export(tmp_path / "box.ply")
    shown = preview(Media("point_cloud", path=str(tmp_path / "box.ply")), _encoder("point_cloud"))
    assert isinstance(shown, Shape)
    again = trimesh.load_mesh(io.BytesIO(shown.glb), file_type="glb")
    assert len(again.faces) == 12
    assert shown.caption == "8 vertices, 12 faces"
    assert _colours(shown.still.image) > 3
    cloud = preview(Media("shape", data=np.random.default_rng(0).normal(size=(50, 3))), _encoder("point_cloud"))
    assert cloud.caption == "50 points"


def test_depth_and_temperature_are_false_colours_with_a_scale() -> None:
    metres = np.linspace(1, 4, 48, dtype=np.float32).reshape(6, 8)
    metres[0, 0] = 0  # unknown
    depth = preview(Media("depth", data=metres), _encoder("depth"))
    assert isinstance(depth, Picture)
    assert depth.caption == "8 x 6 pixels, 1.06 to 4.00 m"
    pixels = np.asarray(depth.image).reshape(-1, 3)
    assert (pixels == 204).all(axis=1).sum() > 100  # the unknown pixel, grey
    assert _colours(depth.image) > 48
    kelvins = np.full((6, 8), 30000, np.uint16)
    kelvins[0, 0] = 31005
    thermal = preview(Media("thermal", data=kelvins, options={"scaling": "radiometric"}), _encoder("thermal"))
    assert thermal.caption == "8 x 6 pixels, 26.9 to 36.9 °C"
    assert preview(Media("thermal", data=kelvins), _encoder("thermal")).caption == "8 x 6 pixels"


def test_an_imu_is_six_curves_in_two_panels() -> None:
    values = np.random.default_rng(0).normal(size=(400, 6))
    shown = preview(Media("imu", data=values, sampling_rate=200), _encoder("imu"))
    assert isinstance(shown, Curves)
    assert shown.values.shape[1] == 6
    assert shown.seconds == pytest.approx(2, abs=0.01)
    assert shown.still.image.height > 250


def test_features_are_a_heat_map_and_texts_words(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    shown = preview(Media("image", features=features), PrecomputedFeatures("image", dim=16, max_features=3))
    assert isinstance(shown, Picture)
    assert shown.caption == "3 features of width 16"
    (tmp_path / "a.txt").write_text("a frog")
    words = preview(Media("text", path=str(tmp_path / "a.txt")), _encoder("text"))
    assert words == Words("a frog")
    assert words.still.image.width > 100


def test_arrays_of_an_unknown_sensor_are_curves(tmp_path: Path) -> None:
    np.save(tmp_path / "walk.npy", recording(0, 20))
    shown = preview(Media("motion", path=str(tmp_path / "walk.npy")), _encoder("motion"))
    assert isinstance(shown, Curves)
    np.testing.assert_array_equal(shown.values, recording(0, 20))
    assert isinstance(preview(Media("motion", data=np.zeros((4, 200))), _encoder("motion")), Picture)
    assert isinstance(preview(Media("motion", data=b"abc"), _encoder("motion")), Words)
    with pytest.raises(MediaError, match="no numbers"):
        preview(Media("motion", data=np.array(["a"])), _encoder("motion"))


class _OwnSensor(SensorEncoder):
    def preview(self, media: Media) -> Curves:
        return Curves(np.asarray(media.data), ["force x", "force y", "heat"], 2.0, "own")


def test_an_encoder_decides_what_is_shown_of_its_sensor() -> None:
    shown = preview(Media("image", data=recording(0)), _OwnSensor(modality="image"))
    assert isinstance(shown, Curves)
    assert (shown.caption, list(shown.names)) == ("own", ["force x", "force y", "heat"])


@pytest.mark.parametrize(("shape", "names"), [((3,), ["a"]), ((0, 1), ["a"]), ((3, 2), ["a"])])
def test_senseless_curves_are_refused(shape: tuple[int, ...], names: list[str]) -> None:
    with pytest.raises(ValueError, match="curves"):
        Curves(np.zeros(shape), names)


def test_a_broken_file_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(MediaError, match=r"a\.png"):
        preview(Media("image", path=str(tmp_path / "a.png")), _encoder("image"))
