"""Folders as they come: links, names in old encodings, tables of spreadsheets that separate by semicolons."""

import os
from pathlib import Path

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
