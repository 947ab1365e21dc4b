"""Questions that tell two media of different modalities apart, with a round trip through a language model.

The way of DisCRn (Panagopoulou et al. 2023, arXiv:2311.18799, section 5): a language model sees the captions of two
items and asks a question that fits one of them; it is kept if the model finds that one again from the captions, in both
orders. Without a model the question comes from metadata, see `omni.samples.pairs.pairs_by_key`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from omni.samples.messages import Message
from train.make_data.prompts import conversation
from train.make_data.questions import AskModel

KEPT = "kept"
_ASK = 'Write a question that begins with "Which of the two" and that fits only the caption marked with a star.'
_ANSWER = "Which caption does the question fit? Answer with first or second."
_EXAMPLES = (
    (("A dog barks.", "A wooden chair."), 0, "Which of the two is an animal?"),
    (("A glass of water.", "A fire truck drives by with its siren on."), 1, "Which of the two is a vehicle?"),
    (("A trumpet plays.", "A red apple on a table."), 1, "Which of the two can be eaten?"),
    (("An airplane takes off.", "A small blue car."), 0, "Which of the two can fly?"),
)


@dataclass(frozen=True)
class Discrimination:
    """A question about two captions; `outcome` is KEPT, or why it is not."""

    question: str
    outcome: str


def discriminating_questions(
    ask: AskModel, pairs: Sequence[tuple[str, str]], right: Sequence[int]
) -> list[Discrimination]:
    """Return a question for each pair of captions, in two batched runs of the language model.

    Args:
        ask: the language model.
        pairs: the captions of the first and the second.
        right: 0 or 1, which one the question is to fit.
    """
    texts = ask([_request(*pair, place) for pair, place in zip(pairs, right, strict=True)])
    questions = [_question(text) for text in texts]
    reasons = [_reason_against(question, *pair) for question, pair in zip(questions, pairs, strict=True)]
    open_ones = [index for index, reason in enumerate(reasons) if reason is None]
    both_ways = [
        _again(questions[index], *(pairs[index] if straight else pairs[index][::-1]))
        for index in open_ones
        for straight in (True, False)
    ]
    said = iter(ask(both_ways))
    for index in open_ones:
        straight, exchanged = _place(next(said)), _place(next(said))
        if straight != right[index] or exchanged != 1 - right[index]:
            reasons[index] = "the model does not find the right one again in both orders"
    return [Discrimination(question, reason or KEPT) for question, reason in zip(questions, reasons, strict=True)]


def _request(first: str, second: str, right: int) -> list[Message]:
    examples = [(_starred(*captions, place), question) for captions, place, question in _EXAMPLES]
    turns = [(f"{_ASK}\n{captions}", question) for captions, question in examples]
    return conversation(turns, f"{_ASK}\n{_starred(first, second, right)}")


def _again(question: str, first: str, second: str) -> list[Message]:
    turns = [
        (f"{_ANSWER}\nFirst: {one}\nSecond: {other}\nQuestion: {asked}", ("first", "second")[place])
        for (one, other), place, asked in _EXAMPLES
    ]
    return conversation(turns, f"{_ANSWER}\nFirst: {first}\nSecond: {second}\nQuestion: {question}")


def _starred(first: str, second: str, right: int) -> str:
    marks = ("*", "") if right == 0 else ("", "*")
    return f"First{marks[0]}: {first}\nSecond{marks[1]}: {second}"


def _question(text: str) -> str:
    head, mark, _ = text.strip().partition("\n")[0].partition("?")
    return head.removeprefix("Question:").strip() + mark


def _reason_against(question: str, first: str, second: str) -> str | None:
    words = re.findall(r"\w+", question.lower())
    if not question.endswith("?") or words[:4] != ["which", "of", "the", "two"] or len(words) < 6:
        return "no question of the form 'Which of the two ...?' was asked"
    if {"first", "second"} & {*words}:
        return "the question names a place"
    if " ".join(first.lower().split()) == " ".join(second.lower().split()):
        return "both captions are the same"
    return None


def _place(text: str) -> int | None:
    found = re.findall(r"\b(first|second)\b", text.lower().partition("\n")[0])
    return {"first": 0, "second": 1}[found[0]] if len({*found}) == 1 else None
