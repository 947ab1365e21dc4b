"""How a run shows itself: a bar with rate and time left on a terminal, plain lines elsewhere."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingProgress:
    """Progress over the steps of a run; silent where `shown` is False."""

    def __init__(self, num_steps: int, first_step: int, shown: bool) -> None:
        self.console = Console(file=sys.stderr)
        self.shown = shown
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps  {task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self.console,
            disable=not shown or not self.console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=num_steps, completed=first_step, note="")

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def advance(self, step: int, loss: float, samples_per_second: float) -> None:
        """`step` steps are done."""
        note = f"loss {loss:.3f}  {samples_per_second:.1f} samples/s "
        self._bar.update(self._task, completed=step, note=note)

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        if self.shown:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def log(self, text: str) -> None:
        """Print a line where there is no terminal, and so no bar that shows the same."""
        if not self.console.is_terminal:
            self.line(text)
