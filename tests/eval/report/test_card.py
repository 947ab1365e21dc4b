"""Figures of an evaluation stand in the model card, once for each suite."""

from pathlib import Path

from eval.report.card import add_to_card
from eval.run.results import RunResult, TaskResult
from eval.statistics.intervals import Estimate
from omni.runtime.checksums import damaged_files, write_checksums


def result(value: float) -> RunResult:
    task = TaskResult(
        name="pictures",
        version=1,
        description="",
        scorer="choice-pmi-v1",
        metric="accuracy",
        percent=True,
        chance=0.1,
        num_items=40,
        scores={"own": {"accuracy": Estimate(value, value - 0.1, value + 0.1, 40, "bootstrap")}},
    )
    return RunResult("mine", {}, [task])


def test_a_suite_stands_once_before_the_licence(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    assert not add_to_card(tmp_path, result(0.5))
    card.write_text("# Model\n\n## Figures\n\nNone recorded.\n\n## Licence\n\nMIT\n")
    write_checksums(tmp_path)
    assert add_to_card(tmp_path, result(0.5))
    assert add_to_card(tmp_path, result(0.7))
    assert damaged_files(tmp_path) == []  # the card is not taken for a damaged file
    text = card.read_text()
    assert text.count("## Evaluation: mine") == 1
    assert "| pictures | 70.0 % [60.0, 80.0 %] | - | 10.0 % | - | - | 40 |" in text
    assert text.index("None recorded.") < text.index("## Evaluation") < text.index("## Licence")
    assert text.endswith("## Licence\n\nMIT\n")
