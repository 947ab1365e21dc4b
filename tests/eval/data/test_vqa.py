"""VQAv2 and sets in its form, from official files to VQA accuracy."""

from pathlib import Path

import datasets
import pytest

from eval.report.words import warnings_of
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.official import check, decoding_model, parquet, picture, run, write_json

QUESTIONS = "v2_OpenEnded_mscoco_val2014_questions.json"
ANNOTATIONS = "v2_mscoco_val2014_annotations.json"


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "image")


def official(folder: Path, *, without_picture: int | None = None) -> Path:
    """Three questions about two pictures; the annotations stand in another order than the questions."""
    for number in (42, 500_000):
        if number != without_picture:
            picture(folder / "val2014" / f"COCO_val2014_{number:012d}.jpg", number)
    questions = [
        {"image_id": 42, "question": "What is this?", "question_id": 42_000},
        {"image_id": 42, "question": "How many dogs are there?", "question_id": 42_001},
        {"image_id": 500_000, "question": "Is it a frog?", "question_id": 500_000_000},
    ]
    answers = [["net"] * 8 + ["nets"] * 2, ["2", "two", "2"] + ["3"] * 7, ["yes"] * 10]
    annotations = [
        {
            "question_id": question["question_id"],
            "image_id": question["image_id"],
            "question_type": "what is",
            "answer_type": "other",
            "multiple_choice_answer": texts[0],
            "answers": [
                {"answer": text, "answer_confidence": "yes", "answer_id": i + 1} for i, text in enumerate(texts)
            ],
        }
        for question, texts in zip(questions, answers, strict=True)
    ]
    write_json(folder / QUESTIONS, {"info": {}, "data_type": "mscoco", "questions": questions})
    write_json(folder / ANNOTATIONS, {"info": {}, "annotations": annotations[::-1]})
    return folder


def test_vqav2_is_asked_in_its_words_and_scored_by_ten_annotators(model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS["vqav2"], official(tmp_path), model)
    assert (result.status, result.num_items, result.bad) == ("computed", 3, [])
    assert result.scorer == "vqa-accuracy-v1"
    first = result.items[0]
    assert first.question == "What is this?\nAnswer the question using a single word or phrase."
    assert first.target == "net / nets"
    assert result.settings["prompt"] == "{question}"
    assert check("vqav2/val", tmp_path).num_items == 3


def test_vqav2_of_a_mirror_has_the_same_questions(model: OmniModel, tmp_path: Path) -> None:
    official(tmp_path / "official")
    first, second = ({"bytes": file.read_bytes()} for file in sorted((tmp_path / "official").rglob("*.jpg")))
    columns = {
        "image": [first, first, second],
        "question_id": [42_000, 42_001, 500_000_000],
        "question": ["What is this?", "How many dogs are there?", "Is it a frog?"],
        "answers": [
            [{"answer": text, "answer_id": i} for i, text in enumerate(texts)]
            for texts in (["net"] * 8 + ["nets"] * 2, ["2", "two", "2"] + ["3"] * 7, ["yes"] * 10)
        ],
    }
    parquet(tmp_path / "mirror" / "data" / "validation-00000-of-00001.parquet", columns, {"image": datasets.Image()})
    one, other = (run(TASKS["vqav2"], tmp_path / form, model) for form in ("official", "mirror"))
    assert [(item.question, item.target, item.right) for item in one.items] == [
        (item.question, item.target, item.right) for item in other.items
    ]


def test_vqav2_names_what_is_missing(model: OmniModel, tmp_path: Path) -> None:
    folder = official(tmp_path, without_picture=500_000)
    result = run(TASKS["vqav2"], folder, model)
    assert result.num_items == 2
    assert [(item["id"], "COCO_val2014_000000500000.jpg is not in" in item["reason"]) for item in result.bad] == [
        ("500000000", True)
    ]
    found = check("vqav2/val", folder)
    assert (found.num_items, found.num_bad, found.num_missing, found.is_complete) == (2, 1, 1, False)
    (folder / ANNOTATIONS).unlink()
    result = run(TASKS["vqav2"], folder, model)
    assert result.status == "not computed"
    assert f"no {ANNOTATIONS}" in result.reason


def test_fewer_answers_than_those_of_ten_annotators_are_named(tmp_path: Path) -> None:
    folder = official(tmp_path)
    few = [{"question_id": 42_000, "answers": [{"answer": "net"}] * 3}]
    write_json(folder / ANNOTATIONS, {"annotations": few})
    assert check("vqav2/val", folder).bad[0].reason.startswith("'answers' has 3 answers, where those of ten")


def test_an_item_without_annotation_is_named(model: OmniModel, tmp_path: Path) -> None:
    folder = official(tmp_path)
    write_json(folder / ANNOTATIONS, {"annotations": []})
    found = check("vqav2/val", folder)
    assert (found.num_items, found.num_bad) == (0, 3)
    assert found.bad[0].reason.startswith("has no 'answers'")


def test_files_with_another_number_of_items_than_the_official_one_are_told(model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS["vqav2"], official(tmp_path), model)
    (warning,) = warnings_of(result)
    assert "the official number of items is 214,354, and these files have 3" in warning
