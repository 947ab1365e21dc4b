"""How long the parts of some work take, on a device that works behind the back of the CPU too."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Sums the seconds of named parts that follow each other.

    On a CUDA device a part is timed by two events in the device's own queue, which nothing waits for until `seconds` is
    called: the CPU goes on queueing work as it would without being timed.

    Args:
        device: where the parts run.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._seconds: dict[str, float] = defaultdict(float)
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def part(self, name: str, *, on_cpu: bool = False) -> Iterator[None]:
        """Add the time inside to the part `name`; `on_cpu` = the device has no share in it."""
        if self.device.type == "cuda" and not on_cpu:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            stream = torch.cuda.current_stream(self.device)
            begin.record(stream)
            try:
                yield
            finally:
                end.record(stream)
                self._events.append((name, begin, end))
            return
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - started

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each part so far; waits for the device."""
        if self._events:
            self._events[-1][2].synchronize()
            for name, begin, end in self._events:
                self._seconds[name] += begin.elapsed_time(end) / 1000
            self._events.clear()
        return dict(self._seconds)
