"""What is held out by rows leaves every answer in training; by answers, each answer is on one side only."""

from collections import Counter
from collections.abc import Sequence

import pytest

from omni.readers.dataset import PreparedDataset
from omni.readers.held_out import Split, hold_out
from omni.readers.sources import Source, answer_of
from omni.samples.messages import Message, Sample, SampleError, Text


def source(answers: Sequence[str | None], name: str = "data") -> Source:
    """A data set of one row for each answer; None = a row that cannot be used."""
    entries: list[Sample | SampleError] = []
    for number, answer in enumerate(answers):
        turns = (Message("user", (Text("what is this"),)), Message("assistant", (Text(answer or ""),)))
        sample_id = f"{name}-{number}"
        entries.append(SampleError(sample_id, "broken") if answer is None else Sample(sample_id, turns))
    return Source(name, PreparedDataset(entries), range(len(entries)), None, ())


def answers_of(sources: Sequence[Source]) -> Counter[str | None]:
    return Counter(answer_of(one.dataset[row]) for one in sources for row in one.rows)


def sides(split: Split) -> tuple[Counter[str | None], Counter[str | None]]:
    return answers_of(split.train), answers_of(split.held_out)


def test_rows_are_taken_evenly_from_all_classes_and_none_is_removed() -> None:
    split = hold_out([source(["cat", "dog", "frog", "bird"] * 4)], 0.25)
    assert split.by == "rows"
    train, held_out = sides(split)
    assert train == dict.fromkeys(["cat", "dog", "frog", "bird"], 3)
    assert held_out == dict.fromkeys(["cat", "dog", "frog", "bird"], 1)
    assert "by rows, 4 of 16 rows (25.0%) are held out; all 4 different answers remain in training" in split.describe()
    assert all(repr(name) in split.describe() for name in ("cat", "dog", "frog", "bird"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_rare_class_keeps_its_row_in_training(share: float) -> None:
    train, held_out = sides(hold_out([source(["cat"] * 30 + ["dog"] * 9 + ["frog"])], share))
    assert set(train) == {"cat", "dog", "frog"}
    assert sum(held_out.values()) == min(round(share * 40), 37)


def test_captions_which_occur_once_are_drawn_by_share() -> None:
    split = hold_out([source([f"caption {number}" for number in range(200)])], 0.1)
    train, held_out = sides(split)
    assert (sum(train.values()), sum(held_out.values())) == (180, 20)
    assert "20 answers are in none of its rows any more" in split.describe()


def test_a_split_by_rows_does_not_prefer_answers_that_occur_twice() -> None:
    answers = [f"twice {number // 2}" for number in range(200)] + [f"once {number}" for number in range(800)]
    _, held_out = sides(hold_out([source(answers)], 0.2))
    twice = sum(count for answer, count in held_out.items() if str(answer).startswith("twice"))
    assert sum(held_out.values()) == 200
    assert 25 <= twice <= 55  # 40 are expected


def test_by_answers_each_answer_is_on_one_side_in_all_data_sets() -> None:
    answers = [f"answer {number % 20}" for number in range(100)]
    both = [source(answers, "a"), source([answer.upper() for answer in answers], "b")]
    split = hold_out(both, 0.3, "answers")
    train, held_out = ({str(answer).lower() for answer in side} for side in sides(split))
    assert train
    assert held_out
    assert not train & held_out
    assert f"{len(train)} different answers remain" in split.describe()
    assert f"{len(held_out)} answers are in none of its rows any more" in split.describe()


def test_the_same_rows_are_held_out_whatever_their_order() -> None:
    answers = ["cat", "dog", "frog"] * 10
    one = source(answers)
    turned = PreparedDataset([one.dataset[row] for row in reversed(one.rows)])
    found = [
        {part.dataset[row].id for part in hold_out([data], 0.3).held_out for row in part.rows}  # type: ignore[union-attr]
        for data in (one, Source("data", turned, range(len(turned)), None, ()))
    ]
    assert found[0] == found[1]


def test_broken_rows_stay_where_they_are_counted() -> None:
    split = hold_out([source(["cat", None, "cat", "dog", "dog", None])], 0.5)
    train, held_out = sides(split)
    assert train[None] == 2
    assert None not in held_out


@pytest.mark.parametrize(("share", "by"), [(0.01, "rows"), (1e-9, "answers")])
def test_too_little_to_hold_out_is_an_error_that_says_how_much_there_is(share: float, by: str) -> None:
    with pytest.raises(ValueError, match=rf"by {by} leaves nothing for evaluation.*4 rows, 2 answers"):
        hold_out([source(["cat", "cat", "dog", "dog"])], share, by)  # type: ignore[arg-type]
