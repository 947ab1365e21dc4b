"""Peak memory is that of the work alone, also of what is freed again."""

import torch

from omni.runtime.memory import PeakMemory


def test_peak_memory_sees_a_tensor_that_is_gone_again() -> None:
    with PeakMemory(torch.device("cpu")) as memory:
        values = torch.ones(50_000_000)
        values += 1
        del values
    assert 190e6 < memory.bytes < 400e6
