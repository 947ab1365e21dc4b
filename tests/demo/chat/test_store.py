"""Uploads: which files are taken as what, by which names they are found again, and what is drawn of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.chat.modalities import AttachmentError, Upload, Uploads
from demo.chat.store import Store
from demo.chat.tray import draw_tray, read_choices, read_paths
from demo.chat.turns import Attachment
from omni.encoders import PrecomputedFeatures
from omni.media.item import Media
from tests.demo.chat.kinds import EXTENSIONS, LOADERS, AnyMedia, media_files
from tests.tiny import SensorEncoder, recording


def _uploads() -> Uploads:
    encoder = SensorEncoder()
    return Uploads([
        Upload("image", (".png", ".jpg"), "image: ", encoder),
        Upload("sound", (".wav", ".npy"), "", encoder),
        Upload("left_speech", (".wav",), "", encoder),
    ])  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "uploads", _every())


def _every() -> Uploads:
    names = [name for name in LOADERS if name != "text"]
    return Uploads([Upload(name, tuple(EXTENSIONS[name]), "", AnyMedia(name, EXTENSIONS[name])) for name in names])


def _uploaded(store: Store, file: Path) -> str:
    store.folder.mkdir(exist_ok=True)
    return store.take(file)


def test_a_file_that_could_be_two_is_asked_about() -> None:
    uploads = _uploads()
    assert uploads.candidates("a.WAV") == ("sound", "left_speech")
    assert uploads.choose("a.png", None) == "image"
    assert uploads.choose("a.wav", "left_speech") == "left_speech"
    for choice in (None, "image", "x"):
        with pytest.raises(AttachmentError, match=r"a\.wav: say below whether it is sound or left speech"):
            uploads.choose("a.wav", choice)


def test_an_unsupported_file_type_lists_the_accepted_ones() -> None:
    with pytest.raises(AttachmentError, match=r"notes\.docx.*\.docx.*image \(\.png \.jpg\), sound \(\.wav \.npy\)"):
        _uploads().choose("/somewhere/notes.docx", None)


def test_a_broken_file_is_named_without_its_path_on_the_server(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.npy", tmp_path / "bad.npy"
    np.save(good, recording(0))
    np.save(bad, np.zeros((4, 2)))
    _uploads().check(str(good), "sound")
    with pytest.raises(AttachmentError, match=r"bad\.npy.*\[T, 3\]") as caught:
        _uploads().check(str(bad), "sound")
    assert str(tmp_path) not in str(caught.value)


def test_an_encoder_of_a_users_own_says_what_an_uploaded_file_becomes(tmp_path: Path) -> None:
    class EverySecond(SensorEncoder):
        def media_of_file(self, path: str, modality: str) -> Media:
            return Media(modality, data=np.load(path)[::2])

    np.save(tmp_path / "walk.npy", recording(1))
    assert Upload("motion", (".npy",), "", EverySecond()).media(str(tmp_path / "walk.npy")) == Media(
        "motion", data=recording(1)[::2]
    )
    np.save(tmp_path / "features.npy", np.ones((2, 5), np.float32))
    upload = Upload("motion", (".npy",), "", PrecomputedFeatures("motion", dim=5, max_features=2))
    assert upload.media(str(tmp_path / "features.npy")) == Media("motion", features=str(tmp_path / "features.npy"))


@pytest.mark.parametrize("upload", [
    "/etc/passwd", "../../etc/passwd", "", "a.png", f"{'0' * 64}/../../etc/passwd", f"{'0' * 64}/a/b", f"{'0' * 64}/..",
    f"{'0' * 64}/a\0.png", "http://127.0.0.1/a.png", f"{'g' * 64}/a.png", f"{'0' * 64}/",
])  # fmt: skip
def test_no_name_leads_out_of_the_uploads(store: Store, upload: str) -> None:
    with pytest.raises((AttachmentError, ValueError)):
        store.path_of(upload)
    shown = store.show(Attachment(upload.replace("\0", ""), "image"))  # named, and not opened
    assert Path(shown.still).is_relative_to(store.folder)


def test_a_link_out_of_the_uploads_is_not_followed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(b"secret")
    folder = store.folder / ("0" * 64)
    folder.mkdir(parents=True)
    (folder / "a.png").symlink_to(tmp_path / "private.png")
    with pytest.raises(AttachmentError):
        store.path_of(f"{'0' * 64}/a.png")


def test_an_upload_that_is_gone_says_so(store: Store) -> None:
    with pytest.raises(AttachmentError, match=r"frog\.png is no longer here"):
        store.path_of(f"{'0' * 64}/frog.png")


def test_every_modality_is_drawn_once(store: Store, tmp_path: Path) -> None:
    suffixes = {}
    for modality, file in media_files(tmp_path / "media").items():
        attachment = Attachment(_uploaded(store, file), modality)
        shown = store.show(attachment)
        assert store.show(attachment) is shown
        suffixes[modality] = [Path(one).suffix for one in shown.files]
        with Image.open(shown.still) as image:
            assert image.width > 50
        assert all(Path(one).is_relative_to(store.folder) for one in shown.files)
    assert suffixes == {
        "image": [".png"], "sound": [".wav", ".png"], "video": [".png"], "point_cloud": [".png", ".glb"],
        "depth": [".png"], "thermal": [".png"], "imu": [".png"], "motion": [".png"],
    }  # fmt: skip


def test_the_row_of_attachments_asks_draws_and_refuses(store: Store, tmp_path: Path) -> None:
    files = media_files(tmp_path / "media")
    paths = [store.path_of(_uploaded(store, files[name])) for name in ("image", "sound")]
    row = draw_tray([*paths, "/etc/passwd"], store, None)
    assert "leaf.png" in row
    assert "160 x 120 pixels" in row
    assert row.count('type="radio"') == 2
    assert "passwd&#x27; is no file" in row
    assert draw_tray([], store, None) == ""


@pytest.mark.parametrize("text", ["", "null", "1", "{", '"a"', "[1, null]", '[{"path": "x"}]'])
def test_senseless_lists_of_the_browser_are_nothing(text: str) -> None:
    assert read_paths(text) == []
    assert read_choices(text) == {}
