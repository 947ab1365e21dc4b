"""Rows of multiple-choice questions: options without their letters, and the right one as one of their texts."""

import ast
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from eval.data.benchmark import Row
from eval.data.rows import Part, question_row
from omni.media.item import shorten

_MARK = re.compile(r"^\s*[(\[]?([A-Za-z])[)\].:]\s*(?=\S)")
_LETTER = re.compile(r"^[(\[]?([A-Za-z])[)\].:]*$")


def option_row(id: Any, media: Sequence[Part], question: str, options: Sequence[str], right: Any, **meta: Any) -> Row:
    """Return the row of a question with its options in meta `options`, and the text of the right one in meta `answer`.

    Args:
        id: the item's.
        media: parts, in their order.
        question: without the options.
        options: their texts, in their order; see `option_texts`.
        right: the right one as the data say it: its text, with or without its letter, or its letter; None where it is
            not public, which leaves `answer` out.
        meta: what else the item has.

    Raises:
        ValueError: there are fewer than two options, or the right one is none of them.
    """
    if len(options) < 2:
        raise ValueError(f"has {len(options)} option, where a choice needs at least two: {shorten([*options])}")
    answer = {} if right is None else {"answer": options[_right_index(str(right), options)]}
    return question_row(id, media, question, options=[*options], **answer, **meta)


def option_texts(value: Any) -> list[str]:
    """Return options as texts without their letters: of a list, or of one written as JSON or Python.

    Letters go only where all options have theirs, in order (`(A) a frog`, `B. a toad`).

    Raises:
        ValueError: it is no list of texts.
    """
    found = _written(value) if isinstance(value, str) else value
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise ValueError(f"the options must be a list of texts; got {shorten(value)}")
    texts = [str(one).strip() for one in found if one is not None]
    if len(texts) < len(found) or not all(texts):
        raise ValueError(f"an option is empty in {shorten(value)}")
    return _without_letters(texts)


def shuffled(options: Sequence[str], id: Any) -> list[str]:
    """Return options in an order that depends on the item alone, where the data put the right one first."""
    order = sorted(range(len(options)), key=lambda index: hashlib.sha256(f"{id}:{index}".encode()).digest())
    return [options[index] for index in order]


def _written(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise ValueError(f"the options must be a list of texts; got the text {shorten(text)}")


def _without_letters(texts: list[str]) -> list[str]:
    marks = [_MARK.match(text) for text in texts]
    letters = "".join(mark[1].upper() for mark in marks if mark)
    if len(letters) != len(texts) or letters != "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(texts)]:
        return texts
    return [text[mark.end() :].strip() for text, mark in zip(texts, marks, strict=True) if mark]


def _right_index(said: str, options: Sequence[str]) -> int:
    plain = [_plain(option) for option in options]
    for wanted in (said.strip(), _MARK.sub("", said).strip()):
        if wanted in options:
            return [*options].index(wanted)
        if plain.count(_plain(wanted)) == 1:
            return plain.index(_plain(wanted))
    letter = _LETTER.match(said.strip())
    if letter and ord(letter[1].upper()) - ord("A") < len(options):
        return ord(letter[1].upper()) - ord("A")
    raise ValueError(f"the right answer {shorten(said)} is none of the options {shorten([*options])}")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")
