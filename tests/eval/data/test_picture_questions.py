"""OK-VQA, VizWiz, TextVQA, GQA and RealWorldQA, from official files and mirrors to scores."""

from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.official import brief, check, decoding_model, parquet, picture, run, write_json

ANSWERS = [["net"] * 8 + ["nets"] * 2, ["yes"] * 10]
QUESTIONS = ["what does the SIGN say?", "Is it a frog?"]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "image")


def annotated(texts: list[str]) -> list[dict[str, object]]:
    return [{"answer": text, "raw_answer": f"{text}s", "answer_id": i} for i, text in enumerate(texts, 1)]


def cells(folder: Path, *names: str) -> list[dict[str, bytes]]:
    return [{"bytes": picture(folder / "cells" / name, seed).read_bytes()} for seed, name in enumerate(names)]


def ok_vqa(folder: Path) -> Path:
    questions = [{"image_id": n, "question": QUESTIONS[n], "question_id": 10 * n} for n in (0, 1)]
    annotations = [
        {"question_id": 10 * n, "image_id": n, "answer_type": "other", "answers": annotated(ANSWERS[n])} for n in (1, 0)
    ]
    write_json(folder / "OpenEnded_mscoco_val2014_questions.json", {"questions": questions})
    write_json(folder / "mscoco_val2014_annotations.json", {"annotations": annotations})
    for n in (0, 1):
        picture(folder / "val2014" / f"COCO_val2014_{n:012d}.jpg", n)
    return folder


def vizwiz(folder: Path) -> Path:
    rows = [
        {
            "image": f"VizWiz_val_{n:08d}.jpg",
            "question": QUESTIONS[n],
            "answers": annotated(ANSWERS[n]),
            "answerable": 1,
        }
        for n in (0, 1)
    ]
    write_json(folder / "Annotations" / "val.json", rows)
    write_json(folder / "Annotations" / "test.json", [{"image": "VizWiz_test_00000000.jpg", "question": "?"}])
    for n in (0, 1):
        picture(folder / "val" / f"VizWiz_val_{n:08d}.jpg", n)
    return folder


def textvqa(folder: Path) -> Path:
    rows = [
        {"image_id": f"00a{n}", "question_id": 34602 + n, "question": QUESTIONS[n], "answers": ANSWERS[n]}
        for n in (0, 1)
    ]
    write_json(folder / "TextVQA_0.5.1_val.json", {"dataset_type": "val", "data": rows})
    for n in (0, 1):
        picture(folder / "train_images" / f"00a{n}.jpg", n)  # those of val lie there
    return folder


def gqa(folder: Path, split: str = "testdev") -> Path:
    questions = {
        f"20{n}": {"imageId": f"n{n}", "question": QUESTIONS[n], "answer": ANSWERS[n][0], "types": {"detailed": "x"}}
        for n in (0, 1)
    }
    write_json(folder / f"{split}_balanced_questions.json", questions)
    for n in (0, 1):
        picture(folder / "images" / f"n{n}.jpg", n)
    return folder


def mirror(split: str) -> Callable[[Path], Path]:
    """A table with the columns that OK-VQA, VizWiz and TextVQA share."""

    def build(folder: Path) -> Path:
        columns = {
            "image": cells(folder.parent, "0.jpg", "1.jpg"),
            "question_id": ["0", "1"],
            "question": QUESTIONS,
            "answers": ANSWERS,
        }
        parquet(folder / "data" / f"{split}-00000-of-00001.parquet", columns, {"image": datasets.Image()})
        return folder

    return build


def mirrored_gqa(folder: Path) -> Path:
    """Questions and pictures in two tables; the pictures stand in another order."""
    asked = {"id": ["200", "201"], "imageId": ["n0", "n1"], "question": QUESTIONS, "answer": ["net", "yes"]}
    parquet(folder / "testdev_balanced_instructions" / "testdev-00000-of-00001.parquet", asked)
    shown = {"id": ["n1", "n0"], "image": cells(folder.parent, "0.jpg", "1.jpg")[::-1]}
    parquet(folder / "testdev_balanced_images" / "testdev-00000-of-00001.parquet", shown, {"image": datasets.Image()})
    return folder


SHORT = "\nAnswer the question using a single word or phrase."
UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'." + SHORT


@pytest.mark.parametrize(
    ("name", "official", "mirrored", "asked"),
    [
        ("ok-vqa", ok_vqa, mirror("val2014"), QUESTIONS[0] + UNANSWERABLE),
        ("vizwiz", vizwiz, mirror("val"), "What does the sign say?" + UNANSWERABLE),
        ("textvqa", textvqa, mirror("validation"), "What does the sign say?" + SHORT),
        ("gqa", gqa, mirrored_gqa, QUESTIONS[0] + SHORT),
    ],
)
def test_official_files_and_their_mirror_give_the_same_questions(
    name: str,
    official: Callable[[Path], Path],
    mirrored: Callable[[Path], Path],
    asked: str,
    model: OmniModel,
    tmp_path: Path,
) -> None:
    task = TASKS[name]
    one, other = (
        run(brief(task), official(tmp_path / "official"), model),
        run(brief(task), mirrored(tmp_path / "mirror"), model),
    )
    for result in (one, other):
        assert (result.status, result.num_items, result.bad, result.scorer) == ("computed", 2, [], task.scorer)
        assert result.items[0].question == asked
        assert [item.target for item in result.items] == [*(["net", "yes"] if name == "gqa" else ["net / nets", "yes"])]
    assert [item.answer for item in one.items] == [item.answer for item in other.items]  # the same pictures were seen
    found = check(task.data.removeprefix("official:"), tmp_path / "official")
    assert (found.num_items, found.num_bad, found.problem) == (2, 0, "")
    assert found.num_expected is not None


def test_instructblip_asks_in_its_own_words(model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS["gqa-instructblip"].changed(limit=1), gqa(tmp_path, "val"), model)
    assert result.items[0].question.startswith("based on the given image respond to ")
    generation = {"max_new_tokens": 10, "min_new_tokens": 1, "num_beams": 5}
    assert result.settings["generation"] == generation | {"length_penalty": -1.0, "repetition_penalty": 1.5}


@pytest.mark.parametrize(
    ("name", "official", "lost", "reason"),
    [
        ("ok-vqa", ok_vqa, "COCO_val2014_000000000001.jpg", "COCO_val2014_000000000001.jpg is not in"),
        ("vizwiz", vizwiz, "VizWiz_val_00000001.jpg", "VizWiz_val_00000001.jpg is not in"),
        ("textvqa", textvqa, "00a1.jpg", "00a1.jpg is not in"),
        ("gqa", gqa, "n1.jpg", "n1.jpg is not in"),
    ],
)
def test_a_missing_picture_costs_its_own_question(
    name: str, official: Callable[[Path], Path], lost: str, reason: str, tmp_path: Path
) -> None:
    folder = official(tmp_path)
    next(folder.rglob(lost)).unlink()
    found = check(TASKS[name].data.removeprefix("official:"), folder)
    assert (found.num_items, found.num_bad, found.num_missing, found.is_complete) == (1, 1, 1, False)
    assert reason in found.bad[0].reason


def test_what_is_wrong_with_the_files_is_said(model: OmniModel, tmp_path: Path) -> None:
    write_json(tmp_path / "list" / "testdev_balanced_questions.json", [1])
    assert "must hold an object of questions by their ids" in run(brief(TASKS["gqa"]), tmp_path / "list", model).reason
    (tmp_path / "empty" / "TextVQA_0.5.1_val.json").parent.mkdir()
    (tmp_path / "empty" / "TextVQA_0.5.1_val.json").touch()
    assert "is no JSON" in run(brief(TASKS["textvqa"]), tmp_path / "empty", model).reason
    folder = vizwiz(tmp_path / "without answers")
    rows = [
        {"image": "VizWiz_val_00000000.jpg", "question": "?"},
        {"image": "VizWiz_val_00000001.jpg", "question": " "},
    ]
    write_json(folder / "Annotations" / "val.json", rows)
    assert [error.reason for error in check("vizwiz", folder).bad] == [
        "has no 'answers'; found image, question",
        "'question' must be a text; got ' '",
    ]
    wrong = {"image": cells(tmp_path, "0.jpg"), "question": ["?"], "answer": ["no"]}
    parquet(tmp_path / "column" / "val-00000-of-00001.parquet", wrong, {"image": datasets.Image()})
    assert "has no column 'question_id'" in check("vizwiz", tmp_path / "column").problem
    folder = mirrored_gqa(tmp_path / "other pictures")
    shown = {"id": ["n0"], "image": cells(tmp_path, "0.jpg")}
    name = "testdev_balanced_images/testdev-00000-of-00001.parquet"
    parquet(folder / name, shown, {"image": datasets.Image()})
    found = check("gqa", folder)
    assert (found.num_items, found.num_missing) == (1, 1)
    assert found.missing == ["picture 'n1' is not in the table of pictures"]


def test_realworldqa_asks_the_question_as_it_stands(model: OmniModel, tmp_path: Path) -> None:
    questions = ["Which way?\n\nA. left\nB. right\nPlease answer directly with only the letter.", "How many cars?"]
    columns = {"image": cells(tmp_path, "0.jpg", "1.jpg"), "question": questions, "answer": ["B", "0"]}
    parquet(tmp_path / "mirror" / "data" / "test-0.parquet", columns, {"image": datasets.Image()})
    result = run(brief(TASKS["realworldqa"]), tmp_path / "mirror", model)
    assert (result.num_items, result.bad) == (2, [])
    assert [(item.id, item.question, item.target) for item in result.items] == [
        ("item 1", questions[0], "B"),
        ("item 2", questions[1], "0"),
    ]
