"""Multiple choice by parsing: our own way against answers that are made so, the two others against the real code."""

import random
import re
from collections.abc import Iterator, Sequence
from copy import copy
from types import SimpleNamespace
from typing import Any

import numpy as np

from eval.data.letters import LETTERS
from tests.check_scorers.comparing import Outcome, compare, figures, item_values, written
from tests.check_scorers.wheels import LMMS_EVAL, VLMEVALKIT, Wheels

OPTIONS = ("frog", "toad", "red car", "bird house", "oak tree", "two men", "snow")
# L: the letter that is meant, M: another one (l, m: small), O and P: their options.
_SETTLED = (
    *("L", "(l)", "L.", "L)", "**L**", "l", "[L]", " L \n", "L. O", "(l) O", "L: O", "(L) O."),
    *("The answer is L.", "The correct answer is (l)", "Answer: L", "answer: l", "the answer is: (L) O", "Option L"),
    *(
        "Thus \\boxed{L}",
        "The correct option is L, since it shows one.",
        "Not M. The answer is L.",
        "O",
        "O.",
        "The answer is O.",
    ),
    *(
        "First I took M, but the answer is L.",
        "L because it is green",
        "There is ((L)) and nothing else",
        "It must be L",
    ),
    *("I think there is one O in it", "the answer is M? No, the answer is L.", "It is definitely not M, so: L"),
    *("L - the colour fits", "`L`", "The answer is L because A is red", "The choice should be (L)."),
)
_OPEN = (
    *("L or M", "(L) or (M)", "I do not know.", "", "Both O and P", "neither of them", "not L", "(L) and (M)", "?"),
    *("either L or M", "It is a picture.", "O, P", "The answer is L or M.", "I think, therefore I am."),
)
_ENTITIES = (
    "USA won",
    "the answer is",
    "I think",
    "because",
    "Z",
    "A dog",
    "not",
    "and",
    "or",
    "it is",
    "I",
    "Answer:",
)
_REFUSED = ("Cannot determine the answer", "Failed to obtain answer via API", "I can't process this file.")


def ours(number: int) -> Iterator[Outcome]:
    """Our own rules, on answers of which it is known what they settle on."""
    draw = random.Random(13)
    pairs = []
    for _ in range(number):
        options = draw.sample(OPTIONS, draw.randint(2, 6))
        right, other = draw.sample(range(len(options)), 2)
        settles = draw.random() < 0.75
        words = {"L": LETTERS[right], "M": LETTERS[other], "O": options[right], "P": options[other]}
        words |= {"l": LETTERS[right].lower(), "m": LETTERS[other].lower()}
        form = draw.choice(_SETTLED if settles else _OPEN)
        text = "".join(words.get(part, part) for part in re.split(r"(?<![A-Za-z'])([LMOPlm])(?![A-Za-z'])", form))
        pairs.append((_read("multiple-choice-v1", text, options, right), (float(settles), float(not settles))))
    yield compare("multiple-choice-v1", "right, unparsed", "answers made so", pairs)


def _read(scorer: str, text: str, options: Sequence[str], right: int) -> tuple[float, float]:
    answer = written(text, options[right], options=tuple(options), right=right)
    return item_values(scorer, [answer])[0], figures(scorer, [answer])["unparsed"]


def any_answer(draw: random.Random, options: Sequence[str]) -> str:
    """Return an answer of letters, texts of options and other words, in any order."""
    letters = LETTERS[: len(options)]

    def piece() -> str:
        letter, option = draw.choice(letters), draw.choice(options)
        marked = draw.choice(("{}", "({})", "{}.", "{},", "{}:", "{}!", "*{}*")).format(letter)
        return draw.choice((marked, marked.lower(), letter, option, option.upper(), *draw.sample(_ENTITIES, 4)))

    pieces = [piece() for _ in range(draw.choice((1, 1, 2, 3, 5, 8, 14)))]
    if draw.random() < 0.05:
        pieces.append(draw.choice(_REFUSED))
    return draw.choice((" ", " ", "\n", ", ")).join(pieces) + draw.choice(("", "", ".", ".'", "\n"))


def lmms_eval_parser(wheels: Wheels) -> Any:
    """Return lmms-eval's reading of answers to MMMU; None stands for what it draws by chance."""
    drawn = SimpleNamespace(choice=lambda letters: None)
    path = "lmms_eval/tasks/_task_utils/mmmu_mcq_utils.py"
    name = "parse_mmmu_multi_choice_response"
    parse = getattr(wheels.functions(LMMS_EVAL, path, name, np=np, random=drawn), name)
    return lambda text, options: parse(text, [*LETTERS[: len(options)]], dict(zip(LETTERS, options, strict=False)))


def vlmevalkit_parser(wheels: Wheels) -> Any:
    """Return VLMEvalKit's exact matching; None where it finds nothing."""
    known = {"os": SimpleNamespace(environ={}), "cp": SimpleNamespace(copy=copy), "string": SimpleNamespace()}
    known["string"].ascii_uppercase = LETTERS
    path = "vlmeval/utils/matching_util.py"
    found = wheels.functions(VLMEVALKIT, path, "can_infer can_infer_option can_infer_text", **known)

    def parse(text: str, options: Sequence[str]) -> str | None:
        letter = found.can_infer(text, dict(zip(LETTERS, options, strict=False)))
        return letter if letter and letter != "Z" else None

    return parse


def published(number: int, wheels: Wheels) -> Iterator[Outcome]:
    """The ways of lmms-eval and VLMEvalKit."""
    ways = (
        ("multiple-choice-lmms-eval-random-v1", LMMS_EVAL, lmms_eval_parser),
        ("multiple-choice-vlmevalkit-v1", VLMEVALKIT, vlmevalkit_parser),
    )
    for scorer, package, parser in ways:
        if not wheels.has(package):
            continue
        draw, parse, pairs = random.Random(14), parser(wheels), []
        for _ in range(3 * number):
            options = draw.sample(OPTIONS, draw.randint(2, 6))
            right = draw.randrange(len(options))
            text = any_answer(draw, options)
            value, unparsed = _read(scorer, text, options, right)
            theirs = parse(text, options)
            drawn = theirs is None and "random" in scorer  # each draws in its own way
            own = float("nan") if drawn and unparsed else value
            pairs.append(((own, unparsed), (float("nan") if drawn else theirs == LETTERS[right], theirs is None)))
        yield compare(scorer, "right, unparsed", f"{package} (its code)", pairs)
