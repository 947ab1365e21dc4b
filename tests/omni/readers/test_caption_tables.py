"""Tables of captions as they are published: any separator, quotes, line ends within a caption, several captions."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from omni.readers import SampleDataset, open_dataset
from omni.samples.messages import Media, Sample, SampleError
from tests.fuzz import good_bytes
from tests.omni.readers.read_rows import error_at, sample_at


def table(folder: Path, text: str, name: str = "t.csv", **options: Any) -> SampleDataset:
    (folder / name).write_bytes(text.encode())
    return open_dataset(folder / name, **options)


def captions(dataset: SampleDataset) -> list[str]:
    return [entry.reason if isinstance(entry, SampleError) else entry.meta["caption"] for entry in dataset]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_only_line_feeds_end_a_row(mark: str, suffix: str, tmp_path: Path) -> None:
    rows = {
        "csv": f"file_name,caption\na.jpg,A dog{mark}runs\nb.jpg,x\n",
        "tsv": f"file_name\tcaption\na.jpg\tA dog{mark}runs\nb.jpg\tx\n",
        "jsonl": "".join(
            json.dumps({"file_name": name, "caption": caption}, ensure_ascii=False) + "\n"
            for name, caption in (("a.jpg", f"A dog{mark}runs"), ("b.jpg", "x"))
        ),
    }
    assert captions(table(tmp_path, rows[suffix], f"t.{suffix}", format="captions")) == [f"A dog{mark}runs", "x"]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ('file_name, caption\na.jpg, "one, two"\n', "t.csv", ["one, two"]),
        ('file,caption\na.jpg,"one\ntwo"\nb.jpg,x\n', "t.csv", ["one\ntwo", "x"]),
        ("file,caption\ra.jpg,one\rb.jpg,x\r", "t.csv", ["one", "x"]),
        ('file\tcaption\na.jpg\t"one\ntwo ""2"""\nb.jpg\tx\n', "t.tsv", ['one\ntwo "2"', "x"]),
        ('file\tcaption\na.jpg\t"one" said he\nb.jpg\t"x\n', "t.tsv", ['"one" said he', '"x']),
        ("filepath\ttitle\na.jpg\tA dog\n", "t.csv", ["A dog"]),
        ("image_name| comment_number| comment\na.jpg| 0| A dog, red\n", "t.csv", ["A dog, red"]),
        ('image;"caption"\na.jpg;A dog\n', "t.csv", ["A dog"]),
        ("image,caption\na.jpg,A dog\n", "captions.txt", ["A dog"]),
        ("\ufefffile_name,caption_2,caption_1\na.jpg,two,one\n", "t.csv", ["one"]),
        ("FILE_NAME,Caption\n\na.jpg,A dog\n,,\n", "t.csv", ["A dog"]),
    ],
)
def test_tables_in_use_are_read(text: str, name: str, expected: list[str], tmp_path: Path) -> None:
    assert captions(table(tmp_path, text, name)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            'image,caption\na.png,"a frog\nb.png,a drum\nc.png,a bell\nfrog.jpg,a toad"\n',
            "line 2: .* takes in line 3, which looks like a row",
        ),
        ('image,caption\n\na.png,"two\nlines"\nb.png,"a drum\nc.png,x\n', "line 5: .* is not closed .*line 6"),
        ('image,caption\na.png,"a frog" leaps\nb.png,x\n', "line 2: .* is not closed as it should be"),
        ('image;caption\na.png;"a frog\nb.png;"a drum"\n', "line 2: .* is not closed as it should be"),
        ('caption,image\n"a frog,a.png\na drum,b.png\n",c.png\n', "line 2: .* takes in line 3"),
        ('caption,image,hint\n"two\nlines",a.png,"x\ny,b.png"\n', "line 3: .* takes in line 4"),
        ('image,caption\rx,"a frog\rhere,a drum"\r', "line 2: .* takes in line 3"),
        ('"image,caption\na.png,x\n', "line 1: .* is not closed"),
    ],
)
def test_missing_quotation_mark_never_takes_in_the_rows_after_it(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"x")  # a row is also known by a file that exists
    with pytest.raises(ValueError, match=rf"t\.csv, {reason}"):
        table(tmp_path, text)


@pytest.mark.parametrize("name", ["t.tsv", "t.csv"])
def test_quotation_mark_that_would_take_in_rows_belongs_to_captions_without_quotes(name: str, tmp_path: Path) -> None:
    text = 'file\tcaption\na.jpg\t"Help\nb.jpg\tcried she"\n'
    text = text if name == "t.tsv" else text.replace("\t", "| ")
    assert captions(table(tmp_path, text, name)) == ['"Help', 'cried she"']


def test_caption_with_the_separator_in_it_is_never_cut(tmp_path: Path) -> None:
    dataset = table(tmp_path, "file,caption\na.jpg,one, two\nb.jpg,three,,\n")
    assert "3 cells where the first line names 2" in error_at(dataset, 0).reason
    assert sample_at(dataset, 1).meta["caption"] == "three"


def test_columns_and_separator_can_be_named(tmp_path: Path) -> None:
    text = "file_name,caption_1,caption_2\na.jpg,one,two\n"
    assert sample_at(table(tmp_path, text), 0).meta == {"caption": "one", "captions": ["one", "two"]}
    assert sample_at(table(tmp_path, text, caption="caption_2"), 0).meta == {"caption": "two"}
    odd = "Bild~Titel, kurz~Frage\na.jpg~Hund~Was?\n"
    sample = sample_at(table(tmp_path, odd, file="Bild", caption="Titel, kurz", question="Frage", separator="~"), 0)
    assert sample.messages[0].content[0] == Media("image", path=str(tmp_path / "a.jpg"))
    assert [message.text for message in sample.messages] == ["Was?", "Hund"]
    with pytest.raises(ValueError, match=r"it has bild~titel, kurz~frage\. Or name them with the options `file`"):
        table(tmp_path, odd)
    with pytest.raises(ValueError, match="must be one character"):
        table(tmp_path, odd, separator="--")


def test_questions_and_base64_of_a_benchmark_are_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((400, 400), 90).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    assert len(picture) > 131072  # the csv module's limit
    dataset = table(tmp_path, f"index\timage\tquestion\tanswer\n0\t{picture}\tWhich?\tB\n", "bench.tsv")
    sample = sample_at(dataset, 0)
    assert sample.id == "bench.tsv:2"
    assert sample.media == (Media("image", data=buffer.getvalue()),)
    assert [message.text for message in sample.messages] == ["Which?", "B"]


def test_base64_has_the_modality_that_its_bytes_show(tmp_path: Path) -> None:
    good = {key: data for key, data in good_bytes().items() if len(data) > 40}
    known = {
        "image": [key for key in good if key.startswith("image ")],
        "sound": ["sound wav", "sound flac", "sound ogg", "sound mp3"],
        "video": [f"video {suffix}" for suffix in ("mp4", "mkv", "avi", "ts", "mov")],
        "point_cloud": ["point_cloud ply", "point_cloud glb"],
    }
    for modality, keys in known.items():
        for key in keys:
            text = f"data:x/y;base64,{base64.b64encode(good[key]).decode()}"
            dataset = table(tmp_path, f"file\tcaption\n{text}\tA thing\n", "t.tsv")
            assert sample_at(dataset, 0).media == (Media(modality, data=good[key]),), key
    for key in ("depth npy", "depth exr", "imu parquet", "imu csv", "point_cloud xyz"):  # may be several, or unknown
        text = f"file\tcaption\ndata:;base64,{base64.b64encode(good[key]).decode()}\tA thing\n"
        assert "give it as `modality`" in error_at(table(tmp_path, text, "t.tsv"), 0).reason
        assert sample_at(table(tmp_path, text, "t.tsv", modality="depth"), 0).media[0].modality == "depth"


def test_files_of_a_table_may_lie_elsewhere_and_be_named_as_on_windows(tmp_path: Path) -> None:
    (tmp_path / "media" / "img").mkdir(parents=True)
    (tmp_path / "media" / "img" / "a.jfif").write_bytes(b"x")
    dataset = table(tmp_path, "file,caption\nimg\\a.jfif,A\nhttps://x.org/b.jpg,B\n", media_folder=tmp_path / "media")
    assert sample_at(dataset, 0).media == (Media("image", path=str(tmp_path / "media" / "img" / "a.jfif")),)
    assert "nothing is downloaded" in error_at(dataset, 1).reason


def test_rows_of_json_lines_may_hold_lists_and_questions(tmp_path: Path) -> None:
    rows = [{"file_name": "a.wav", "captions": ["one", "two"]}, {"image": "a.png", "question": "Q?", "answer": "A"}]
    text = "".join(json.dumps(row) + "\n" for row in [*rows, {"x": 1}])
    first, second, third = table(tmp_path, text, "captions.jsonl")
    assert isinstance(first, Sample)
    assert first.meta == {"caption": "one", "captions": ["one", "two"]}
    assert isinstance(second, Sample)
    assert [message.text for message in second.messages] == ["Q?", "A"]
    assert "names no file; it has x" in str(third)


def media_of(dataset: SampleDataset) -> list[Any]:
    return [
        entry.reason
        if isinstance(entry, SampleError)
        else [(item.modality, Path(str(item.path)).name) for item in entry.media]
        for entry in dataset
    ]


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("image,audio,caption", "a.png,s.wav,x", [("image", "a.png"), ("sound", "s.wav")]),
        ("audio,caption,image", "s.wav,x,a.png", [("sound", "s.wav"), ("image", "a.png")]),
        ("image,image_2,caption", "a.png,b.png,x", [("image", "a.png"), ("image", "b.png")]),
        ("image_1,image_2,caption", "a.png,a.png,x", [("image", "a.png"), ("image", "a.png")]),
        ("image,image,caption", "a.png,b.png,x", [("image", "a.png"), ("image", "b.png")]),
        ("file_name,audio,caption", "a.png,s.wav,x", [("image", "a.png"), ("sound", "s.wav")]),
        ("image,audio,caption", ",s.wav,x", [("sound", "s.wav")]),
        (
            "image,depth,speech,caption",
            "a.png,d.npy,s.wav,x",
            [("image", "a.png"), ("depth", "d.npy"), ("speech", "s.wav")],
        ),
        ("image,depth,speech,caption", "a.png,3.5,a man talks,x", [("image", "a.png")]),
        ("file_name,image,path,caption", "i/a.png,a.png,/data/i/a.png,x", [("image", "a.png")]),
        ("file_name,path,caption", "a.png,/data/train,x", [("image", "a.png")]),
    ],
)
def test_all_columns_of_media_belong_to_the_row(header: str, cells: str, expected: list[Any], tmp_path: Path) -> None:
    assert media_of(table(tmp_path, f"{header}\n{cells}\n")) == [expected]
    names = header.split(",")
    if len({*names}) == len(names):
        row = json.dumps(dict(zip(names, cells.split(","), strict=True)))
        assert media_of(table(tmp_path, row + "\n", "captions.jsonl")) == [expected]


def test_columns_of_media_with_a_question_keep_their_media_and_one_can_be_chosen(tmp_path: Path) -> None:
    text = "image,audio,question,answer\na.png,s.wav,What?,A toad\n"
    assert media_of(table(tmp_path, text)) == [[("image", "a.png"), ("sound", "s.wav")]]
    assert media_of(table(tmp_path, text, file="audio")) == [[("sound", "s.wav")]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"image": "a.png", "video": "x7Qd", "caption": "x"}, "the column video: no modality .* the option `file`"),
        ({"image": "a.png", "audio": ["s.wav"], "caption": "x"}, "the column audio does not hold one file"),
        ({"file_name": "a.png", "path": "b.png", "caption": "x"}, "file_name and path name two files, a.png and b.png"),
        ({"file_name": "a.png", "image": "data:;base64,AA==", "caption": "x"}, "file_name and image, one holds a path"),
    ],
)
def test_columns_that_may_hold_no_further_media_are_asked_about(row: dict, reason: str, tmp_path: Path) -> None:
    assert re.search(reason, error_at(table(tmp_path, json.dumps(row) + "\n", "captions.jsonl"), 0).reason)


def test_captions_in_columns_of_the_same_name_are_all_read(tmp_path: Path) -> None:
    sample = sample_at(table(tmp_path, "image,caption,caption\na.png,one,two\n"), 0)
    assert sample.meta == {"caption": "one", "captions": ["one", "two"]}
