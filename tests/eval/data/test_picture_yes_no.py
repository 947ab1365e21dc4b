"""POPE, MME, HallusionBench, NaturalBench and VSR, from official files and mirrors to scores of items and groups."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.official import brief, check, decoding_model, parquet, picture, run, write_json

IMAGE = {"image": datasets.Image()}
SHORT = "\nAnswer the question using a single word or phrase."


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "image")


def cell(folder: Path, seed: int = 0) -> dict[str, bytes]:
    return {"bytes": picture(folder / "cells" / f"{seed}.png", seed).read_bytes()}


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


QUESTIONS = ["Is there a net in the image?", "Is there a frog in the image?"]


def pope(folder: Path) -> Path:
    """JSON lines, although the name says JSON; two questions about one picture."""
    rows = [
        {"question_id": n + 1, "image": "COCO_val2014_000000000042.jpg", "text": QUESTIONS[n], "label": label}
        for n, label in enumerate(("yes", "no"))
    ]
    lines(folder / "coco" / "coco_pope_random.json", rows)
    picture(folder / "val2014" / "COCO_val2014_000000000042.jpg")
    return folder


def mirrored_pope(folder: Path) -> Path:
    columns = {
        "question_id": ["1", "2"],
        "question": QUESTIONS,
        "answer": ["Yes", "no "],
        "image": [cell(folder.parent)] * 2,
    }
    parquet(folder / "Full" / "random-00000-of-00001.parquet", columns, IMAGE)
    parquet(folder / "Full" / "popular-00000-of-00001.parquet", {"question": ["another split"]})
    return folder


def mme(folder: Path) -> Path:
    """Two categories, each in one of the two forms of the authors' archive."""
    root = folder / "MME_Benchmark_release_version"
    for text, shown in (
        (root / "color" / "0007.txt", root / "color" / "0007.jpg"),
        (root / "artwork" / "questions_answers_YN" / "9.txt", root / "artwork" / "images" / "9.png"),
    ):
        picture(shown)
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(
            "Is it red? Please answer yes or no.\tYes\nIs it green? Please answer yes or no.\tNo\n\n", encoding="utf-8"
        )
    (root / "color" / "eval_tool").mkdir()
    (root / "color" / "eval_tool" / "results.txt").write_text("no question", encoding="utf-8")
    (folder / "readme.txt").write_text("no question", encoding="utf-8")
    return folder


def mirrored_mme(folder: Path) -> Path:
    columns = {
        "question_id": ["artwork/9.png", "artwork/9.png", "color/0007.jpg", "color/0007.jpg"],
        "category": ["artwork", "artwork", "color", "color"],
        "question": ["Is it red? Please answer yes or no.", "Is it green? Please answer yes or no."] * 2,
        "answer": ["Yes", "No"] * 2,
        "image": [cell(folder.parent)] * 4,
    }
    parquet(folder / "data" / "test-00000-of-00001.parquet", columns, IMAGE)
    return folder


def hallusion_rows() -> list[dict[str, Any]]:
    row = {"category": "VD", "subcategory": "figure", "set_id": "0", "question": "Is it so?", "sample_note": "x"}
    return [
        {**row, "figure_id": "0", "question_id": "0", "gt_answer": "1", "filename": "./VD/figure/0_0.png"},
        {**row, "figure_id": "1", "question_id": "0", "gt_answer": "0", "filename": "./VD/figure/0_1.png"},
        {**row, "figure_id": "1", "question_id": "1", "gt_answer": "1", "filename": "./VD/figure/0_1.png"},
        {**row, "category": "VS", "figure_id": "0", "question_id": "0", "gt_answer": "0", "filename": None},
    ]


def hallusion(folder: Path) -> Path:
    write_json(folder / "HallusionBench.json", hallusion_rows())
    for n in (0, 1):
        picture(folder / "hallusion_bench" / "VD" / "figure" / f"0_{n}.png", n)
    return folder


def mirrored_hallusion(folder: Path) -> Path:
    rows = hallusion_rows()[:3]
    columns: dict[str, list[Any]] = {key: [row[key] for row in rows] for key in rows[0] if key != "filename"}
    columns["image"] = [cell(folder.parent, n) for n in (0, 1, 1)]
    parquet(folder / "data" / "image-00000-of-00001.parquet", columns, IMAGE)
    return folder


@pytest.mark.parametrize(
    ("name", "build", "questions", "targets"),
    [
        ("pope-random", pope, [q + SHORT for q in QUESTIONS], "yes no"),
        ("pope-random", mirrored_pope, [q + SHORT for q in QUESTIONS], "yes no"),
        ("mme", mme, [f"Is it red?{SHORT}", f"Is it green?{SHORT}"] * 2, "yes no yes no"),
        ("mme", mirrored_mme, [f"Is it red?{SHORT}", f"Is it green?{SHORT}"] * 2, "yes no yes no"),
        ("hallusionbench", hallusion, ["Is it so?"] * 3, "yes no yes"),
        ("hallusionbench", mirrored_hallusion, ["Is it so?"] * 3, "yes no yes"),
    ],
)
def test_yes_or_no_is_asked_and_scored(
    name: str,
    build: Callable[[Path], Path],
    questions: list[str],
    targets: str,
    model: OmniModel,
    tmp_path: Path,
) -> None:
    folder = build(tmp_path / "files")
    result = run(brief(TASKS[name]), folder, model)
    assert (result.status, result.bad, result.scorer) == ("computed", [], TASKS[name].scorer)
    assert [item.question for item in result.items] == questions
    assert [item.target for item in result.items] == targets.split()
    found = check(TASKS[name].data.removeprefix("official:"), folder)
    assert (found.num_items, found.num_bad) == (len(questions), 0)
    if result.scorer.startswith(("groups", "mme")):
        assert result.scores["own"]["incomplete"].value == 0


def test_groups_of_hallusionbench_are_questions_or_figures(model: OmniModel, tmp_path: Path) -> None:
    folder = hallusion(tmp_path)
    by_question, by_figure, everything = (
        run(brief(TASKS[name]), folder, model)
        for name in ("hallusionbench-likelihood", "hallusionbench-figure-likelihood", "hallusionbench-all-likelihood")
    )
    # question 0 is asked about two figures, and figure 1 has two questions
    assert by_question.chance == by_figure.chance == (1 / 4 + 1 / 2) / 2
    assert (everything.num_items, everything.chance) == (4, pytest.approx((1 / 4 + 1 / 2 + 1 / 2) / 3))
    assert {item.answer for item in everything.items} <= {"Yes", "No"}


def test_a_group_that_lacks_a_picture_is_wrong(model: OmniModel, tmp_path: Path) -> None:
    folder = hallusion(tmp_path)
    (folder / "hallusion_bench" / "VD" / "figure" / "0_0.png").unlink()
    result = run(brief(TASKS["hallusionbench"]), folder, model)
    assert [item["id"] for item in result.bad] == ["VD/figure/0/0/0"]
    assert result.scores["own"]["incomplete"].value == 0.5


def test_what_is_wrong_with_yes_or_no_is_named(model: OmniModel, tmp_path: Path) -> None:
    folder = pope(tmp_path / "pope")
    row = {"question_id": 1, "image": "COCO_val2014_000000000042.jpg", "text": "Is it?", "label": "maybe"}
    lines(
        folder / "coco" / "coco_pope_random.json",
        [row, {**row, "question_id": 2, "label": "no", "image": "no.jpg"}, row],
    )
    found = check("pope/random", folder)
    assert (found.num_items, found.num_bad, found.num_missing) == (0, 3, 1)
    assert found.bad[0].reason == "the right answer must be yes or no; got 'maybe'"
    (folder / "coco" / "coco_pope_random.json").write_text('{"a": 1}\n{"a"', encoding="utf-8")
    assert "line 2 is no JSON" in run(brief(TASKS["pope-random"]), folder, model).reason
    folder = mme(tmp_path / "mme")
    next(folder.rglob("9.png")).unlink()
    result = run(brief(TASKS["mme"]), folder, model)
    assert [item["id"] for item in result.bad] == ["artwork/9/1", "artwork/9/2"]
    assert "9.jpg or .png is not in" in result.bad[0]["reason"]
    next(folder.rglob("0007.txt")).write_text("Is it red? Yes", encoding="utf-8")
    assert "'question' must be a text" in check("mme", folder).bad[-1].reason
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "a.txt").write_text("x", encoding="utf-8")
    assert "has no category with text files" in check("mme", tmp_path / "nothing").problem


# NaturalBench --------------------------------------------------------------------------------------------------------


def natural_groups(folder: Path) -> Path:
    columns = {
        "Index": [0, 1],
        **{f"Image_{n}": [cell(folder.parent, n)] * 2 for n in (0, 1)},
        "Question_0": ["Is it red?", "Where? Option: A: up; B: down;"],
        "Question_1": ["Is it green?", "Who? Option: A: a frog; B: a toad;"],
        **{f"Image_{p}_Question_{q}": (["Yes", "A"] if p == q else ["No", "B"]) for p in (0, 1) for q in (0, 1)},
        "Question Type": ["yes_no", "multiple_choice"],
    }
    parquet(folder / "naturalbench.parquet", columns, {f"Image_{n}": datasets.Image() for n in (0, 1)})
    return folder


def natural_rows(folder: Path) -> Path:
    asked = ["Is it red?"] * 2 + ["Is it green?"] * 2
    asked += ["Where? Option: A: up; B: down;"] * 2 + ["Who? Option: A: a frog; B: a toad;"] * 2
    columns = {
        "Index": [str(n) for n in range(8)],
        "Image": [cell(folder.parent, n % 2) for n in range(8)],
        "Question": asked,
        "Question_Type": ["yes_no"] * 4 + ["multiple_choice"] * 4,
    }
    parquet(folder / "data" / "test-00000-of-00001.parquet", columns, {"Image": datasets.Image()})
    return folder


def test_naturalbench_counts_four_answers_together(model: OmniModel, tmp_path: Path) -> None:
    for build in (natural_groups, natural_rows):
        result = run(brief(TASKS["naturalbench"]), build(tmp_path / build.__name__), model)
        assert (result.num_items, result.bad, result.chance) == (8, [], 1 / 16)
        assert [item.id for item in result.items[:4]] == ["0-0-0", "0-0-1", "0-1-0", "0-1-1"]
        assert [item.target for item in result.items] == ["Yes", "No", "No", "Yes", "A", "B", "B", "A"]
        assert result.items[0].question == "Is it red? Please answer Yes or No."
        assert result.items[7].question.endswith(
            "a toad; Please output the letter corresponding to the correct option."
        )
        own = result.scores["own"]
        assert own["group_accuracy"].num_items == own["accuracy_by_question"].num_items == 2
        assert own["accuracy_by_picture"].value >= own["group_accuracy"].value
    assert check("naturalbench", tmp_path / "natural_rows").num_items == 8


# VSR -----------------------------------------------------------------------------------------------------------------


def test_vsr_asks_whether_a_statement_is_true(model: OmniModel, tmp_path: Path) -> None:
    row = {"image": "000000000042.jpg", "relation": "in", "image_link": "http://images.invalid/42"}
    rows = [
        {**row, "caption": "The frog is in the net.", "label": 0},
        {**row, "caption": "The net is in it.", "label": 1},
    ]
    lines(tmp_path / "splits" / "random" / "test.jsonl", [*rows, {**row, "caption": "So.", "label": 2}])
    lines(tmp_path / "splits" / "zeroshot" / "test.jsonl", rows[:1])
    picture(tmp_path / "val2017" / "000000000042.jpg")
    result = run(brief(TASKS["vsr-random"]), tmp_path, model)
    assert [item.target for item in result.items] == ["false", "true"]
    assert result.items[0].question == (
        'Based on the image, is this statement true or false? "The frog is in the net." Answer:'
    )
    assert [item["reason"] for item in result.bad] == ["the right answer must be 1 or 0; got 2"]
    assert (check("vsr/random", tmp_path).num_items, check("vsr/zeroshot", tmp_path).num_items) == (2, 1)
