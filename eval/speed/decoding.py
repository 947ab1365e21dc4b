"""`python -m eval.speed decoding --against CHECKOUT`: how fast ordinary files are decoded, next to another version.

Each version runs in a process of its own; they take turns, file by file and round by round, and CPU time is compared,
since other work on the machine slows both alike.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from eval.speed.decoding_files import write_files

HERE = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("decoding_worker.py")


@dataclass(frozen=True)
class FileSpeed:
    """How long one ordinary file takes.

    Attributes:
        name: the file's name.
        seconds: CPU seconds of one decoding by this version, the median over rounds.
        ratio: those of this version to those of the other, the median over rounds; None = there is no other, or it
            cannot decode the file.
    """

    name: str
    seconds: float
    ratio: float | None

    def row(self) -> str:
        """One row of the table."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return f"| {self.name} | {self.seconds * 1000:.2f} | {ratio} |"


def run(options: argparse.Namespace) -> None:
    """Measure, and print the table."""
    print("| file | ms of CPU | against the other |\n|---|---|---|")
    found = [*measure(options.against, options.rounds, options.seconds, options.files)]
    ratios = [speed.ratio for speed in found if speed.ratio is not None]
    if ratios:
        print(f"| all, geometric mean | | {statistics.geometric_mean(ratios):.2f} |")


def measure(
    against: Path | None, rounds: int = 5, seconds: float = 0.3, names: Sequence[str] | None = None
) -> Iterator[FileSpeed]:
    """Decode every ordinary file by this version and by that of `against`, in turns; print and yield each.

    Args:
        against: the other checkout; None = only this one.
        rounds: turns of each.
        seconds: CPU seconds of one turn.
        names: parts of the names of the files that are wanted; None = all.

    Raises:
        ValueError: no file has such a name, or this version cannot decode one.
        FileNotFoundError: there is no checkout.
    """
    if against is not None and not (against / "omni" / "media").is_dir():
        raise FileNotFoundError(f"--against {against}: there is no checkout of omni")
    with tempfile.TemporaryDirectory() as folder, worker(HERE) as own, worker(against) as other:
        files = [(kind, file) for kind, file in write_files(Path(folder)) if _is_wanted(file.name, names)]
        if not files:
            raise ValueError(f"--files {names}: no file has such a name")
        for kind, file in files:
            own_times, ratios = [], []
            for _ in range(rounds):
                own_times.append(_ask(own, kind, file, seconds))
                if other is not None:
                    ratios.append(own_times[-1] / _ask(other, kind, file, seconds))
            if any(map(math.isnan, own_times)):
                raise ValueError(f"{file.name} cannot be decoded; what is wrong stands above")
            is_compared = ratios and not any(map(math.isnan, ratios))
            ratio = statistics.median(ratios) if is_compared else None
            speed = FileSpeed(file.name, statistics.median(own_times), ratio)
            print(speed.row(), flush=True)
            yield speed


def _is_wanted(name: str, parts: Sequence[str] | None) -> bool:
    return parts is None or any(part in name for part in parts)


@contextmanager
def worker(checkout: Path | None) -> Iterator["subprocess.Popen[str] | None"]:
    """A process that decodes with the code of `checkout`, until the block ends; None for None."""
    if checkout is None:
        yield None
        return
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
    command = [sys.executable, str(WORKER)]
    process = subprocess.Popen(
        command, cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        with suppress(BrokenPipeError):
            process.communicate()


def _ask(process: "subprocess.Popen[str] | None", kind: str, file: Path, seconds: float) -> float:
    assert process is not None
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.write(f"{kind}\t{file}\t{seconds}\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise ValueError(f"{file.name}: the process that decodes it ended; what it says stands above")
    return float(line)
