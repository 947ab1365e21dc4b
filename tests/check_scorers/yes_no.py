"""Yes and no: three ways to read them restated, and the figures by scikit-learn and by lmms-eval's code."""

import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn import metrics as sk

from eval.metrics import binary, parse_yes_no, parse_yes_no_exact, parse_yes_no_pope
from tests.check_scorers.comparing import Outcome, compare, figures, written
from tests.check_scorers.wheels import LMMS_EVAL, Wheels

_WORDS = ["yes", "no", "Yes", "No", "NO", "not", "there", "is", "a", "dog", ".", ",", "Yes.", "no,", "nothing", "I"]
_WORDS += ["yeah", "Nope!", "yep", "(yes)", "know", "yesterday", "**No**"]


def _ours(text: str) -> bool | None:
    said = [{"yeah": "yes", "yep": "yes", "nope": "no"}.get(word, word) for word in re.split(r"[^a-z]+", text.lower())]
    said = [word for word in said if word]
    if said[:1] in (["yes"], ["no"]):
        return said[0] == "yes"
    found = {"yes", "no"} & {*said}
    return found == {"yes"} if len(found) == 1 else None


def _pope(text: str) -> bool:
    first = text.split(".")[0] if "." in text else text
    parts = first.replace(",", "").split(" ")
    return not ("No" in parts or "not" in parts or "no" in parts)


def yes_and_no(number: int, wheels: Wheels) -> Iterator[Outcome]:
    """What is read, and what is made of it."""
    draw = random.Random(3)
    texts = [" ".join(draw.choices(_WORDS, k=draw.randint(1, 6))) for _ in range(2 * number)]
    ours = [(_code(parse_yes_no(text)), _code(_ours(text))) for text in texts]
    yield compare("yes-no-v1", "yes, no or neither", "rule of its docstring, restated", ours)
    pope = [(parse_yes_no_pope(text), _pope(text)) for text in texts]
    yield compare("yes-no-pope-v1", "yes or not", "rule of POPE, restated", pope)
    exact = [(parse_yes_no_exact(text) is True, text.lower().strip() == "yes") for text in texts]
    yield compare("yes-no-exact-v1", "yes or not", "rule of lmms-eval, restated", exact)
    pairs = []
    for seed in range(number):
        drawn = np.random.default_rng(seed)
        right, said = drawn.random(8) < 0.5, drawn.random(8) < 0.6
        theirs = sk.precision_recall_fscore_support(right, said, average="binary", zero_division=0)[:3]
        pairs.append(([binary.precision(said, right), binary.recall(said, right), binary.f1(said, right)], theirs))
    yield compare("yes-no-*-v1", "precision, recall, F1", "scikit-learn", pairs)
    if wheels.has(LMMS_EVAL):
        yield compare("yes-no-exact-v1", "all figures of a set", f"{LMMS_EVAL} (its code)", _sets(number // 20, wheels))


def _code(said: bool | None) -> float:
    return {True: 1.0, False: 0.0, None: -1.0}[said]


def _sets(number: int, wheels: Wheels) -> Iterator[tuple[Sequence[float], Sequence[float]]]:
    """Sets of 20 answers; every one says yes or no, since theirs counts other answers as no missed yes."""
    names = ("accuracy", "precision", "recall", "f1_score")
    wanted = " ".join(f"pope_aggregate_{name}" for name in names)
    code = wheels.functions(LMMS_EVAL, "lmms_eval/tasks/pope/utils.py", f"pope_process_results {wanted}")
    for seed in range(number):
        draw = random.Random(seed)
        rows = [(draw.choice(("yes", "No", "YES\n", " no")), draw.choice(("yes", "no"))) for _ in range(20)]
        answers = [written(text, right, id=str(n), cluster=n) for n, (text, right) in enumerate(rows)]
        found = figures("yes-no-exact-v1", answers)
        results: list[dict[str, Any]] = [
            code.pope_process_results({"answer": right, "question_id": 0}, [text]) for text, right in rows
        ]
        theirs = [getattr(code, f"pope_aggregate_{name}")([one[f"pope_{name}"] for one in results]) for name in names]
        yield [found[name] for name in ("accuracy", "precision", "recall", "f1")], theirs
