"""Damaged recipes by the thousand: each is read and checked as `python -m train RECIPE --dry_run` does it, up to the
point where weights are loaded, and must be right, or refused by a FileNotFoundError or ValueError in words.

Run as `python -m tests.fuzz_recipes NUM_CASES`; it prints one line of figures.
"""

import contextlib
import copy
import json
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from omni.config.components import build
from omni.recipe.schema import Recipe
from train.preflight.checks import check_data
from train.preflight.view import Report
from train.recipe import RECIPES, load_recipes

MOST_SECONDS = 20.0  # of one case, on a busy machine

_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3.7, 10**9, -(10**18), 10**25, 1e308, -1e-300, float("nan"), float("inf")),
    *(
        "",
        " ",
        "no",
        "x" * 5000,
        "\N{FROG FACE}",
        "a\nb",
        "../..",
        "/",
        "~",
        "starter:",
        "starter:none",
        "hf:",
        "pipe:",
    ),
    *("0", "1e400", "null", "{}", "os.system", "adapters.Linear", "omni", ".", "a.py:B", "pipe:false", "*.tar"),
    *([], [[]], [None], [1, "a"], {}, {"a": {}}, {"class_path": 3}, {"class_path": "adapters.Linear"}, {1: 2}),
    *({"class_path": "omni.media.Media"}, {"class_path": "adapters.MLP", "init_args": {"hidden_dim": "x"}}),
)
# text, which is set in somewhere: YAML that is cut, doubled, deep, binary, or has tabs, tags and aliases
_PIECES = (
    *(
        "\t",
        "\0",
        "\x1b",
        "\ufeff",
        "\r",
        "'",
        '"',
        "[",
        "{",
        "}",
        ": ",
        "- ",
        "? ",
        "&a ",
        "*a",
        "*b ",
        "!!int ",
        "!x ",
    ),
    *(
        "!!python/object/apply:os.system ",
        "!!binary ",
        "!!timestamp ",
        "!!set ",
        "<<: ",
        "# ",
        "%",
        "@",
        "`",
        "|\n",
        ">",
    ),
    *("---\n", "...\n", "\n", "\n\n  ", "0x", "1_0", "9" * 5000, "[" * 300, "- " * 300, "\N{SNOWMAN}", "\x85", "0o17"),
)


def cases(count: int, seed: int = 0) -> Iterator[tuple[str, bytes, list[str]]]:
    """Yield a description, the bytes of a recipe and overrides of the command line."""
    shipped = [(path.name, path.read_text(encoding="utf-8")) for path in sorted(RECIPES.glob("*.yaml"))]
    for index in range(count):
        source = random.Random(f"{seed} {index}")
        name, text = source.choice(shipped)
        kind = source.choice(["value", "value", "value", "key", "values", "text", "bytes", "aliases", "words"])
        words: list[str] = []
        if kind in ("value", "key", "values"):
            values = yaml.safe_load(text)
            for _ in range(1 if kind != "values" else source.randint(2, 6)):
                _change(values, source, rename=kind == "key")
            data = yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode()
        elif kind == "text":
            data = _with_pieces(text, source).encode()
        elif kind == "bytes":
            data = _damaged(text.encode(), source)
        elif kind == "aliases":
            data = (text + _laughs(source)).encode()
        else:
            data, words = text.encode(), _words(source)
        yield f"{index} {kind} of {name}", data, words


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container and key in nested values."""
    for key in [*values] if isinstance(values, dict) else range(len(values)):
        yield values, key
        if isinstance(values[key], dict | list):
            yield from _places(values[key])


def _change(values: Any, source: random.Random, rename: bool) -> None:
    places = [*_places(values)]
    if not places:
        return
    container, key = source.choice(places)
    if rename and isinstance(container, dict):
        value = container.pop(key)
        container[source.choice([None, 1, 2.5, True, "", key + "s" if isinstance(key, str) else "k", key])] = value
        return
    other = source.choice(places)
    old = container[key]
    choice = source.randint(0, 9)
    if choice < 6:
        container[key] = copy.deepcopy(source.choice(_ODD))
    elif choice == 6:
        del container[key]
    elif choice == 7:
        container[key] = [old] if source.random() < 0.5 else {"a": old}
    elif choice == 8:
        container[key] = copy.deepcopy(other[0].get(other[1]) if isinstance(other[0], dict) else None)
    else:
        container[key] = old * -1 if isinstance(old, int | float) else str(old)


def _with_pieces(text: str, source: random.Random) -> str:
    for _ in range(source.randint(1, 3)):
        place = source.randint(0, len(text))
        text = text[:place] + source.choice(_PIECES) + text[place + source.choice([0, 0, 1, 30]) :]
    return text[: source.randint(0, len(text))] if source.random() < 0.2 else text


def _damaged(data: bytes, source: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(source.randint(1, 12)):
        changed[source.randrange(len(changed))] = source.randrange(256)
    return bytes(changed) if source.random() < 0.7 else bytes(changed[: source.randrange(len(changed))])


def _laughs(source: random.Random) -> str:
    """Return lines in which each repeats the one before, by a list or by merged keys."""
    number, times = source.randint(2, 12), source.randint(1, 9)
    template = source.choice(["[{}]", "{{<<: [{}]}}", "{{k: [{}]}}"])
    lines = ["x0: &x0 {a: 1}"]
    for index in range(number):
        lines.append(f"x{index + 1}: &x{index + 1} " + template.format(", ".join([f"*x{index}"] * times)))
    lines.append(source.choice(["", "train: *x1", "y: &y [*y]", f"objective: *x{number}"]))
    return "\n" + "\n".join(lines) + "\n"


def _words(source: random.Random) -> list[str]:
    keys = (
        "train.lr",
        "data.train.0.path",
        "data.train.9.limit",
        "model.llm.name",
        "train..",
        "",
        "stages.0.name",
        "a b",
    )
    texts = (
        "1e400",
        "[1",
        "{a: b}",
        "null",
        "-1",
        "*a",
        "&a [*a]",
        "\t",
        "[" * 200,
        "9" * 5000,
        "!!int x",
        "\0",
        "nan",
    )
    words = []
    for _ in range(source.randint(1, 3)):
        key, text = source.choice(keys), source.choice(texts)
        words += source.choice([[f"--{key}", text], [f"--{key}={text}"], [key], [f"--{key}"]])
    return words


def check(path: Path, words: list[str]) -> None:
    """Read and check a recipe without weights; raise ValueError or FileNotFoundError for what the check reports."""
    recipes = load_recipes(path, words)
    with open(path.with_suffix(".txt"), "w", encoding="utf-8") as file:
        report = Report(Console(file=file))
        for recipe in recipes:
            check_data(recipe, report)
            _build_what_needs_no_weights(recipe)


def _build_what_needs_no_weights(recipe: Recipe) -> None:
    if recipe.model is not None:
        for name, modality in recipe.model.modalities.items():
            if not {"instruction_tokenizer"} & {*modality.adapter.init_args}:
                build(
                    modality.adapter, f"model.modalities.{name}.adapter", feature_dim=32, llm_dim=16, embedding_rms=None
                )
    if recipe.joint_space is not None and recipe.joint_space.dim < 10_000:
        for name, modality in recipe.joint_space.modalities.items():
            build(modality.head, f"joint_space.modalities.{name}.head", feature_dim=32, dim=recipe.joint_space.dim)


def run(count: int, seed: int = 0) -> dict[str, Any]:
    """Check recipes, and count how they end; `failures` tells of those that end in anything but a result or an error
    in words, or take too long."""
    results = errors = 0
    slowest = (0.0, "")
    failures: list[str] = []
    # an empty working folder: a path of `.` means all that is in it
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):
        path = Path(folder) / "recipe.yaml"
        for description, data, words in cases(count, seed):
            path.write_bytes(data)
            begin = time.perf_counter()
            try:
                check(path, words)
                results += 1
            except (FileNotFoundError, ValueError) as error:
                errors += 1
                if len(str(error)) < 15 or len(str(error)) > 12_000:
                    failures.append(f"{description}: an error of {len(str(error))} characters: {str(error)[:200]}")
            except Exception as error:
                failures.append(f"{description} {words}\n{''.join(traceback.format_exception(error)[-4:])}")
            slowest = max(slowest, (round(time.perf_counter() - begin, 3), description))
            if slowest[0] > MOST_SECONDS and slowest[1] == description:
                failures.append(f"{description} took {slowest[0]} s")
    return {"results": results, "errors": errors, "slowest": slowest, "failures": failures}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    result = run(int(sys.argv[1]))
    print(json.dumps({"name": "recipes", **result}))
    sys.exit(bool(result["failures"]))
