"""Pairs and rotations count as right only together, and incomplete groups are wrong and counted."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from eval.items.item import Item
from eval.items.loading import load_items
from eval.scorers import SCORERS, ChoiceAnswer, WrittenAnswer
from tests.eval.run.test_evaluation_run import choice, write_manifest

QUESTION = "Up or down? (a) up (b) down"


def written(texts: Sequence[str], groups: Sequence[str | None], target: str = "(a)") -> list[WrittenAnswer]:
    clusters = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    pairs = enumerate(zip(texts, groups, strict=True))
    return [
        WrittenAnswer(Item(f"item-{number}", (), QUESTION, target, clusters[group], group=group), text)
        for number, (text, group) in pairs
    ]


def test_both_of_a_pair_must_be_right() -> None:
    answers = written(["a", "a", "a", "b", "b", "b", "a"], ["1", "1", "2", "3", "2", "3", "4"])
    found = SCORERS["pairs-multiple-choice-v1"].score(answers, condition="own", seed=0)
    # pair 1 is right, 2 half, 3 wrong, and 4 lacks an item
    assert [item.value for item in found.items] == [1, 1, 0, 0, 0, 0, 0]
    assert found.items[2].note == "read as A; alone 1.00"
    assert found.items[6].note == "read as A; alone 1.00, its group is incomplete"
    assert {name: one.value for name, one in found.estimates.items()} == {
        "group_accuracy": 1 / 4,
        "incomplete": 1 / 4,
        "accuracy": pytest.approx(4 / 7),
        "unparsed": 0,
    }
    assert found.estimates["group_accuracy"].num_items == 4


def test_chance_is_that_of_all_items_of_a_group() -> None:
    items = [answer.item for answer in written(["", "", "", ""], ["1", "1", "2", "2"])]
    assert SCORERS["pairs-multiple-choice-v1"].chance(items) == 1 / 4
    assert SCORERS["pairs-multiple-choice-v1"].chance(items[:3]) == 1 / 8  # the incomplete one is wrong
    assert SCORERS["circular-multiple-choice-v1"].chance(items) == 1 / 4


def test_a_circular_group_has_one_item_for_each_option() -> None:
    options = ("frog", "toad", "bird")
    rotations = [options[number:] + options[:number] for number in range(3)]

    def accuracy(scores: Sequence[Sequence[float]]) -> tuple[float, float]:
        answers = [
            ChoiceAnswer(Item(str(n), (), "?", "toad", 0, own, own.index("toad"), group="q"), [row], [0.0] * 3, [1] * 3)
            for n, (own, row) in enumerate(zip(rotations, scores, strict=False))
        ]
        found = SCORERS["circular-choice-sum-v1"].score(answers, condition="own", seed=0).estimates
        return found["group_accuracy"].value, found["incomplete"].value

    seen = [[float(option == "toad") for option in own] for own in rotations]
    assert accuracy(seen) == (1, 0)
    assert accuracy([*seen[:2], [1.0, 0.0, 0.0]]) == (0, 0)
    assert accuracy(seen[:2]) == (0, 1)
    assert accuracy([[1.0, 0.0, 0.0]] * 3) == (0, 0)  # always the first letter
    assert accuracy([[0.0, 0.0, 0.0]] * 3) == (pytest.approx(1 / 27), 0)  # ties: as by chance


def test_items_that_are_no_groups_are_named() -> None:
    scorer = SCORERS["pairs-multiple-choice-v1"]
    with pytest.raises(ValueError, match="item 'item-1' has no group"):
        scorer.chance([answer.item for answer in written(["", ""], ["1", None])])
    with pytest.raises(ValueError, match=r"group '1' has 3 items \('item-0', 'item-1', 'item-2'\), more than the 2"):
        scorer.chance([answer.item for answer in written(["", "", ""], ["1", "1", "1"])])
    with pytest.raises(ValueError, match="no group of pairs is complete"):
        scorer.chance([answer.item for answer in written(["", ""], ["1", "2"])])


def test_rows_with_one_group_are_one_cluster(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows[:4]):
        row["group"] = number // 2
    path.write_text("\n".join(map(json.dumps, rows)))
    items = load_items(choice(path), str(path), None, 0).items
    assert [item.group for item in items] == ["0", "0", "1", "1", None, None]
    clusters = [item.cluster for item in items]
    assert clusters[0] == clusters[1] != clusters[2] == clusters[3]
    assert len(set(clusters)) == 4


def test_a_row_says_how_many_belong_to_its_group() -> None:
    def answer(name: str, group: str, size: object, text: str) -> WrittenAnswer:
        return WrittenAnswer(Item(name, (), "?", "yes", 0, group=group, meta={"group_size": size}), text)

    scorer = SCORERS["groups-yes-no-v1"]
    answers = [answer(f"a{n}", "one", 3, "Yes.") for n in range(3)] + [answer("b", "two", 2, "yes")]
    found = scorer.score(answers, condition="own", seed=0)
    assert [item.value for item in found.items] == [1, 1, 1, 0]
    assert {name: found.estimates[name].value for name in ("group_accuracy", "incomplete", "accuracy")} == {
        "group_accuracy": 0.5,
        "incomplete": 0.5,
        "accuracy": 1.0,
    }
    assert scorer.chance([one.item for one in answers]) == 1 / 16
    for size in (None, "3", 0, True):
        with pytest.raises(ValueError, match="item 'a' has no 'group_size' in its row"):
            scorer.chance([answer("a", "one", size, "").item])
