"""What came out is said in sentences that hold for any number of tasks and any metric."""

from dataclasses import replace

import pytest

from eval.report.findings import finding, heading, legend, summary_heading
from eval.report.words import length, speed
from eval.run.results import TaskResult, not_computed
from eval.statistics.intervals import Estimate, mean_interval
from tests.eval.results import task_result


def clear(low: float) -> TaskResult:
    return replace(task_result([1, 1, 1, 0]), difference=Estimate(low + 0.1, low, low + 0.2, 4, "paired-t"))


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Which of 10 captions is it? Never seen.", "Which of 10 captions is it?"),
        ("A caption. It is compared? Yes.", "A caption."),
        ("Scores 3.5 at best", "Scores 3.5 at best"),
        ("", "How well does the model do on frogs?"),
    ],
)
def test_a_heading_is_the_first_sentence_of_the_description(description: str, expected: str) -> None:
    assert heading(replace(task_result([1]), description=description)) == expected


def test_a_finding_says_score_controls_and_whether_they_are_cleared() -> None:
    assert finding(clear(0.1)).startswith(
        "The model is right for 75.0 % of 4 items; guessing would give 33.3 % and media of other items give 50.0 %. "
        "That is clearly above its shuffled control."
    )
    assert "That is not clearly above its shuffled control." in finding(clear(-0.1))
    bare = TaskResult("a", 1, "", "s", "cider_d", percent=False, num_items=1)
    bare.scores = {"own": {"cider_d": mean_interval([0.25])}}
    assert finding(bare) == "Its CIDEr-D is 0.250 over 1 item."


@pytest.mark.parametrize(
    ("lows", "says"),
    [
        ([-0.1, -0.2], "None of 2 scores is clearly above its shuffled control."),
        ([0.1, -0.2], "1 of 2 scores is clearly above its shuffled control."),
        ([0.1, 0.2, -0.1], "2 of 3 scores are clearly above their shuffled controls."),
        ([0.1, 0.2], "All 2 scores are clearly above their shuffled controls."),
        ([0.1], "The score is clearly above its shuffled control."),
        ([], "No task could be computed."),
    ],
)
def test_the_summary_counts_the_scores_that_clear_their_controls(lows: list[float], says: str) -> None:
    assert summary_heading([*map(clear, lows), not_computed("x", 1, "", "s", "no")]) == says


def test_the_legend_explains_only_what_is_there() -> None:
    terms = [term for term, _ in legend([clear(0.1)])]
    assert terms == ["Shuffled media", "Blank", "Bridge", "Linear map"]
    assert legend([not_computed("x", 1, "", "s", "no")]) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.44, "0.4 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"), (200, "3 min 20 s"), (2002.5, "33 min")),
        *((3570, "1 h"), (3599, "1 h"), (7500, "2 h 5 min")),
    ],
)
def test_times_are_told_as_people_do(seconds: float, text: str) -> None:
    assert length(seconds) == text


def test_slow_runs_are_told_by_the_item() -> None:
    settings = {"items_per_second": 0.123, "seconds": 2002.5, "time_shares": {"llm": 0.94}}
    assert speed(settings) == "8.1 s an item, 33 min in all. Time: language model 94%."
    assert speed({**settings, "items_per_second": 12.34}).startswith("12.3 items/s, 33 min in all")
    assert speed({**settings, "items_per_second": 0.0}).startswith("0 items/s")
