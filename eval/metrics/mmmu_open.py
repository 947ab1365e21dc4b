"""Whether an answer in the model's own words to an open question is right, as MMMU's own evaluation sees it.

Yue et al. 2023 (arXiv:2311.16502), `parse_open_response` and `eval_open` of MMMU-Benchmark/MMMU, eval/eval_utils.py.
Its faults are kept, since published figures have them: an answer is searched for within longer texts (`no` is in
`unknown`), and the text is written in small letters before it is split into sentences, so that only lines are told
apart.
"""

import re
from collections.abc import Sequence

_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = frozenset({":", ",", ".", "!", "?", ";", "'"})
_NUMBERS = (
    r"-?\b\d{1,3}(?:,\d{3})+\b",
    r"-?\d+(?:\.\d+)?[eE][+-]?\d+",
    r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])",
)


def mmmu_open_is_right(text: str, references: Sequence[str]) -> bool:
    """Return whether a text, or the tail of one of its lines, holds a right answer: a text, or an equal number.

    Numbers are compared after rounding to two decimals.
    """
    right = {form for reference in references for form in _forms(reference)}
    words = [one for one in right if isinstance(one, str)]
    return any(
        any(word in form for word in words) if isinstance(form, str) else form in right
        for found in _answers_in(text)
        for form in _forms(found)
    )


def _answers_in(text: str) -> list[str]:
    """Return the shortest tail after an indicator (`is `, `answer `, ...) of each line, and the numbers in it."""
    text = text.strip().strip(".").lower()
    lines = text.split("\n")
    tails = []
    for number, line in enumerate(lines, 1):
        indicators = (*_INDICATORS, "=") if number == len(lines) else _INDICATORS
        tail = ""  # an empty one is the shortest, but gives way to whatever comes after it
        for found in (line.split(indicator)[-1].strip() for indicator in indicators if indicator in line):
            tail = found if not tail or len(found) < len(tail) else tail
        if tail and tail not in _TRIVIAL:
            tails.append(tail)
    tails = tails or [text]
    return [*tails, *(number for tail in tails for pattern in _NUMBERS for number in re.findall(pattern, tail))]


def _forms(text: str) -> list[str | float]:
    """Return what a text is compared as: a number, or small letters; a single letter only next to a blank."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]
