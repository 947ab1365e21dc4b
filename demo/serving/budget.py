"""How much one visitor may ask for: seconds of answering and bytes of uploads, within a window of time."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock


class OverBudgetError(ValueError):
    """A visitor has used up the budget.

    Attributes:
        retry_after: seconds until enough of it is free again.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Budget:
    """Count what each visitor has used in the last `window` seconds.

    Args:
        most: what one visitor may use within the window.
        window: seconds after which something that was used is forgotten.
        unit: the word for what is counted, in errors.
        most_visitors: how many visitors are remembered; those that have used nothing for the longest time go first.
    """

    def __init__(
        self,
        most: float,
        window: float,
        unit: str,
        most_visitors: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.window, self.unit = most, window, unit
        self._most_visitors = most_visitors
        self._clock = clock
        self._used: dict[str, deque[tuple[float, float]]] = {}
        self._lock = Lock()

    def used(self, visitor: str) -> float:
        """Return what a visitor has used within the window."""
        with self._lock:
            return sum(amount for _, amount in self._current(visitor))

    def check(self, visitor: str, amount: float = 0.0) -> None:
        """Check that a visitor may use `amount` more.

        Raises:
            OverBudgetError: that would be more than the budget.
        """
        with self._lock:
            entries = self._current(visitor)
            over = sum(used for _, used in entries) + amount - self.most
            if over < 0 or (over == 0 and amount > 0):
                return
            wait = self.window
            for when, used in entries:  # the oldest is forgotten first
                over -= used
                if over < 0:
                    wait = max(1.0, when + self.window - self._clock())
                    break
        span = f"{wait / 60:.0f} minutes" if wait >= 90 else f"{wait:.0f} seconds"
        used = f"{self.most:g} {self.unit} of {self.window / 60:g} minutes"
        raise OverBudgetError(f"you have used your {used}; try again in {span}", wait)

    def use(self, visitor: str, amount: float) -> None:
        """Count `amount` as used now."""
        with self._lock:
            entries = self._current(visitor)
            entries.append((self._clock(), amount))
            self._used.pop(visitor, None)
            self._used[visitor] = entries  # the latest user is the last
            while len(self._used) > self._most_visitors:
                self._used.pop(next(iter(self._used)))

    def _current(self, visitor: str) -> deque[tuple[float, float]]:
        entries = self._used.get(visitor, deque())
        while entries and entries[0][0] <= self._clock() - self.window:
            entries.popleft()
        return entries
