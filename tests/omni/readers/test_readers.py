"""Readers: every source gives the same samples, bad rows stay in their places as errors, and splits never leak."""

import hashlib
import json
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile

from omni.readers import (
    SampleDataset,
    is_test_caption,
    open_dataset,
    read_datasets,
    read_jsonl,
    read_llava,
    split_by_caption,
    write_manifest,
)
from omni.samples.messages import Media, Message, Sample, SampleError, Text, check_answer, parse_messages
from tests.omni.readers.read_rows import error_at, manifest_row, pair, picture, sample_at

# JSON lines


def test_malformed_lines_are_errors_with_their_number_and_neighbours_survive(tmp_path: Path) -> None:
    good = [json.dumps(manifest_row(index)) for index in range(3)]
    lines = [good[0], "", '{"id": "cut", "messa', good[1], "[1, 2]", '{"id": "x"}', "   ", good[2]]
    (tmp_path / "m.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\n\xff\xfe\n")
    dataset = read_jsonl(tmp_path / "m.jsonl")
    assert len(dataset) == 7
    assert [sample_at(dataset, index).id for index in (0, 2, 5)] == ["r0", "r1", "r2"]
    assert error_at(dataset, 1).sample_id == "m.jsonl:3"
    assert "not valid JSON" in error_at(dataset, 1).reason
    assert error_at(dataset, 3).sample_id == "m.jsonl:5"
    assert "expected an object" in error_at(dataset, 3).reason
    assert error_at(dataset, 4).sample_id == "x"
    assert "'messages' is missing" in error_at(dataset, 4).reason
    assert error_at(dataset, 6).sample_id == "m.jsonl:9"
    assert "not UTF-8" in error_at(dataset, 6).reason
    assert len(list(dataset)) == 7
    assert sample_at(dataset, -2).id == "r2"
    with pytest.raises(IndexError):
        dataset[7]


def test_paths_start_from_the_manifest_and_ids_from_its_lines(tmp_path: Path) -> None:
    row = manifest_row(0)
    del row["id"]
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    sample = sample_at(read_jsonl(tmp_path / "m.jsonl"), 0)
    assert sample.id == "m.jsonl:1"
    assert sample.media[0].path == str(tmp_path / "0.png")


def test_unknown_modality_is_an_error_that_lists_the_allowed_ones(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps(manifest_row(0)))
    assert "allowed are 'sound', 'text'" in error_at(read_jsonl(tmp_path / "m.jsonl", {"sound"}), 0).reason


def _ids(dataset: SampleDataset, indices: list[int]) -> list[str]:
    return [sample_at(dataset, index).id for index in indices]


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
@pytest.mark.parametrize("in_turn", [True, False])
def test_key_that_stands_twice_in_an_object_is_an_error_of_its_row(name: str, in_turn: bool, tmp_path: Path) -> None:
    good = json.dumps(manifest_row(0))
    wrong = good.replace('"role": "user"', '"role": "user", "role": "user"') if in_turn else good[:-1] + ', "id": "r1"}'
    rows = [good, wrong, good]
    text = "\n".join(rows) if name.endswith("l") else f"[{', '.join(rows)}]"
    (tmp_path / name).write_text(text)
    dataset = open_dataset(tmp_path / name)
    error = error_at(dataset, 1)
    assert error.sample_id == f"{name}:2"
    assert f"the key '{'role' if in_turn else 'id'}' 2 times" in error.reason
    assert sample_at(dataset, 0) == sample_at(dataset, 2)


def test_random_access_is_right_in_forked_and_pickled_copies(tmp_path: Path) -> None:
    rows = [{**manifest_row(index), "padding": "x" * (index * 37 % 900)} for index in range(300)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = read_jsonl(tmp_path / "m.jsonl")
    orders = [np.random.default_rng(seed).permutation(300).tolist() for seed in range(4)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.starmap(_ids, [(dataset, order) for order in orders])
    for order, ids in zip(orders, results, strict=True):
        assert ids == [f"r{index}" for index in order]
    assert _ids(pickle.loads(pickle.dumps(dataset)), orders[0]) == results[0]


def test_missing_file_and_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.jsonl does not exist"):
        read_jsonl(tmp_path / "gone.jsonl")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        read_jsonl(tmp_path)


def test_written_manifest_reads_back_equal(tmp_path: Path) -> None:
    samples = [pair("a", str(tmp_path / "é.png"), "a “fox”"), pair("b", str(tmp_path / "b.png"), "b", category="c")]
    assert write_manifest(tmp_path / "m.jsonl", samples) == 2
    assert list(read_jsonl(tmp_path / "m.jsonl")) == samples
    held = Sample("c", (Message("user", (Media("image", data=b"x"),)),))
    with pytest.raises(ValueError, match=r"'c'.*not a file"):
        write_manifest(tmp_path / "n.jsonl", [held])


# LLaVA


def write_llava(tmp_path: Path, *rows: Any) -> SampleDataset:
    (tmp_path / "llava.json").write_text(json.dumps(rows))
    return read_llava(tmp_path / "llava.json")


def turns(question: str, answer: str = "A cat.") -> list[dict]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def test_half_a_character_is_an_error_of_its_row_wherever_it_stands(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": "a frog"}
    question = {"role": "user", "content": "what?"}
    rows = [
        {"id": "asked", "messages": [{"role": "user", "content": "wh\ud83d"}, answer]},
        {"id": "answered", "messages": [question, {"role": "assistant", "content": "\udc38 frog"}]},
        {"id": "caption", "messages": [question, answer], "caption": {"of": ["a \ud83d"]}},
        {"id": "whole", "messages": [question, {"role": "assistant", "content": "a \U0001f438"}]},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    *halves, whole = read_jsonl(tmp_path / "rows.jsonl")
    for row, found in zip(rows, halves, strict=False):
        assert isinstance(found, SampleError)
        assert found.sample_id == row["id"]
        assert "holds half a character" in found.reason
    assert isinstance(whole, Sample)
    with pytest.raises(SampleError, match=r"half a character \('\\ud83d'\)"):
        parse_messages(rows[0]["messages"])


def test_llava_marks_become_media_in_their_places(tmp_path: Path) -> None:
    dataset = write_llava(
        tmp_path,
        {"id": "1", "image": "cat.jpg", "conversations": turns("<image>\nWhat is it?")},
        {"id": 2, "image": ["a.jpg", "b.jpg"], "conversations": turns("Compare <image> and <image>")},
        {"id": 3, "audio": "x.wav", "video": "y.mp4", "conversations": turns("<video>\n<audio>\nWhat?")},
        {"id": 4, "conversations": turns("Hello")},
        {"id": 5, "image": "c.jpg", "conversations": [*turns("Hi", "Hello"), *turns("<image>", "A dog.")]},
    )
    base = str(tmp_path)
    image = lambda name: Media("image", path=f"{base}/{name}")  # noqa: E731
    contents = [sample_at(dataset, index).messages[0].content for index in range(4)]
    assert contents[0] == (image("cat.jpg"), Text("What is it?"))
    assert contents[1] == (Text("Compare "), image("a.jpg"), Text(" and "), image("b.jpg"))
    assert contents[2] == (Media("video", path=f"{base}/y.mp4"), Media("sound", path=f"{base}/x.wav"), Text("What?"))
    assert contents[3] == (Text("Hello"),)
    last = sample_at(dataset, 4)
    assert [message.role for message in last.messages] == ["user", "assistant"] * 2
    assert last.messages[2].content == (image("c.jpg"),)
    for index in range(5):
        check_answer(sample_at(dataset, index))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"id": "1", "image": "a.jpg", "conversations": turns("<image><image>")},
            "2 place(s) for image items, but the row has 1",
        ),
        (
            {"id": "1", "image": "a.jpg", "conversations": turns("no mark")},
            "0 place(s) for image items, but the row has 1",
        ),
        ({"id": "1", "conversations": turns("<sound>")}, "1 place(s) for sound items, but the row has 0"),
        ({"id": "1", "image": "a.jpg", "conversations": turns("<video>")}, "place(s) for"),
        ({"id": "1", "conversations": [{"from": "robot", "value": "x"}]}, "unknown speaker 'robot'"),
        ({"id": "1", "conversations": [{"from": ["human"], "value": "x"}]}, "unknown speaker ['human']"),
        ({"id": "1", "conversations": [{"from": "human"}]}, "a turn must be"),
        ({"id": "1", "conversations": [{"from": "gpt", "value": "x"}]}, "no user turn"),
        ({"id": "1"}, "'conversations' must be a list"),
        ({"id": "1", "image": "https://x/y.jpg", "conversations": turns("<image>")}, "nothing is downloaded"),
        ("text", "expected an object"),
    ],
)
def test_llava_mistake_is_an_error_and_its_neighbour_survives(row: Any, reason: str, tmp_path: Path) -> None:
    dataset = write_llava(tmp_path, row, {"id": "good", "conversations": turns("Hello")})
    assert reason in error_at(dataset, 0).reason
    assert sample_at(dataset, 1).id == "good"


def test_llava_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="must hold a list"):
        read_llava(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"a": 1}\n{"a": 2}')
    with pytest.raises(ValueError, match=r"must end in \.jsonl"):
        read_llava(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(FileNotFoundError, match="image folder"):
        read_llava(tmp_path / "x.json", tmp_path / "gone")


# Hugging Face data sets


def table_of_pictures(tmp_path: Path) -> datasets.Dataset:
    paths = [picture(tmp_path / f"{index}.png") for index in range(3)]
    columns = {"image": paths, "caption": ["a fox", "a dog", ""], "source": ["web"] * 3}
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())


def test_picture_and_caption_columns_become_pairs(tmp_path: Path) -> None:
    dataset = read_datasets(table_of_pictures(tmp_path))
    sample = sample_at(dataset, 1)
    assert sample.messages[1].text == "a dog"
    assert sample.meta == {"caption": "a dog", "source": "web"}
    assert sample.media[0].path == str(tmp_path / "1.png")
    with pytest.raises(SampleError, match="answer is empty"):
        check_answer(sample_at(dataset, 2))


def test_sound_columns_need_no_decoder_and_keep_their_bytes(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(100), 8000)
    data = (tmp_path / "x.wav").read_bytes()
    table = datasets.Dataset.from_dict({"audio": [{"bytes": data, "path": None}], "text": ["silence"]})
    table = table.cast_column("audio", datasets.Audio())
    assert sample_at(read_datasets(table), 0).media == (Media("sound", data=data),)
    assert (
        sample_at(read_datasets(table, modalities={"speech"}, media={"audio": "speech"}), 0).media[0].modality
        == "speech"
    )


def test_class_labels_and_lists_of_captions_become_text(tmp_path: Path) -> None:
    table = table_of_pictures(tmp_path).remove_columns(["caption"])
    labelled = table.add_column("label", [1, 0, 1]).cast_column("label", datasets.ClassLabel(names=["cat", "red_fox"]))
    assert [sample_at(read_datasets(labelled), index).messages[1].text for index in range(2)] == ["red fox", "cat"]
    several = table.add_column("texts", [["one", "two"]] * 3)
    assert sample_at(read_datasets(several, caption="texts"), 0).messages[1].text == "one"


def test_conversations_take_the_pictures_of_their_own_column(tmp_path: Path) -> None:
    content = [{"type": "image", "text": None}, {"type": "text", "text": "What?"}]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": "A fox."}]},
    ]
    paths = [picture(tmp_path / f"{index}.png") for index in range(2)]
    table = datasets.Dataset.from_dict({"messages": [messages, messages], "images": [paths[:1], paths]})
    table = table.cast_column("images", datasets.List(datasets.Image()))
    dataset = read_datasets(table)
    assert sample_at(dataset, 0).messages[0].content == (Media("image", path=paths[0]), Text("What?"))
    assert "1 place(s) for image items, but the row has 2" in error_at(dataset, 1).reason


def test_saved_folders_and_parquet_files_open_by_their_path(tmp_path: Path) -> None:
    table = table_of_pictures(tmp_path / "pictures")
    table.save_to_disk(str(tmp_path / "saved"))
    table.to_parquet(str(tmp_path / "x.parquet"))
    datasets.DatasetDict({"test": table}).save_to_disk(str(tmp_path / "splits"))
    for dataset in (
        open_dataset(tmp_path / "saved"),
        open_dataset(tmp_path / "x.parquet"),
        open_dataset(tmp_path / "splits", split="test"),
    ):
        assert len(dataset) == 3
        assert sample_at(dataset, 0).messages[1].text == "a fox"
    with pytest.raises(ValueError, match="no split 'train'; it has test"):
        open_dataset(tmp_path / "splits")


def test_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    table = table_of_pictures(tmp_path)
    with pytest.raises(ValueError, match="no column 'title'; it has image, caption, source"):
        read_datasets(table, caption="title")
    with pytest.raises(ValueError, match="say which column holds the captions"):
        read_datasets(table.remove_columns(["caption"]))
    with pytest.raises(ValueError, match="say which column holds the media"):
        read_datasets(table.remove_columns(["image"]))


# Opening by name


def test_format_is_seen_from_the_name_and_the_content(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps(manifest_row(1)))
    (tmp_path / "list.json").write_text(json.dumps([manifest_row(1)]))
    (tmp_path / "llava.json").write_text(json.dumps([{"id": "l", "conversations": turns("Hello")}]))
    picture(tmp_path / "folder" / "fox.png")
    names = {"m.jsonl": "r1", "list.json": "r1", "llava.json": "l", "folder": "fox.png"}
    assert {name: sample_at(open_dataset(tmp_path / name), 0).id for name in names} == names


def test_source_that_cannot_be_opened_says_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"'owner/name' does not exist.*write hf:OWNER/NAME"):
        open_dataset("owner/name")
    with pytest.raises(ValueError, match=r"'tar'.*allowed are jsonl, json, llava"):
        open_dataset(tmp_path, format="tar")
    (tmp_path / "x.abc").write_text("x")
    with pytest.raises(ValueError, match=r"known are \.jsonl"):
        open_dataset(tmp_path / "x.abc")
    (tmp_path / "m.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"unknown option image_folder.*jsonl takes modalities"):
        open_dataset(tmp_path / "m.jsonl", image_folder="x")


# Splits


def test_split_follows_the_hash_of_the_caption() -> None:
    captions = [f"caption {index}" for index in range(2000)]
    train, test = split_by_caption(captions)
    digests = [int(hashlib.sha256(caption.encode()).hexdigest()[:8], 16) for caption in captions]
    assert test == [index for index in range(2000) if digests[index] % 100 < 20]
    assert sorted(train + test) == list(range(2000))
    assert len(test) / 2000 == pytest.approx(0.2, abs=0.03)


def test_equal_captions_are_never_on_both_sides() -> None:
    assert len({is_test_caption(caption) for caption in ("A Fox.", "a fox.", "  A FOX. \n")}) == 1
    assert split_by_caption(["a", "b"], 0.0) == ([0, 1], [])
    assert split_by_caption(["a", "b"], 1.0) == ([], [0, 1])
    with pytest.raises(ValueError, match="from 0 to 1"):
        split_by_caption(["a"], 20)
