"""Paths as another system spells them, and files in base64 where a path may stand."""

import base64
import io
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from omni.media.item import Media, media_from_value
from omni.media.spelling import content_in_base64, find_spelling

NFC, NFD = (unicodedata.normalize(form, "Pingüé") for form in ("NFC", "NFD"))


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    if format in ("WAV", "FLAC", "OGG"):
        soundfile.write(buffer, np.zeros(300), 8000, format=format)
    else:
        Image.new("RGB", (8, 8), "red").save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "WAV", "FLAC", "OGG"])
def test_base64_of_a_file_is_its_content(format: str) -> None:
    content = encoded(format)
    for text in (base64.b64encode(content).decode(), base64.urlsafe_b64encode(content).decode().rstrip("=")):
        assert media_from_value("image", text, Path("/data")) == Media("image", data=content)
    wrapped = base64.encodebytes(content).decode()
    assert content_in_base64(wrapped) == content


@pytest.mark.parametrize(
    "name", ["9j/4AAQSkZJRgABAQ.jpg", "clips/0001", "/data/videos/frames/clip_0001/left_camera/at_noon_tide", "a" * 300]
)
def test_names_are_no_base64(name: str) -> None:
    assert content_in_base64(name) is None


@pytest.mark.parametrize(("on_disk", "written"), [(NFC, NFD), (NFD, NFC)])
def test_accents_of_either_spelling_find_the_file(on_disk: str, written: str, tmp_path: Path) -> None:
    (tmp_path / on_disk).mkdir()
    (tmp_path / on_disk / f"{written}.png").write_bytes(b"x")
    expected = str(tmp_path / on_disk / f"{written}.png")
    assert find_spelling(f"{written}/{on_disk}.png", tmp_path) == expected
    assert find_spelling(f"{tmp_path}/{written}/{written}.png", None) == expected


def test_exact_name_wins_and_missing_names_stay(tmp_path: Path) -> None:
    for name in (NFC, NFD, "a\\b"):
        (tmp_path / name).write_bytes(b"x")
        assert find_spelling(name, tmp_path) == str(tmp_path / name)
    assert find_spelling("né.png", tmp_path) == str(tmp_path / "né.png")


def test_separators_of_windows_and_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.png").write_bytes(b"x")
    assert find_spelling("img\\a.png", tmp_path) == str(tmp_path / "img" / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_spelling("~/img/a.png", Path("/data")) == str(tmp_path / "img" / "a.png")
    assert find_spelling("~a.png", Path("/data")) == "/data/~a.png"
