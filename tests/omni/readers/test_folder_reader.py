"""A user's own folder of files: captions from names, text files, tables or a manifest in it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from omni.readers import open_dataset, read_folder
from omni.readers.captions import caption_from_name
from tests.omni.readers.read_rows import error_at, manifest_row, pair, picture, sample_at


def test_file_names_are_captions(tmp_path: Path) -> None:
    for name in ("red_fox-01.png", "birds/blue-tit.PNG", ".hidden.png", ".cache/x y.png", "__MACOSX/z.png"):
        picture(tmp_path / name)
    soundfile.write(tmp_path / "birds" / "owl.wav", np.zeros(10), 8000)
    picture(tmp_path / "IMG_2041.png")
    dataset = read_folder(tmp_path)
    assert error_at(dataset, 0).sample_id == "IMG_2041.png"
    assert "no words" in error_at(dataset, 0).reason
    assert [sample_at(dataset, index) for index in (1, 2, 3)] == [
        pair("red_fox-01.png", str(tmp_path / "red_fox-01.png"), "red fox"),
        pair("birds/blue-tit.PNG", str(tmp_path / "birds/blue-tit.PNG"), "blue tit", category="birds"),
        pair("birds/owl.wav", str(tmp_path / "birds/owl.wav"), "owl", "sound", category="birds"),
    ]
    assert len(dataset) == 4
    assert sample_at(read_folder(tmp_path, modality="thermal"), 1).media[0].modality == "thermal"


@pytest.mark.parametrize(
    ("stem", "caption"),
    [
        ("red_fox-01", "red fox"),
        ("red fox (2)", "red fox"),
        ("red fox copy", "red fox"),
        ("001_red_fox", "red fox"),
        ("3 bears", "3 bears"),
        ("boeing747", "boeing747"),
        ("0017", None),
        ("IMG_2041", None),
        ("_", None),
    ],
)
def test_caption_is_the_words_of_the_name(stem: str, caption: str | None) -> None:
    assert caption_from_name(stem) == caption


def test_text_files_beside_are_captions_and_then_every_file_needs_one(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / name)
    (tmp_path / "a.txt").write_bytes("\ufeff\n A rëd fox. \nMore.\n".encode())
    (tmp_path / "b.txt").write_text("\n")
    dataset = read_folder(tmp_path)
    assert sample_at(dataset, 0) == pair("a.png", str(tmp_path / "a.png"), "A rëd fox.")
    assert "is empty" in error_at(dataset, 1).reason
    assert "no c.txt" in error_at(dataset, 2).reason


def test_names_are_captions_where_only_a_few_files_have_texts(tmp_path: Path) -> None:
    for name in ("IMG_1.png", "blue_tit.png", "red_fox.png"):
        picture(tmp_path / name)
    (tmp_path / "IMG_1.txt").write_text("A caption of its own.")
    captions = [sample_at(read_folder(tmp_path), index).meta["caption"] for index in range(3)]
    assert captions == ["A caption of its own.", "blue tit", "red fox"]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_table_of_captions_is_read_before_names(suffix: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    rows = [["file", "caption"], ["a.png", 'A "red, quick" fox'], ["a.png", "Again"], ["b.wav", ""], ["c.abc", "x"]]
    with open(tmp_path / f"captions.{suffix}", "w", encoding="utf-8-sig", newline="") as file:
        if suffix == "csv":
            csv.writer(file).writerows(rows)
        else:
            file.write("\r\n".join("\t".join(row) for row in rows))
    dataset = read_folder(tmp_path)
    assert sample_at(dataset, 0) == pair("a.png", str(tmp_path / "a.png"), 'A "red, quick" fox')
    assert sample_at(dataset, 1).id == "a.png#2"
    assert f"captions.{suffix}:4" == error_at(dataset, 2).sample_id
    assert "b.wav is empty" in error_at(dataset, 2).reason
    assert "no modality is known" in error_at(dataset, 3).reason
    assert list(map(str, open_dataset(tmp_path / f"captions.{suffix}"))) == list(map(str, dataset))


def test_table_of_imagefolder_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "A fox"}\nbroken\n')
    dataset = read_folder(tmp_path)
    assert sample_at(dataset, 0).messages[1].text == "A fox"
    assert error_at(dataset, 1).sample_id == "metadata.jsonl:2"


def test_manifest_of_a_folder_is_read_as_it_is(tmp_path: Path) -> None:
    picture(tmp_path / "ignored.png")
    (tmp_path / "manifest.jsonl").write_text(json.dumps(manifest_row(5)))
    assert sample_at(read_folder(tmp_path), 0).id == "r5"


def test_folder_without_use_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.doc").write_text("x")
    with pytest.raises(ValueError, match=r"holds no media: found \.doc; known extensions are"):
        read_folder(tmp_path)
    (tmp_path / "captions.csv").write_text("name,words\na,b\n")
    with pytest.raises(ValueError, match=r"names its columns.*it has name, words"):
        read_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_folder(tmp_path / "gone")
