"""Kill a real training run (SIGKILL) at random moments and start it again, until it comes to its end."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.train.runs import REPOSITORY, command, environment

Moment = Literal["any", "save"]
Victim = Literal["all", "one"]


@dataclass
class Killer:
    """Runs a recipe under kills; what it did is counted, so that a test can see that something was hit.

    Attributes:
        moment: "any": while starting, or some random time after some step; "save": while a checkpoint is being written.
        victim: "all" processes of the run, or "one" of them at random (the launcher then ends the others).
        max_lines: an "any" kill falls at most so many lines of metrics after the run has begun again.
    """

    recipe: Path
    seed: int
    processes: int = 1
    moment: Moment = "any"
    victim: Victim = "all"
    max_lines: int = 4
    kills: int = 0
    torn_saves: int = field(default=0, init=False)  # kills that left a half-written checkpoint behind

    def run_to_end(self, max_kills: int) -> None:
        """Start and kill `max_kills` times (fewer if the run ends by itself before), then let it run to its end."""
        chance = random.Random(self.seed)
        for _ in range(max_kills):
            if self._start_and_kill(chance):
                return
        process = self._start()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors

    def _start(self) -> "subprocess.Popen[str]":
        words = command(self.recipe, processes=self.processes)
        return subprocess.Popen(
            words,
            cwd=REPOSITORY,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _start_and_kill(self, chance: random.Random) -> bool:
        """Whether the run came to its end before it was hit."""
        process = self._start()
        try:
            if not self._wait_for_moment(process, chance):
                return True
            if self.victim == "all":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                os.kill(chance.choice(_children(process.pid)), signal.SIGKILL)
            process.communicate(timeout=120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.kills += 1
        self.torn_saves += any(self._folder.glob(".*.partial"))
        return False

    def _wait_for_moment(self, process: "subprocess.Popen[str]", chance: random.Random) -> bool:
        """False if the run ended by itself, in which case it must have ended well."""
        if self.moment == "any" and chance.random() < 0.2 and self.victim == "all":  # before the first step
            time.sleep(chance.uniform(0.1, 4.0))
            return process.poll() is None
        wanted = self._lines() + chance.randint(1, self.max_lines)
        # A save and a step of these runs take some milliseconds.
        while self._lines() < wanted or (self.moment == "save" and not any(self._folder.glob(".*.partial"))):
            if process.poll() is not None:
                assert process.returncode == 0, process.communicate()[1]
                return False
            time.sleep(0 if self._lines() >= wanted else 0.005)
        time.sleep(chance.uniform(0, 0.03 if self.moment == "any" else 0.003))
        return True

    @property
    def _folder(self) -> Path:
        return self.recipe.parent / "run"

    def _lines(self) -> int:
        path = self._folder / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0


def _children(launcher: int) -> Sequence[int]:
    return [int(word) for word in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()]
