"""Waiting for data is measured by the slowest process, and a hint is given once."""

import pytest

from tests.train.runs import metrics, mixed_rows, write_manifest, write_recipe
from train.data.input_meter import InputMeter, InputTimes
from train.recipe import load_recipe
from train.run.loop import Trainer


def test_figures_are_those_of_the_steps_since_the_last_ones() -> None:
    meter = InputMeter(num_workers=4)
    meter.add([InputTimes(waited=9.0, busy=1.0, num_samples=1)], 10.0)
    meter.figures()
    # two processes with 4 workers each, which prepare 4 samples in 2 and in 1 seconds of one worker's time
    for _ in range(3):
        meter.add([InputTimes(0.1, 2.0, 4), InputTimes(0.5, 1.0, 4)], 2.0)
    assert meter.figures() == pytest.approx(
        {"step_seconds": 2.0, "data_wait_share": 0.25, "input_samples_per_second": 4 * (4 / 2 + 4 / 1)}
    )


def test_hint_comes_once_and_only_when_waiting_dominates() -> None:
    waiting, busy = InputTimes(0.4, 1.0, 1), InputTimes(0.2, 1.0, 1)
    meter = InputMeter(1)
    meter.add([InputTimes(100.0, 1.0, 1)], 101.0)  # the first step, in which workers start
    for _ in range(20):
        meter.add([busy], 1.0)
    assert meter.hint() is None
    meter = InputMeter(1)
    for _ in range(5):
        meter.add([busy, waiting], 1.0)
        assert meter.hint() is None
    meter.add([busy, waiting], 1.0)
    assert "40% of their time" in str(meter.hint())
    assert meter.hint() is None


@pytest.mark.parametrize("has_feature_cache", [False, True])
def test_the_hint_advises_a_feature_cache_only_where_there_is_none(has_feature_cache: bool) -> None:
    meter = InputMeter(1, has_feature_cache)
    for _ in range(7):
        meter.add([InputTimes(0.9, 1.0, 1)], 1.0)
    hint = str(meter.hint())
    assert "raise train.num_workers" in hint
    assert ("set train.feature_cache" in hint) is not has_feature_cache


def test_metrics_of_a_run_show_the_wait(tmp_path, tiny_llm, capsys) -> None:  # type: ignore[no-untyped-def]
    data = write_manifest(tmp_path / "data", mixed_rows())
    trainer = Trainer(load_recipe(write_recipe(tmp_path / "a", tiny_llm, data, steps=2, num_workers=1)))
    trainer.run()
    waits, seconds, rates = (
        metrics(trainer.output_dir, name) for name in ("data_wait_share", "step_seconds", "input_samples_per_second")
    )
    assert all(0 <= wait <= 1 for wait in waits.values())
    assert all(second > 0 for second in seconds.values())
    assert all(rate > 0 for rate in rates.values())
    assert f"data {waits[1]:.0%}" in capsys.readouterr().err
