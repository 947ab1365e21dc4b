"""MMMU: open questions and multiple choice in one figure, against lmms-eval's code, which is MMMU's own."""

import random
import re
from collections.abc import Iterator

from eval.data.letters import LETTERS
from tests.check_scorers.comparing import Outcome, compare, item_values, written
from tests.check_scorers.option_letters import OPTIONS, any_answer, lmms_eval_parser
from tests.check_scorers.wheels import LMMS_EVAL, Wheels

_WORDS = """
5 5.0 5.004 1,000 1000 1e3 -3 -3.5 .5 0.5 12% x y = so is thus therefore final answer result could be a the no unknown
frog Frog blue red . : , ' the\nanswer so\n is\n $5 3/4 2.718 x=5
"""
_RIGHT = ("5", "5.0", "1000", "1,000", "-3.5", "0.5", "no", "frog", "blue frog", "x", "y", "2.72", "3/4", "None", "12%")
_FUNCTIONS = "parse_open_response extract_numbers normalize_str check_is_number eval_open"


def mmmu(number: int, wheels: Wheels) -> Iterator[Outcome]:
    """Both kinds of questions, of which the open ones have one right answer or several."""
    if not wheels.has(LMMS_EVAL):
        return
    theirs = wheels.functions(LMMS_EVAL, "lmms_eval/tasks/mmmu/utils.py", _FUNCTIONS, re=re)
    parse = lmms_eval_parser(wheels)
    draw, words = random.Random(15), _WORDS.split(" ")
    open_pairs, chosen_pairs = [], []
    for case in range(2 * number):
        text = " ".join(draw.choices(words, k=draw.randint(1, 9)))
        right = draw.sample(_RIGHT, draw.choice((1, 1, 2)))
        answer = written(text, right[0], references=tuple(right))
        own = item_values("mmmu-lmms-eval-random-v1", [answer])[0]
        open_pairs.append((own, float(theirs.eval_open(right, theirs.parse_open_response(text)))))
        options = draw.sample(OPTIONS, draw.randint(2, 6))
        text, index = any_answer(draw, options), draw.randrange(len(options))
        letter = parse(text, options)
        if letter is not None:
            answer = written(text, options[index], id=str(case), meta={"options": options})
            chosen_pairs.append((item_values("mmmu-lmms-eval-random-v1", [answer])[0], letter == LETTERS[index]))
    yield compare("mmmu*-v1", "right or not, open questions", f"{LMMS_EVAL} (its code)", open_pairs)
    yield compare("mmmu-lmms-eval-random-v1", "right or not, with options", f"{LMMS_EVAL} (its code)", chosen_pairs)
