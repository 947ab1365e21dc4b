"""Media of every kind are shown by their preview, small, with their lengths; what is not there is named."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from eval.report.media import LARGE_PIXELS, Embedder, Shown
from eval.run.described_media import describe_media
from omni.media import Media
from omni.previews import Curves, Preview
from tests.tiny import SensorEncoder, recording


def shown(part: dict[str, object], **options: object) -> Shown:
    return Embedder(10**7, **options).embed(part)  # type: ignore[arg-type]


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.partition("base64,")[2])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "frog.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 300, 3), dtype=np.uint8)).save(path)
    return path


class GyroEncoder(SensorEncoder):
    """A sensor of a user's own that says how it is drawn."""

    def preview(self, media: Media) -> Preview:
        values = np.asarray(np.load(str(media.path)), np.float32)
        return Curves(values, ["turn x", "turn y", "turn z"], 2.0, "2.0 s of turning")


class UnhappyEncoder(SensorEncoder):
    """A sensor whose preview has a mistake."""

    def preview(self, media: Media) -> Preview:
        raise KeyError("turn")


def test_pictures_are_small(picture: Path) -> None:
    found = shown({"type": "image", "path": str(picture)})
    assert found.picture.startswith("data:image/webp")
    assert max(Image.open(io.BytesIO(decoded(found.picture))).size) == 280
    assert found.num_bytes < 60_000
    assert found.caption == "300 x 400 pixels"


@pytest.mark.parametrize(("seconds", "caption"), [(1.5, "1.5 s"), (75, "1 min 15 s; its first 8 s play here")])
def test_sounds_are_players_with_their_length_and_waveform(tmp_path: Path, seconds: float, caption: str) -> None:
    soundfile.write(tmp_path / "frog.wav", np.sin(np.arange(round(8000 * seconds)) / 20), 8000)
    found = shown({"type": "sound", "path": str(tmp_path / "frog.wav")})
    assert found.caption == caption
    assert found.picture.startswith("data:image/webp")
    samples, rate = soundfile.read(io.BytesIO(decoded(found.sound)))
    assert rate == 16_000
    assert len(samples) / rate == pytest.approx(min(seconds, 8), abs=0.05)


def test_a_sensor_of_ones_own_is_drawn_by_its_encoder(tmp_path: Path) -> None:
    np.save(tmp_path / "gyro.npy", recording(0))
    part = {"type": "gyro", "path": str(tmp_path / "gyro.npy")}
    own = shown(part, encoders={"gyro": GyroEncoder(modality="gyro")})
    assert own.caption == "2.0 s of turning"
    assert max(Image.open(io.BytesIO(decoded(own.picture))).size) == LARGE_PIXELS
    usual = shown(part)  # the model is not at hand: still curves, but nameless
    assert usual.picture
    assert usual.caption == f"array {list(recording(0).shape)}"


def test_a_preview_with_a_mistake_is_told_and_stops_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "gyro.npy", recording(0))
    part = {"type": "gyro", "path": str(tmp_path / "gyro.npy")}
    found = shown(part, encoders={"gyro": UnhappyEncoder(modality="gyro")})
    assert (found.picture, found.label, found.text) == ("", "gyro.npy", "cannot be shown: 'turn'")


def test_depth_is_in_false_colour_with_its_range(tmp_path: Path) -> None:
    metres = np.linspace(1, 3, 32 * 24, dtype=np.float32).reshape(24, 32)
    np.save(tmp_path / "depth.npy", metres)
    found = shown({"type": "depth", "path": str(tmp_path / "depth.npy")})
    assert found.caption == "32 x 24 pixels, 1.00 to 3.00 m"
    assert np.ptp(np.asarray(Image.open(io.BytesIO(decoded(found.picture)))), axis=2).max() > 60  # colours, not grey


def test_ready_made_features_are_a_heat_map(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.ones((5, 7), np.float32))
    found = shown(describe_media(Media("image", features=str(tmp_path / "features.npy"))))
    assert (found.caption, found.picture[:15]) == ("5 features of width 7", "data:image/webp")


def test_results_keep_what_a_preview_needs() -> None:
    part = describe_media(Media("sound", path="a.wav", sampling_rate=8000, options={"start": 1.0, "f": print}))
    assert part == {"type": "sound", "path": "a.wav", "sampling_rate": 8000, "options": {"start": 1.0}}
    assert describe_media(Media("image", path="a.png")) == {"type": "image", "path": "a.png"}
    assert "path" not in describe_media(Media("sound", data=np.zeros(4, np.float32)))


@pytest.mark.parametrize(
    ("content", "says"), [(None, "the file is no longer there"), (b"no picture", "cannot be shown: ")]
)
def test_what_is_gone_or_broken_is_named_with_the_reason(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    found = shown({"type": "image", "path": str(path)})
    assert (found.picture, found.label) == ("", "broken.png")
    assert found.text.startswith(says)


def test_media_without_a_file_are_described() -> None:
    found = shown({"type": "sound", "description": "sound array [4]"})
    assert (found.label, found.text) == ("sound array [4]", "no file, so it cannot be shown here")


def test_budget_counts_every_showing(picture: Path) -> None:
    part = {"type": "image", "path": str(picture)}
    size = shown(part).num_bytes
    embedder = Embedder(budget=2 * size + 10)
    assert [bool(embedder.embed(part).picture) for _ in range(3)] == [True, True, False]
    assert embedder.left_out == 1
