"""Question-answer pairs from captions, kept only if the model finds its own answer again.

The round trip of X-InstructBLIP (Panagopoulou et al. 2023, arXiv 2311.18799, section 4 and appendix): a language model
proposes answers that a caption gives, asks a question for each, and answers the question from the caption again. A pair
is kept if proposed and found answer match (fuzzy ratio above 90).
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import torch

from omni.model import OmniModel
from omni.samples.messages import Message
from train.make_data.prompts import answer_question, ask_for, propose_answers

AskModel = Callable[[Sequence[list[Message]]], list[str]]
KEPT = "kept"
_SMALL_WORDS = {"a", "an", "the"}


@dataclass(frozen=True)
class QuestionSettings:
    """Settings of the round trip."""

    per_caption: int = 3
    min_match: float = 90.0  # the fuzzy ratio, from 0 to 100, that two answers must exceed; X-InstructBLIP's
    temperature: float = 0.0  # 0 = the likeliest words; above, words are drawn
    seed: int = 0


@dataclass
class MadeQuestions:
    """The pairs made from one caption, and why others were not kept."""

    pairs: list[tuple[str, str]] = field(default_factory=list)  # question, answer
    outcomes: Counter[str] = field(default_factory=Counter)  # KEPT or why not -> how many


def ask_model(model: OmniModel, settings: QuestionSettings, block: int) -> AskModel:
    """Return a function from conversations to the answers of a language model (an OmniModel without modalities).

    With a temperature, the words that are drawn depend on the seed and the number of the block alone.
    """
    torch.manual_seed(settings.seed * 1_000_003 + block)
    drawn = {"do_sample": True, "temperature": settings.temperature, "top_k": 0} if settings.temperature > 0 else {}

    def ask(conversations: Sequence[list[Message]]) -> list[str]:
        return model.generate(list(conversations), max_new_tokens=32, **drawn) if conversations else []

    return ask


def make_questions(ask: AskModel, captions: Sequence[str], settings: QuestionSettings) -> list[MadeQuestions]:
    """Make questions for a block of captions, in three batched runs of the language model."""
    made = [MadeQuestions() for _ in captions]
    proposed = ask([propose_answers(caption) for caption in captions])
    open_pairs: list[tuple[int, str]] = []  # index of the caption, answer
    for index, text in enumerate(proposed):
        answers = _usable_answers(text, captions[index], settings.per_caption, made[index].outcomes)
        open_pairs += [(index, answer) for answer in answers]
    questions = ask([ask_for(captions[index], answer) for index, answer in open_pairs])
    asked: list[tuple[int, str, str]] = []
    for (index, answer), text in zip(open_pairs, questions, strict=True):
        question = _first_question(text)
        known = [other for place, other, _ in asked if place == index]
        reason = _reason_against(question, answer, known)
        if reason is None:
            asked.append((index, question, answer))
        else:
            made[index].outcomes[reason] += 1
    found = ask([answer_question(captions[index], question) for index, question, _ in asked])
    for (index, question, answer), again in zip(asked, found, strict=True):
        if fuzzy_ratio(_normalized(answer), _normalized(_first_line(again))) > settings.min_match:
            made[index].pairs.append((question, answer))
            made[index].outcomes[KEPT] += 1
        else:
            made[index].outcomes["the answer was not found again"] += 1
    return made


def fuzzy_ratio(first: str, second: str) -> float:
    """Return how alike two texts are, 0 to 100: twice the matching characters over all, as `thefuzz` counts."""
    return 100 * SequenceMatcher(None, first, second, autojunk=False).ratio()


def _usable_answers(text: str, caption: str, limit: int, outcomes: Counter[str]) -> list[str]:
    """Return the proposed answers that occur in the caption, `limit` at most."""
    words = f" {_normalized(caption)} "
    usable: list[str] = []
    proposed = [part.strip(" .\"'") for part in _first_line(text).split(";")]
    for answer in dict.fromkeys(part for part in proposed if part):
        plain = _normalized(answer)
        if not plain or f" {plain} " not in words:
            outcomes["the proposed answer is not in the caption"] += 1
        elif len(usable) < limit:
            usable.append(answer)
    if not proposed or not any(proposed):
        outcomes["no answer was proposed"] += 1
    return usable


def _reason_against(question: str, answer: str, known: Sequence[str]) -> str | None:
    if not question.endswith("?") or len(question.split()) < 3:
        return "no question was asked"
    if f" {_normalized(answer)} " in f" {_normalized(question)} ":
        return "the question holds its answer"
    if question.lower() in (other.lower() for other in known):
        return "the question was asked before"
    return None


def _first_question(text: str) -> str:
    """Return the text up to the first question mark, after which small models go on talking."""
    head, mark, _ = _first_line(text).partition("?")
    return head.removeprefix("Question:").strip() + mark


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def _normalized(text: str) -> str:
    """Return the text in lower case, without punctuation and articles."""
    words = re.sub(r"[^\w\s]", " ", text.lower()).split()
    return " ".join(word for word in words if word not in _SMALL_WORDS)
