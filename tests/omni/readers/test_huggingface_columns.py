"""Tables of the `datasets` library as the hub has them: conversations, questions, videos, labels, paths."""

import base64
import io
import os
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from PIL import Image

from omni.media.image import load_image
from omni.readers import SampleDataset, open_dataset, read_datasets
from omni.samples.messages import Media
from tests.omni.readers.read_rows import error_at, picture, sample_at

TEXT = Value("string")


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "JPEG")
    return buffer.getvalue()


PICTURE = {"bytes": jpeg(), "path": None}


def shown(dataset: SampleDataset, index: int = 0) -> str:
    return " | ".join(
        "".join(f"<{part.modality}>" if isinstance(part, Media) else part.text for part in message.content)
        for message in sample_at(dataset, index).messages
    )


def saved(folder: Path, columns: dict[str, list], features: dict[str, Any]) -> SampleDataset:
    """The rows through a Parquet file, as the hub has them."""
    Dataset.from_dict(columns, Features(features)).to_parquet(str(folder / "t.parquet"))
    return open_dataset(folder / "t.parquet")


def test_conversations_of_llava_onevision(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A."}]
    features = {"id": TEXT, "image": datasets.Image(), "conversations": List({"from": TEXT, "value": TEXT})}
    text_only = [{"from": "human", "value": "Which tag?"}, {"from": "gpt", "value": "<image>"}]
    columns = {"id": ["1", "2"], "image": [PICTURE, None], "conversations": [turns, text_only]}
    dataset = saved(tmp_path, columns, features)
    assert shown(dataset) == "<image>What? | A."
    assert shown(dataset, 1) == "Which tag? | <image>"


def test_parts_with_an_index_and_messages_of_texts(tmp_path: Path) -> None:
    part = {"index": Value("int64"), "text": TEXT, "type": TEXT}
    features = {"messages": List({"content": List(part), "role": TEXT}), "images": List(datasets.Image())}
    content = [{"index": None, "text": "What?", "type": "text"}, {"index": 0, "text": None, "type": "image"}]
    answer = [{"index": None, "text": "A.", "type": "text"}]
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    assert shown(saved(tmp_path, {"messages": [turns], "images": [[PICTURE]]}, features)) == "What?<image> | A."
    features = {"messages": List({"role": TEXT, "content": TEXT}), "images": List(datasets.Image())}
    turns = [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A."}]
    dataset = saved(tmp_path, {"messages": [turns] * 2, "images": [[PICTURE], []]}, features)
    assert shown(dataset) == "<image>What? | A."
    assert "1 place(s) for image items, but the row has 0" in error_at(dataset, 1).reason


def test_pairs_of_the_cauldron_follow_their_pictures(tmp_path: Path) -> None:
    features = {"images": List(datasets.Image()), "texts": List({"user": TEXT, "assistant": TEXT, "source": TEXT})}
    pairs = [{"user": "Q1", "assistant": "A1", "source": "s"}, {"user": "Q2", "assistant": "A2", "source": "s"}]
    dataset = saved(tmp_path, {"images": [[PICTURE, PICTURE]], "texts": [pairs]}, features)
    assert shown(dataset) == "<image><image>Q1 | A1 | Q2 | A2"


def test_videos_and_nested_pictures_stay_undecoded(tmp_path: Path) -> None:
    video = {"bytes": b"any video", "path": None}
    dataset = saved(tmp_path, {"video": [video], "caption": ["A"]}, {"video": datasets.Video(), "caption": TEXT})
    assert sample_at(dataset, 0).media == (Media("video", data=b"any video"),)
    part = {"type": TEXT, "text": TEXT, "image": datasets.Image()}
    content = [{"type": "image", "text": None, "image": PICTURE}, {"type": "text", "text": "Q", "image": None}]
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": content[1:]}]
    dataset = saved(tmp_path, {"messages": [turns]}, {"messages": List({"role": TEXT, "content": List(part)})})
    assert sample_at(dataset, 0).media == (Media("image", data=PICTURE["bytes"]),)


@pytest.mark.parametrize(
    ("columns", "read_as"),
    [
        ({"question": ["Q?"], "answer": ["A"]}, "<image>Q? | A"),
        ({"question": ["Q?"], "answers": [["A", "B"]]}, "<image>Q? | A"),
        ({"query": ["Q?"], "label": ["A"], "source": ["web"]}, "<image>Q? | A"),
        ({"question": ["Of <image>: Q?"], "answer": ["A"]}, "Of <image>: Q? | A"),
        ({"instruction": ["Q?"], "output": ["<image>"]}, "<image>Q? | <image>"),
        ({"question": [None], "answer": ["A"]}, "<image> | A"),
        ({"caption": ["C"]}, "<image> | C"),
        ({"Question": ["Q?"], "Answer": ["A"]}, "<image>Q? | A"),
        ({"question": ["Q?"], "text": ["A"]}, "<image>Q? | A"),
        ({"question": ["Q?"], "caption": ["C"]}, "<image>Q? | C"),
        ({"question_text": ["Q?"], "answer_text": ["A"]}, "<image>Q? | A"),
        ({"prompt": ["a fox, oil on canvas"], "caption": ["C"]}, "<image> | C"),
    ],
)
def test_a_question_stays_with_its_answer(columns: dict[str, list], read_as: str, tmp_path: Path) -> None:
    table = Dataset.from_dict({"image": [picture(tmp_path / "a.png")], **columns})
    assert shown(open_dataset(table)) == read_as


def test_question_can_be_left_out_and_further_answers_are_kept(tmp_path: Path) -> None:
    columns = {
        "image": [picture(tmp_path / "a.png")],
        "question": ["Q?"],
        "answers": [[{"answer": "A"}, {"answer": "B"}]],
    }
    table = Dataset.from_dict(columns)
    assert shown(read_datasets(table, instruction="")) == "<image> | A"
    assert sample_at(read_datasets(table), 0).meta == {"caption": "A", "captions": ["A", "B"]}


def test_a_label_of_minus_one_is_none(tmp_path: Path) -> None:
    names = ClassLabel(names=["cat", "red_fox"])
    table = Dataset.from_dict({"image": [picture(tmp_path / "a.png")] * 3, "label": [1, -1, 0]})
    dataset = read_datasets(table.cast_column("label", names))
    assert [shown(dataset, index) for index in (0, 2)] == ["<image> | red fox", "<image> | cat"]
    assert "no label: -1 in 'label' means none" in error_at(dataset, 1).reason
    features = Features({"image": TEXT, "label": List(names)})
    several = read_datasets(Dataset.from_dict({"image": ["a.png"] * 2, "label": [[1, 0], [-1]]}, features))
    assert sample_at(several, 0).meta["captions"] == ["red fox", "cat"]
    assert "no label" in error_at(several, 1).reason


def test_paths_start_from_the_folder_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "data" / "img" / "a.png")
    columns = {"image": ["img/a.png", base64.b64encode(jpeg()).decode()], "caption": ["A", "B"]}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    dataset = saved(tmp_path / "data", columns, {"image": TEXT, "caption": TEXT})
    assert load_image(sample_at(dataset, 0).media[0]).size == (4, 4)
    assert load_image(sample_at(dataset, 1).media[0]).size == (8, 8)
    moved = open_dataset(Dataset.from_dict(columns), media_folder=tmp_path / "data")
    assert sample_at(moved, 0).media[0].path == os.path.join(tmp_path, "data", "img", "a.png")
    with pytest.raises(FileNotFoundError, match=r"the media folder .* does not exist"):
        open_dataset(Dataset.from_dict(columns), media_folder=tmp_path / "gone")


def test_tables_in_memory_are_opened_and_other_things_refused(tmp_path: Path) -> None:
    table = Dataset.from_dict({"image": [picture(tmp_path / "a.png")], "caption": ["A"]})
    assert shown(open_dataset(table)) == shown(open_dataset(datasets.DatasetDict({"train": table}))) == "<image> | A"
    with pytest.raises(ValueError, match="no split 'test'"):
        open_dataset(datasets.DatasetDict({"train": table}), split="test")
    with pytest.raises(ValueError, match=r"IterableDataset; open it without streaming"):
        open_dataset(table.to_iterable_dataset())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="by a function of its own"):
        open_dataset(table.with_transform(lambda rows: rows))
    with pytest.raises(ValueError, match="unknown option image_folder for 'a Dataset'"):
        open_dataset(table, image_folder="x")


def test_pictures_inside_the_turns_of_a_column_are_media_of_their_turns(tmp_path: Path) -> None:
    features = {"messages": List({"role": TEXT, "content": TEXT, "images": List(datasets.Image())})}
    asked = [("user", "What?", [PICTURE]), ("assistant", "A.", None), ("user", "And <image>\n?", [PICTURE])]
    words = [("user", "Which tag?", None), ("assistant", "<image>", []), ("user", "Thanks.", None)]
    columns = [
        [dict(zip(("role", "content", "images"), turn, strict=True)) for turn in turns] for turns in (asked, words)
    ]
    dataset = saved(tmp_path, {"messages": columns}, features)
    assert shown(dataset) == "<image>What? | A. | And <image>?"
    assert shown(dataset, 1) == "Which tag? | <image> | Thanks."
    assert sample_at(dataset, 0).media[0].data == PICTURE["bytes"]


def test_pictures_inside_the_prompt_of_preference_rows_are_media_of_it(tmp_path: Path) -> None:
    turn = {"role": TEXT, "content": TEXT, "images": List(TEXT)}
    features = {"prompt": List(turn), "chosen": List(turn), "rejected": List(turn)}
    one = {"role": "user", "content": "What?", "images": ["a.png"]}
    answers = [{"role": "assistant", "content": text, "images": None} for text in ("A.", "B.")]
    dataset = saved(tmp_path, {"prompt": [[one]], "chosen": [answers[:1]], "rejected": [answers[1:]]}, features)
    assert shown(dataset) == "<image>What?"
    assert sample_at(dataset, 0).media[0].path == str(tmp_path / "a.png")
