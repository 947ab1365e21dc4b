"""Results of several models, each with a name of its own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.run.results import RunResult, load_results

_PLAIN = {"best", "last", "answer", "evaluation", "results.json", "runs"}  # folders that tell no model from another


@dataclass(frozen=True)
class NamedRun:
    """The results of one evaluation.

    Attributes:
        name: what the model is called here.
        path: the results' file or folder.
        run: the results.
    """

    name: str
    path: Path
    run: RunResult


def load_named(values: Sequence[str]) -> list[NamedRun]:
    """Load results from folders or `results.json` files, each also as `NAME=PATH`.

    Raises:
        FileNotFoundError: there are no results at a path.
        ValueError: the results are of another version, or two have the same name.
    """
    pairs = [split_name(value) for value in values]
    runs = [load_results(path) for _, path in pairs]
    called = [name or name_of(run, path) for (name, path), run in zip(pairs, runs, strict=True)]
    twice = [name for name, count in Counter(name for name, _ in pairs if name).items() if count > 1]
    if twice:
        raise ValueError(f"two results are called {twice[0]!r}; give each a name of its own as NAME=PATH")
    counts = Counter(called)
    names = [name if counts[name] == 1 else f"{name} ({path})" for name, (_, path) in zip(called, pairs, strict=True)]
    if len(set(names)) < len(names):
        raise ValueError(f"the same results are given twice: {max(names, key=names.count)}")
    return [NamedRun(name, path, run) for name, (_, path), run in zip(names, pairs, runs, strict=True)]


def split_name(value: str) -> tuple[str, Path]:
    """Return name and path of `NAME=PATH`, or an empty name and the path; a path that exists has no name in it."""
    name, equals, path = value.partition("=")
    if equals and name and not Path(value).exists():
        return name, Path(path)
    return "", Path(value)


def name_of(run: RunResult, path: Path) -> str:
    """Return what a model is called by the folders that it was loaded from, else by the place of its results."""
    sources = run.model.get("from") or []
    names = [short_name(str(source).partition("=")[2] or str(source)) for source in sources]
    return " + ".join(names) or short_name(str(path))


def short_name(folder: str) -> str:
    """Return the last part of a path that tells models apart: `starter-image` of `runs/starter-image/best`."""
    parts = [part for part in Path(folder).parts if part not in _PLAIN and part != "/"]
    return parts[-1] if parts else folder
