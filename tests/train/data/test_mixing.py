"""The plan of draws: exact shares, whole passes, and nothing that depends on processes or accumulation."""

from collections import Counter

import numpy as np
import pytest

from train.data.mixing import Draw, MicroBatches, MixingPlan, mixing_shares


def test_default_shares_follow_the_square_root_of_the_size() -> None:
    assert mixing_shares([100, 400], [None, None]) == pytest.approx([1 / 3, 2 / 3])


def test_given_weights_are_relative() -> None:
    assert mixing_shares([100, 400], [3.0, 1.0]) == pytest.approx([0.75, 0.25])


def test_every_epoch_has_the_exact_shares_at_mixed_places() -> None:
    plan = MixingPlan([100, 400], [None, None], seed=0)
    for epoch in range(3):
        sources = [plan.draw(epoch * 500 + i).source for i in range(500)]
        assert Counter(sources) == {0: 167, 1: 333}
        # well mixed: no stretch of 30 draws comes from one data set alone
        assert all(len(set(sources[i : i + 30])) == 2 for i in range(470))


def test_every_pass_over_a_data_set_meets_each_row_once_in_a_new_order() -> None:
    plan = MixingPlan([7, 40], [1.0, 1.0], seed=3)
    passes: dict[int, list[int]] = {}
    for position in range(47 * 5):
        draw = plan.draw(position)
        if draw.source == 0:
            passes.setdefault(draw.epoch, []).append(draw.row)
    whole = [rows for rows in passes.values() if len(rows) == 7]
    assert len(whole) >= 10
    assert all(sorted(rows) == list(range(7)) for rows in whole)
    assert len({tuple(rows) for rows in whole}) > 5


def test_one_data_set_is_gone_through_once_an_epoch() -> None:
    plan = MixingPlan([10], [None], seed=0)
    assert sorted(plan.draw(i).row for i in range(10, 20)) == list(range(10))


def test_plan_depends_on_the_seed_alone() -> None:
    first, again, other = ([MixingPlan([9, 5], [None, 2.0], seed).draw(i) for i in range(60)] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_random_access_equals_going_through_in_order() -> None:
    plan = MixingPlan([9, 5], [None, None], seed=1)
    in_order = [plan.draw(i) for i in range(100)]
    for position in np.random.default_rng(0).permutation(100):
        assert MixingPlan([9, 5], [None, None], seed=1).draw(int(position)) == in_order[position]


def global_batches(num_processes: int, accumulation_steps: int, first_step: int = 0) -> list[list[Draw]]:
    """The draws of every step, over all processes, in the order of the pieces."""
    plan = MixingPlan([11, 6], [None, None], seed=5)
    per_process = [
        list(
            MicroBatches(
                plan,
                batch_size=2,
                accumulation_steps=accumulation_steps,
                process_index=index,
                num_processes=num_processes,
                first_step=first_step,
                num_steps=5,
                num_draws=37,
            )
        )
        for index in range(num_processes)
    ]
    steps = []
    for step in range(5 - first_step):
        pieces = range(step * accumulation_steps, (step + 1) * accumulation_steps)
        steps.append([draw for piece in pieces for process in per_process for draw in process[piece]])
    return steps


@pytest.mark.parametrize(("num_processes", "accumulation_steps"), [(2, 2), (4, 1)])
def test_processes_and_accumulation_give_the_same_global_batches(num_processes: int, accumulation_steps: int) -> None:
    assert global_batches(num_processes, accumulation_steps) == global_batches(1, 4)


def test_continuing_at_a_step_gives_the_batches_of_that_step() -> None:
    assert global_batches(2, 2, first_step=3) == global_batches(2, 2)[3:]


def test_last_step_of_an_epoch_takes_what_is_left() -> None:
    assert [len(batch) for batch in global_batches(1, 4)] == [8, 8, 8, 8, 5]


def test_empty_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        MixingPlan([3, 0], [None, None], seed=0)
