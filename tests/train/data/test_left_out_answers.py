"""Rows that must not be taught, and rows whose media give way to their text."""

from pathlib import Path

import pytest

from omni.readers import AnswersAsMedia, open_dataset
from omni.recipe.schema import SourceConfig
from omni.samples.messages import Sample
from tests.train.runs import row, write_manifest
from train.data.sources import open_sources


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        row(str(i), ["image:gone.npy"], answer) for i, answer in enumerate(["A dog.", "a  DOG", "A cat.", "A hen."])
    ]
    return write_manifest(tmp_path, [*rows, "broken"])


def test_rows_with_an_answer_of_the_test_are_left_out_in_whatever_case(data: Path) -> None:
    test = write_manifest(data.parent, [row("t", [], "A dog", "what"), row("u", [], "a hen.", "what")], "test.jsonl")
    source = open_sources([SourceConfig(str(data), without_answers_of=[str(test)])])[0]
    assert source.rows == [2, 4]  # the broken row stays, to be counted
    with pytest.raises(ValueError, match="no rows but those that without_answers_of leaves out"):
        open_sources([SourceConfig(str(data), limit=2, without_answers_of=[str(test)])])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jsonl"):
        open_sources([SourceConfig(str(data), without_answers_of=["nowhere.jsonl"])])


def test_media_give_way_to_the_answer_in_front_of_the_first_user_turn(data: Path) -> None:
    turns = row("two", ["image:a.npy", "sound:b.npy"], "A dog.", "what is it")
    turns["messages"] += row("", ["image:c.npy"], "It barks.", "and this")["messages"]
    turns["messages"].insert(0, {"role": "system", "content": "be brief"})
    rows = AnswersAsMedia(open_dataset(write_manifest(data.parent, [turns], "turns.jsonl")), "caption")
    sample = rows[0]
    assert isinstance(sample, Sample)
    assert [(one.modality, one.data) for one in sample.media] == [("caption", b"It barks.")]
    assert [[type(part).__name__ for part in one.content] for one in sample.messages] == [
        ["Text"],
        ["Media", "Text"],
        ["Text"],
        ["Text"],
        ["Text"],
    ]


def test_a_row_without_an_answer_has_no_text_to_take(data: Path) -> None:
    asked = {"id": "q", "messages": [{"role": "user", "content": "what"}]}
    rows = AnswersAsMedia(open_dataset(write_manifest(data.parent, [asked], "asked.jsonl")), "caption")
    assert "no answer to make a media item of" in str(rows[0])
