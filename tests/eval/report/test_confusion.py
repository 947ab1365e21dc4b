"""The confusion of classes: in the scores, in results.json, and in both reports."""

from pathlib import Path

import numpy as np
from sklearn import metrics

from eval.items.item import Item
from eval.metrics.confusion import Confusion
from eval.report import markdown_report, sections_of, write_report
from eval.report.confusion import confused_pairs, confusion_map
from eval.run.results import RunResult, TaskResult, load_results, save_results
from eval.scorers import SCORERS, ChoiceAnswer
from eval.statistics.intervals import mean_interval

CLASSES = ("a <frog>", "a toad", "a bird")


def test_scores_have_the_matrix_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    right, said = draw.integers(0, 3, 50), draw.integers(0, 3, 50)
    answers = [
        ChoiceAnswer(
            Item(str(n), (), "?", CLASSES[right[n]], n, CLASSES, int(right[n])),
            [np.eye(3)[said[n]].tolist()],
            [0.0] * 3,
            [1] * 3,
        )
        for n in range(50)
    ]
    found = SCORERS["classification-sum-v1"].score(answers, condition="own", seed=0).confusion
    assert found is not None
    assert found.labels == CLASSES
    np.testing.assert_array_equal(found.matrix(), metrics.confusion_matrix(right, said))


def result(confusion: Confusion | None) -> RunResult:
    task = TaskResult("frogs", 1, "Which one?", "classification-sum-v1", "accuracy_sum", confusion=confusion)
    task.scores, task.num_items = {"own": {"accuracy_sum": mean_interval([1, 0])}}, 2
    return RunResult("tiny", {"fingerprint": "ab"}, [task])


def test_reports_show_what_was_taken_for_what(tmp_path: Path) -> None:
    confusion = Confusion.of(CLASSES, np.array([[3, 1, 0], [4, 1, 0], [0, 0, 2]]))
    run = result(confusion)
    save_results(run, tmp_path / "results.json")
    assert load_results(tmp_path).tasks[0].confusion == confusion
    text = markdown_report(run)
    assert "| a toad | a <frog> | 4 (80%) |\n| a <frog> | a toad | 1 (25%) |" in text
    write_report(tmp_path / "report.html", sections_of(run), title="Frogs")
    page = (tmp_path / "report.html").read_text()
    assert "a toad taken for a &lt;frog&gt;: 4 of 5" in page
    assert "a <frog>" not in page


def test_many_classes_are_told_by_pairs_only() -> None:
    matrix = np.eye(61)
    matrix[7, 9] = 2
    confusion = Confusion.of([f"class {n}" for n in range(61)], matrix)
    assert confusion_map(confusion) == ""
    assert confused_pairs(confusion) == [["class 7", "class 9", "2 (67%)"]]
    assert confusion_map(Confusion.of(["a"] * 60, np.eye(60))).count("<rect") == 60


def test_nothing_confused_is_said(tmp_path: Path) -> None:
    run = result(Confusion.of(CLASSES, np.eye(3)))
    write_report(tmp_path / "report.html", sections_of(run), title="Frogs")
    assert "Nothing was confused" in (tmp_path / "report.html").read_text()
    assert "taken for" not in markdown_report(run)
