"""Progress bars with a rate and the time left, or silence."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

Report = Callable[[int], None]
"""Says that so much more has been done."""


class ItemSpeedColumn(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, empty until it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class Progress:
    """Bars and lines on standard error; shows nothing when made with `visible=False`."""

    def __init__(self, visible: bool = True) -> None:
        self.visible = visible
        self.console = Console(stderr=True, highlight=False)

    def say(self, line: str) -> None:
        """Print one line."""
        if self.visible:
            self.console.print(line, markup=False, soft_wrap=True)

    @contextmanager
    def bytes(self, description: str, total: int) -> Iterator[Report]:
        """Show a bar over `total` bytes."""
        with self._bar(description, total, DownloadColumn(), TransferSpeedColumn()) as report:
            yield report

    @contextmanager
    def items(self, description: str, total: int) -> Iterator[Report]:
        """Show a bar over `total` items."""
        with self._bar(description, total, MofNCompleteColumn(), ItemSpeedColumn()) as report:
            yield report

    @contextmanager
    def _bar(self, description: str, total: int, *columns: ProgressColumn) -> Iterator[Report]:
        text = TextColumn("{task.description}")
        with RichProgress(
            text, BarColumn(), *columns, TimeRemainingColumn(), console=self.console, disable=not self.visible
        ) as bars:
            task = bars.add_task(description, total=total)
            yield lambda amount: bars.update(task, advance=amount)
