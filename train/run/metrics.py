"""Metrics of a run: lines of JSON, TensorBoard and a picture of the loss."""

import json
import math
import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from train.runtime.save_errors import append_line, explain_failure


class MetricsLog:
    """Writes metrics.jsonl, tensorboard/ and loss.png into the output folder; made in the main process only.

    Every method raises SaveError if the disk is full or not writable.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        """Lines of steps after `first_step`, left by a run that was killed, are removed: those steps run again."""
        self.file = folder / "metrics.jsonl"
        self.picture = folder / "loss.png"
        truncate_lines(self.file, first_step)
        self.rows = read_lines(self.file)
        self._events = folder / "tensorboard"
        with explain_failure(self._events):
            self._tensorboard = SummaryWriter(str(self._events), purge_step=first_step + 1)

    def write(self, step: int, values: dict[str, float | int]) -> None:
        """Add a line; every value is also a TensorBoard scalar. NaN and infinity, which JSON lacks, are left out."""
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        row = {"step": step, **values}
        self.rows.append(row)
        append_line(self.file, json.dumps(row))
        with explain_failure(self._events):
            for name, value in values.items():
                self._tensorboard.add_scalar(name, value, step)
            self._tensorboard.flush()

    def draw_loss(self) -> None:
        """Draw loss and evaluation loss over the steps into loss.png."""
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for name, style in (("loss", "-"), ("evaluation_loss", "o-")):
            points = [(row["step"], row[name]) for row in self.rows if math.isfinite(row.get(name, math.nan))]
            if points:
                steps, losses = zip(*points, strict=True)
                axes.plot(steps, losses, style, label=name.replace("_", " "), markersize=4)
        if axes.has_data():
            axes.legend()
        axes.set_xlabel("step")
        axes.set_ylabel("loss per answer token (nats)")
        axes.grid(alpha=0.3)
        temporary = self.picture.with_name(".loss.png")
        with explain_failure(self.picture):
            figure.savefig(temporary, format="png", dpi=120)
            os.replace(temporary, self.picture)

    def close(self) -> None:
        """Flush everything."""
        with explain_failure(self._events):
            self._tensorboard.close()


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; a last line that a crash cut short is left out."""
    rows = []
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


def truncate_lines(file: Path, last_step: int) -> None:
    """Keep the rows of a JSONL file whose `step` is at most `last_step`."""
    if file.exists():
        kept = [row for row in read_lines(file) if row["step"] <= last_step]
        temporary = file.with_name(f".{file.name}")
        with explain_failure(file):
            temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8")
            os.replace(temporary, file)
