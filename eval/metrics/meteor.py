"""METEOR 1.5 (Denkowski and Lavie 2014) by its own Java program and tables, which `pycocoevalcap` brings."""

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

_JAR = "meteor-1.5.jar"
WHAT_TO_INSTALL = (
    "METEOR runs by a Java program: install a Java runtime (such as Debian's default-jre-headless) and "
    "`pip install --no-deps pycocoevalcap`, and run the task again; answers are kept"
)


def why_not() -> str:
    """Return why METEOR cannot be computed on this machine and what to install; empty where it can be."""
    missing = [] if shutil.which("java") else ["`java`"]
    if _folder() is None:
        missing.append("the package `pycocoevalcap`")
    return (
        f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing. {WHAT_TO_INSTALL}" if missing else ""
    )


def _folder() -> Path | None:
    found = importlib.util.find_spec("pycocoevalcap")
    places = [] if found is None else [Path(place) / "meteor" for place in found.submodule_search_locations or ()]
    return next((place for place in places if (place / _JAR).is_file()), None)


# METEOR 1.5's parameters for English: alpha, beta, gamma, delta, and the weights of its four matchers.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])


def meteor_of(counts: np.ndarray) -> float:
    """Return METEOR of a set of texts from what the program counts of each: [N, 23].

    Denkowski and Lavie 2014, section 2; the program's own figure of the set, for intervals over many draws of it. Of a
    row: the words of the text, of the reference, and the function words of each; for each matcher, matched content and
    function words of both sides; chunks, and matched words of both. A text that matches as a whole has no chunk.
    """
    rows = counts.copy()
    whole = (rows[:, 20] == 1) & (rows[:, 21] == rows[:, 0]) & (rows[:, 22] == rows[:, 1])
    rows[whole, 20] = 0
    total = rows.sum(0)
    matched = total[4:20].reshape(4, 4)
    chunks, pairs = total[20], (total[21] + total[22]) / 2
    precision, recall = (
        _share(matched[:, side], matched[:, side + 2], total[side], total[side + 2]) for side in (0, 1)
    )
    if precision == 0 or recall == 0:
        return 0.0
    mean = precision * recall / (_ALPHA * precision + (1 - _ALPHA) * recall)
    return float(mean * (1 - _GAMMA * (chunks / pairs) ** _BETA))


def _share(content: np.ndarray, function: np.ndarray, words: float, function_words: float) -> float:
    weighted = float(_WEIGHTS @ (_DELTA * content + (1 - _DELTA) * function))
    length = _DELTA * (words - function_words) + (1 - _DELTA) * function_words
    return weighted / length if length else 0.0


class Meteor:
    """The running program, asked as `pycocoevalcap` asks it. Use it in a `with` block.

    Raises:
        ValueError: there is no Java runtime or no `pycocoevalcap`, or the program gave up; the message says which.
    """

    def __enter__(self) -> "Meteor":
        reason = why_not()
        if reason:
            raise ValueError(reason)
        command = ["java", "-jar", "-Xmx2G", _JAR, "-", "-", "-stdio", "-l", "en", "-norm"]
        pipe = subprocess.PIPE
        self._program = subprocess.Popen(
            command, cwd=_folder(), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, encoding="utf-8"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.kill()
        self._program.communicate()

    def statistics(self, words: Sequence[str], references: Sequence[Sequence[str]]) -> str:
        """Return what the program counts of one text and its references, given as words."""
        texts = [" ".join(reference) for reference in references]
        return self._ask(" ||| ".join(["SCORE", *texts, " ".join(words).replace("|||", "").replace("  ", " ")]), 1)[0]

    def scores(self, statistics: Sequence[str]) -> tuple[float, list[float]]:
        """Return METEOR of the whole set, and of each text, from what was counted of each."""
        *single, whole = map(float, self._ask(" ||| ".join(["EVAL", *statistics]), len(statistics) + 1))
        return whole, single

    def _ask(self, line: str, num_lines: int) -> list[str]:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(line + "\n")
        self._program.stdin.flush()
        found = [self._program.stdout.readline().strip() for _ in range(num_lines)]
        if not all(found):
            raise ValueError(f"METEOR's Java program ended without an answer (exit status {self._program.poll()})")
        return found
