import pytest
import torch

from eval.speed.__main__ import main
from eval.speed.encoders import PlainTrunk, example_clips, measure_trunk, random_weights, table
from omni.encoders.imagebind import TRUNKS, ImageBindNetwork, ImageBindSizes, TrunkSize

TINY = TrunkSize(16, 3, 2)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_the_plain_stack_computes_the_same_embeddings(trunk: str) -> None:
    network = random_weights(ImageBindNetwork(ImageBindSizes(**{trunk: TINY}), [trunk]))
    clips = example_clips(trunk, 3)
    with torch.no_grad():
        expected, actual = PlainTrunk(network, trunk).eval()(clips), network.head(trunk, clips)
    assert expected.std() > 1e-3
    torch.testing.assert_close(actual, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


def test_speedups_are_medians_of_rounds_and_their_sum_is_the_last_row() -> None:
    found = [measure_trunk("imu", TINY, 2, rounds=3), measure_trunk("depth", TINY, 2, rounds=3)]
    assert all(one.speedup > 0 and one.difference < 1e-5 for one in found)
    rows = table(found).splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| imu", "| depth", "| all"]
    total = sum(one.plain_seconds for one in found) / sum(one.seconds for one in found)
    assert rows[-1].endswith(f"| {total:.2f} |")


def test_wrong_options_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "--rounds", "0"]) == 2
    assert "--rounds is 0, but must be at least 1" in capsys.readouterr().err


def test_the_command_prints_a_row_for_each_trunk(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "--trunks", "depth", "imu", "--blocks", "1", "--batch_size", "1", "--rounds", "1"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0] for row in rows[-3:]] == ["| depth", "| imu", "| all"]
