"""The confusion of classes: in the scores, in results.json, and in both reports."""

import re
from pathlib import Path

import numpy as np
from sklearn import metrics

from eval.items.item import Item
from eval.metrics.confusion import Confusion
from eval.report import markdown_report, sections_of, write_report
from eval.report.charts import curve_chart
from eval.report.confusion import confused_pairs, confusion_map, confusion_of
from eval.run.results import ItemAnswer, RunResult, TaskResult, load_results, save_results
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


def test_answers_among_classes_make_a_matrix_where_the_scorer_kept_none(tmp_path: Path) -> None:
    said = [("a toad", "a toad"), ("a toad", "a <frog>"), ("a bird", "a bird"), ("a toad", "a <frog>")]
    run = result(None)
    run.tasks[0].items = [
        ItemAnswer(str(n), [], "?", right, answer, float(right == answer), [(answer, 1.0)])
        for n, (right, answer) in enumerate(said)
    ]
    assert confusion_of(run.tasks[0]) is None  # captions are no classes
    run.tasks[0].settings = {"candidates": "labels, 3"}
    found = confusion_of(run.tasks[0])
    assert found is not None
    assert found.labels == ("a <frog>", "a bird", "a toad")
    np.testing.assert_array_equal(found.matrix(), [[0, 0, 0], [0, 1, 0], [2, 0, 1]])
    write_report(tmp_path / "report.html", sections_of(run), title="Frogs")
    assert "a toad taken for a &lt;frog&gt;: 2 of 3" in (tmp_path / "report.html").read_text()


def test_round_ticks_on_both_axes_of_curves() -> None:
    chart = curve_chart({"image": [(10, 3.92), (150, 2.37)], "sound": [(10, 5.21), (100, 3.52)]}, title="", y_label="")
    assert re.findall(r">([\d.,]+)</text>", chart) == ["2", "3", "4", "5", "6", "0", "50", "100", "150"]
    chart = curve_chart({"image": [(0, 0.011), (3, 0.029)]}, title="", y_label="")
    assert re.findall(r">([\d.,]+)</text>", chart)[-4:] == ["0", "1", "2", "3"]
    assert "NaN" not in curve_chart({"flat": [(0, 1.0)], "none": [(1, float("nan"))]}, title="", y_label="")
