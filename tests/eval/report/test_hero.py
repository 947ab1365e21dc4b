"""A report opens with an item that is right, and says how many others are."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from eval.report import AnswerSection, sections_of, write_report
from eval.report.hero import hero_of
from eval.run.results import RunResult, not_computed
from tests.eval.results import run_result, task_result


def hero(run: RunResult) -> AnswerSection:
    found = hero_of(run)
    assert found is not None
    return found


def test_the_hero_is_right_with_its_question_answer_and_probabilities(tmp_path: Path) -> None:
    task = task_result([0, 0, 1, 0, 1, 1])
    run = run_result(task)
    found = hero(run)
    assert found.answer == found.target == "A frog."
    assert found.top == [("A frog.", 0.6), ("A dog.", 0.4)]
    assert "One of the 3 that it gets right, of 6 items" in found.note
    assert sections_of(run)[0] == found
    write_report(tmp_path / "report.html", sections_of(run), title="Frogs")
    first = (tmp_path / "report.html").read_text().partition('class="answer"')[2].partition("</section>")[0]
    for text in ("What is this?", ">A frog.</p>", "<b>60 %</b>", "<b>40 %</b>", "frog-"):
        assert text in first


def test_the_hero_is_of_the_task_that_stands_out_most() -> None:
    assert not hero_of(run_result(task_result([0, 0, 0])))
    weak, strong = task_result([0, 0, 0, 1], name="weak"), task_result([1] * 9, name="strong")
    assert "9 items" in hero(run_result(weak, strong, not_computed("a", 1, "", "s", "no"))).note


def test_media_that_are_there_come_first(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "frog.png")
    strong, weak = task_result([1] * 9, name="strong"), task_result([0, 1, 0, 0], name="weak")
    there = replace(weak.items[1], media=[{"type": "image", "path": str(tmp_path / "frog.png")}])
    weak = replace(weak, items=[weak.items[0], there, *weak.items[2:]])
    assert hero(run_result(strong, weak)).media == there.media


@pytest.mark.parametrize(("answer", "is_right"), [("a FROG. ", True), ("A toad.", False), ("", False)])
def test_a_generated_answer_is_right_where_it_says_the_very_words(answer: str, is_right: bool) -> None:
    task = task_result([0.9, 0.9])
    items = [replace(item, answer=answer, top=[]) for item in task.items]
    task = replace(task, items=items, percent=False, settings={"kind": "generate"})
    assert (hero_of(run_result(task)) is not None) is is_right


def test_an_item_that_only_compares_is_no_hero() -> None:
    task = task_result([1, 1])
    items = [replace(item, answer="likelier in 100%", top=[]) for item in task.items]
    assert hero_of(run_result(replace(task, items=items, settings={"kind": "match"}))) is None
