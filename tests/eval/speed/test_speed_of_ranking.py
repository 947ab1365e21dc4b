"""`python -m eval.speed ranking`: the shared prefix gives the likelihoods of the loop that repeats it."""

import json
from pathlib import Path

import pytest
import torch

from eval.speed.__main__ import main
from eval.speed.ranking import plain_scores
from eval.speed.ranking_shapes import Case, RankingShape, build_ranking_shape


@pytest.fixture(scope="module")
def shape() -> RankingShape:
    return build_ranking_shape("tiny")


def test_the_cases_are_those_of_the_targets(shape: RankingShape) -> None:
    assert [(len(case.labels), case.num_frames, case.target) for case in shape.cases] == [
        (40, 1, 5),
        (50, 1, 8),
        (40, 5, 12),
    ]
    assert len(set(shape.many)) > 9_000  # the tiny vocabulary has fewer words than the labels
    for case in shape.cases:
        assert len(set(case.labels)) == len(case.labels)


@pytest.mark.parametrize("index", range(4))
def test_likelihoods_equal_those_of_a_loop_that_repeats_the_prefix(shape: RankingShape, index: int) -> None:
    case = [*shape.cases, Case("1000 labels, several trees", 0, 2, shape.many[:1000])][index]
    messages = shape.question(case)
    with torch.no_grad():
        expected = plain_scores(shape.model, messages, case.labels)
    torch.testing.assert_close(shape.model.score(messages, case.labels), expected, atol=1e-4, rtol=0)


def test_the_command_writes_ratios_in_turn_and_the_memory_of_many_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ranking", "--shape", "tiny", "--rounds", "1", "--most", "1000", "--output", str(tmp_path)]
    assert main(words) == 0
    assert "| 40 candidates, 5 frames |" in capsys.readouterr().out
    result = json.loads((tmp_path / "ranking-tiny.json").read_text())
    for case in result["cases"]:
        assert case["difference"] < 1e-4
        assert case["num_tree_tokens"] < case["num_candidate_tokens"]
        assert case["speedup"] == pytest.approx(case["plain_seconds"][0] / case["seconds"][0])
    assert [one["num_labels"] for one in result["many"]] == [1000]
    assert main(["ranking", "--shape", "tiny", "--rounds", "0"]) == 2
