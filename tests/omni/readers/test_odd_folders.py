"""Folders as they come: links, names in old encodings, tables of spreadsheets that separate by semicolons."""

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from omni.readers import open_dataset, read_folder
from omni.samples.messages import Sample, SampleError


def test_links_to_folders_are_followed_and_those_that_lead_back_are_not(tmp_path: Path) -> None:
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    (elsewhere / "animals").mkdir(parents=True)
    data.mkdir()
    (elsewhere / "animals" / "red_fox.png").write_bytes(b"x")
    (data / "blue_bird.png").write_bytes(b"x")
    (data / "linked").symlink_to(elsewhere)
    (data / "self").symlink_to(data)
    (elsewhere / "animals" / "up").symlink_to(elsewhere)
    samples = [entry for entry in read_folder(data) if isinstance(entry, Sample)]
    assert [sample.id for sample in samples] == ["blue_bird.png", "linked/animals/red_fox.png"]


def test_name_that_is_not_unicode_costs_its_own_file_only(tmp_path: Path) -> None:
    (tmp_path / "green_frog.png").write_bytes(b"x")
    with open(os.fsencode(tmp_path) + b"/caf\xe9 noir.png", "wb") as file:
        file.write(b"x")
    error, sample = sorted(read_folder(tmp_path), key=lambda entry: isinstance(entry, Sample))
    assert isinstance(sample, Sample)
    assert sample.id == "green_frog.png"
    assert isinstance(error, SampleError)
    assert "not UTF-8" in error.reason
    assert str(error).encode()


def test_table_of_a_spreadsheet_with_semicolons_is_read(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text('\ufefffile;caption\r\nfox.png;"a fox, red"\r\n', encoding="utf-8")
    (sample,) = open_dataset(tmp_path / "captions.csv")
    assert isinstance(sample, Sample)
    assert sample.meta["caption"] == "a fox, red"


def captions(folder: Path, **options: Any) -> dict[str, str]:
    return {
        entry.sample_id if isinstance(entry, SampleError) else entry.id: entry.reason
        if isinstance(entry, SampleError)
        else entry.meta["caption"]
        for entry in read_folder(folder, **options)
    }


def put(folder: Path, **contents: str) -> None:
    """Write files, with __ for / and _DOT_ for the full stops of their names."""
    for name, text in contents.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_tables_in_the_split_folders_of_imagefolder_are_read(tmp_path: Path) -> None:
    put(
        tmp_path,
        train__images__dog_DOT_jpg="x",
        train__metadata_DOT_jsonl='{"file_name": "images/dog.jpg", "text": "A brown dog"}\n',
        test__cat_DOT_jpg="x",
        test__metadata_DOT_csv="file_name,text\ncat.jpg,A sleepy cat\n",
        extra__fox_DOT_jpg="x",
    )
    found = captions(tmp_path)
    assert found.pop("extra/fox.jpg").startswith("no table of captions covers the file; there are test/metadata.csv")
    assert found == {"train/images/dog.jpg": "A brown dog", "test/cat.jpg": "A sleepy cat"}
    sample = read_folder(tmp_path)[0]
    assert isinstance(sample, Sample)
    assert sample.media[0].path == str(tmp_path / "test" / "cat.jpg")
    assert "category" not in sample.meta


def test_captions_txt_is_a_table_only_if_it_names_columns(tmp_path: Path) -> None:
    put(tmp_path, red_fox_DOT_jpg="x", captions_DOT_txt="image,caption\nred_fox.jpg,A fox runs\n")
    assert captions(tmp_path) == {"red_fox.jpg": "A fox runs"}
    put(tmp_path, captions_DOT_txt="A note about captions.\n")
    assert captions(tmp_path) == {"red_fox.jpg": "red fox"}


@pytest.mark.parametrize("name", ["{0}.txt", "{0}.caption", "{0}.jpg.txt", "{0}.jpg.caption", "{0}.TXT", "{0}.cap"])
def test_side_files_of_any_name_are_captions(name: str, tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "añö") for form in ("NFC", "NFD"))
    (tmp_path / f"{decomposed}.jpg").write_bytes(b"x")
    (tmp_path / name.format(composed)).write_text("\nA fox\u2028runs.\r\nMore.", encoding="utf-8")
    assert list(captions(tmp_path).values()) == ["A fox\u2028runs."]


def test_names_without_words_take_the_class_of_their_folder(tmp_path: Path) -> None:
    names = ["red_fox/001.png", "train/dog/IMG_2041.png", "n01440764/n01440764_10026.JPEG", "cat/3f2a9c41be.jfif"]
    for name in [*names, "birds/blue_tit.png", "images/002.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = captions(tmp_path)
    assert found["red_fox/001.png"] == "red fox"
    assert found["train/dog/IMG_2041.png"] == "dog"
    assert found["cat/3f2a9c41be.jfif"] == "cat"
    assert found["birds/blue_tit.png"] == "blue tit"
    assert "no words" in found["n01440764/n01440764_10026.JPEG"]
    assert "no words" in found["images/002.png"]


def test_files_that_may_be_of_two_modalities_are_asked_about(tmp_path: Path) -> None:
    put(tmp_path, red_fox_DOT_npy="x", blue_tit_DOT_png="x")
    with pytest.raises(ValueError, match=r"red_fox\.npy: .*may be point_cloud or depth .*`modality`, such as \{\.npy"):
        read_folder(tmp_path)
    samples = [entry for entry in read_folder(tmp_path, modality={"npy": "imu"}) if isinstance(entry, Sample)]
    assert [sample.media[0].modality for sample in samples] == ["image", "imu"]
    (tmp_path / "captions.csv").write_text("file,caption\nred_fox.npy,A\nblue_tit.png,B\n")
    first, second = read_folder(tmp_path)
    assert isinstance(first, SampleError)
    assert "may be point_cloud" in first.reason
    assert isinstance(second, Sample)


@pytest.mark.parametrize("name", ["Captions.CSV", "METADATA.csv", "LABELS.csv", "Captions.txt"])
def test_tables_are_found_in_any_case(name: str, tmp_path: Path) -> None:
    (tmp_path / "red_fox.jpg").write_bytes(b"x")
    (tmp_path / name).write_text("image,label\nred_fox.jpg,A toad\n")
    assert captions(tmp_path) == {"red_fox.jpg": "A toad"}
    (tmp_path / "red_fox.jpg").rename(tmp_path / "fox.jpg")
    assert captions(tmp_path)["fox.jpg"].startswith(f"no row of {name} names the file")


def test_table_of_json_lines_and_manifest_are_known_in_any_case(tmp_path: Path) -> None:
    put(tmp_path, a_DOT_jpg="x", Captions_DOT_JSONL='{"image": "a.jpg", "caption": "A toad"}\n')
    (sample,) = open_dataset(tmp_path / "Captions.JSONL")
    assert isinstance(sample, Sample)
    assert sample.meta["caption"] == "A toad"
    put(tmp_path, Manifest_DOT_jsonl='{"id": "own", "messages": [{"role": "user", "content": "Q"}]}\n')
    assert [entry.id for entry in read_folder(tmp_path) if isinstance(entry, Sample)] == ["own"]


def test_labels_of_something_else_are_no_table(tmp_path: Path) -> None:
    put(tmp_path, red_fox_DOT_jpg="x", labels_DOT_csv="id,class\n0,fox\n")
    assert captions(tmp_path) == {"red_fox.jpg": "red fox"}
    put(tmp_path, captions_DOT_csv="image,caption\nred_fox.jpg,A toad\n", labels_DOT_csv="image,label\nx.jpg,x\n")
    assert captions(tmp_path) == {"red_fox.jpg": "A toad"}


@pytest.mark.parametrize("folder", ["", "train"])
def test_two_tables_in_one_folder_are_refused_with_both_names(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in ("captions.csv", "captions.txt"):
        (tmp_path / folder / name).write_text("image,caption\na.jpg,A\n")
    with pytest.raises(ValueError, match=r"holds captions\.csv and captions\.txt, of which only one"):
        read_folder(tmp_path)


def test_media_that_no_row_of_a_table_names_are_reported(tmp_path: Path) -> None:
    put(tmp_path, named_DOT_jpg="x", empty_DOT_jpg="x", wide_DOT_jpg="x", other_DOT_jpg="x", notes_DOT_txt="x")
    put(tmp_path, clip__0_DOT_png="x", more__b_DOT_wav="x", elsewhere__c_DOT_jpg="x")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    rows = "file_name,text\nnamed.jpg,A\nempty.jpg,\nwide.jpg,a,b\nclip,A clip\nlink/c.jpg,C\n"
    put(tmp_path, metadata_DOT_csv=rows)
    found = captions(tmp_path, modality="image")
    reason = "no row of metadata.csv names the file; add one, or give the table's path in place of the folder's"
    assert {name for name, text in found.items() if text == reason} == {"other.jpg", "more/b.wav"}
    assert len(found) == 7
    assert len(open_dataset(tmp_path / "metadata.csv", modality="image")) == 5


def test_media_that_no_row_of_a_subfolders_table_names_are_reported(tmp_path: Path) -> None:
    put(tmp_path, a__x_DOT_jpg="x", a__y_DOT_jpg="x", a__metadata_DOT_csv="file_name,text\nx.jpg,A toad\n")
    found = captions(tmp_path)
    assert found.pop("a/y.jpg").startswith("no row of a/metadata.csv names the file")
    assert found == {"a/x.jpg": "A toad"}


def test_files_of_media_that_are_not_read_are_reported(tmp_path: Path) -> None:
    put(tmp_path, red_fox_DOT_jpg="x", toad_DOT_HEIC="x", logo_DOT_svg="x", notes_DOT_pdf="x")
    found = captions(tmp_path)
    assert {*found} == {"red_fox.jpg", "toad.HEIC", "logo.svg"}
    assert found["red_fox.jpg"] == "red fox"
    assert "files of type '.heic' are not read" in found["toad.HEIC"]
