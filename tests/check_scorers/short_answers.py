"""Short answers: the rules of the VQA code and of lmms-eval restated, and lmms-eval's code where its wheel is there."""

import random
import re
import statistics
import string
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.check_scorers.comparing import Outcome, compare, item_values, written
from tests.check_scorers.wheels import LMMS_EVAL, Wheels

_WORDS = """
yes no two three none zero ten a an the A The dont don't isnt cant frog frogs red blue left. right, 1,000 1,2 3.5 3. .5
10:30 u.s. U.S. t-shirt x-ray (b) "no" it's lets oclock 5% $5 and/or man's youre hes whats ? ! ; @ vitamin hot-dog 2
"""
# The list of the published code, which only holds what it mends.
_MENDED = {"dont": "don't", "isnt": "isn't", "cant": "can't", "oclock": "o'clock", "youre": "you're", "whats": "what's"}
_MARKS = [*';/[]"{}()=+\\_-><@`,?!']


def official_vqa(answer: str) -> str:
    """The published processing of an answer, restated from its description; for answers that keep something."""
    answer = answer.replace("\n", " ").replace("\t", " ").strip()
    out = answer
    comma = re.search(r"(\d)(,)(\d)", answer) is not None
    for mark in _MARKS:
        out = out.replace(mark, "" if (mark + " " in answer or " " + mark in answer) or comma else " ")
    for _ in range(32):  # the flag re.UNICODE, passed as a count
        out = re.sub(r"(?!<=\d)(\.)(?!\d)", "", out, count=1)
    numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    digits = {word: str(value) for value, word in enumerate(numbers)} | {"none": "0"}
    words = [digits.get(word, word) for word in out.lower().split()]
    return " ".join(_MENDED.get(word, word) for word in words if word not in ("a", "an", "the"))


def leave_one_out(answer: str, own: Sequence[str]) -> float:
    """Return VQA accuracy of answers that are normalised: the mean over annotators, each left out once."""
    shares = [min(1, (own[:left] + own[left + 1 :]).count(answer) / 3) for left in range(len(own))]  # pyright: ignore
    return sum(shares) / len(shares)


def short_answers(number: int, wheels: Wheels) -> Iterator[Outcome]:
    """VQA accuracy and exact match."""
    draw = random.Random(1)
    texts = _texts(2 * number)
    pool = [[draw.choice(texts[:40]) for _ in range(10)] for _ in range(number)]
    said = [draw.choice([*own, draw.choice(texts)]) for own in pool]
    values = [item_values("vqa-accuracy-v1", [_of(text, own)])[0] for text, own in zip(said, pool, strict=True)]
    processed = [[official_vqa(one) for one in (text, *own)] for text, own in zip(said, pool, strict=True)]
    rule = "rule of the VQA code, restated"
    pairs = [(value, leave_one_out(one[0], one[1:])) for value, one in zip(values, processed, strict=True)]
    yield compare("vqa-accuracy-v1", "accuracy", rule, pairs)
    yield compare("exact-match-v2", "equal or not", rule, _matches("exact-match-v2", texts[:number], official_vqa))
    table = str.maketrans(dict.fromkeys(string.punctuation))
    gqa = _matches("exact-match-gqa-v1", texts[:number], lambda text: text.lower().translate(table).strip())
    yield compare("exact-match-gqa-v1", "equal or not", "rule of lmms-eval, restated", gqa)
    if wheels.has(LMMS_EVAL):
        yield from _lmms_eval(wheels, texts[:number], said, pool, values)


def _lmms_eval(
    wheels: Wheels, texts: Sequence[str], said: Sequence[str], pool: Sequence[Sequence[str]], values: Sequence[float]
) -> Iterator[Outcome]:
    name, path = "EvalAIAnswerProcessor", "lmms_eval/tasks/_task_utils/vqa_eval_metric.py"
    processor = getattr(wheels.functions(LMMS_EVAL, path, name, re=re), name)
    known = {name: processor, "statistics": statistics}
    theirs = wheels.functions(LMMS_EVAL, "lmms_eval/tasks/vqav2/utils.py", "vqav2_process_results", **known)

    def accuracy(text: str, own: Sequence[str]) -> float:
        answers = [{"answer": one, "answer_id": place} for place, one in enumerate(own)]
        return theirs.vqav2_process_results({"answers": answers, "question_id": 0}, [text])["exact_match"]

    pairs = [(value, accuracy(text, own)) for value, text, own in zip(values, said, pool, strict=True)]
    yield compare("vqa-accuracy-v1", "accuracy", f"{LMMS_EVAL} (its code)", pairs)
    known = {"np": np, "string": SimpleNamespace(punctuation=string.punctuation), "re": re}
    match = wheels.functions(LMMS_EVAL, "lmms_eval/api/metrics.py", "exact_match_hf_evaluate", **known)

    def equal(text: str, reference: str) -> float:
        options: dict[str, Any] = {"ignore_case": True, "ignore_punctuation": True}
        return match.exact_match_hf_evaluate([text], [reference], **options)["exact_match"]

    pairs = [
        (item_values("exact-match-gqa-v1", [written(text, one)])[0], equal(text, one)) for text, one in _variants(texts)
    ]
    yield compare("exact-match-gqa-v1", "equal or not", f"{LMMS_EVAL} (its code)", pairs)


def _of(text: str, references: Sequence[str]) -> Any:
    return written(text, references[0], references=tuple(references))


def _texts(number: int) -> list[str]:
    draw, words = random.Random(0), _WORDS.split()
    found = []
    while len(found) < number:
        text = " ".join(draw.choice(words) for _ in range(draw.randint(1, 4)))
        if official_vqa(text):
            found.append(text)
    return found


def _variants(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Texts, each with one that may be the same answer, written in another way."""
    draw = random.Random(2)
    for text in texts:
        yield text, draw.choice([text.lower(), text + ".", text.replace("-", " "), draw.choice(texts)])


def _matches(scorer: str, texts: Sequence[str], normalise: Callable[[str], str]) -> Iterator[tuple[float, float]]:
    for text, reference in _variants(texts):
        if normalise(reference):
            own = item_values(scorer, [written(text, reference)])[0]
            yield own, float(normalise(text) == normalise(reference))
