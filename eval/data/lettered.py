"""Questions with options: the options as texts without letters, and the right one however the file names it."""

import ast
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from eval.data.benchmark import Row
from eval.data.letters import LETTERS, letter_index
from eval.data.rows import Part, question_row
from omni.media.item import shorten

_MARK = re.compile(r"\s*[(\[]?([A-Za-z])[)\].:]\s*")


def choice_row(id: Any, content: Sequence[Part], question: str, options: Any, right: Any, **meta: Any) -> Row:
    """Return a conversation of one turn whose row has `options`, and the text of the right one as `answer`.

    Args:
        id: the item's.
        content: parts before the question.
        question: what is asked, without the options.
        options: a list of texts, or one that is written as JSON or Python; marks such as `A.` or `(a)` go where all
            have theirs in order.
        right: the number of the right one from 0 on, its text, or its letter, whichever is one of them; None where it
            is not public, which leaves `answer` out.
        meta: what else the item has.

    Raises:
        ValueError: the options are no list of at least two texts, or the right one is none of them.
    """
    return question_row(id, content, question, **choice_meta(options, right), **meta)


def choice_meta(options: Any, right: Any) -> dict[str, Any]:
    """Return what the meta of a row with options says of them; see `choice_row`, also for what is raised."""
    texts = plain_options(options)
    return {"options": texts} | ({} if right is None else {"answer": texts[right_index(right, texts)]})


def plain_options(value: Any) -> list[str]:
    """Return options as texts without the marks that count them.

    Raises:
        ValueError: they are no list of at least two texts, or one is empty.
    """
    found = written_list(value) if isinstance(value, str) else value
    if isinstance(found, str | bytes | Mapping) or not isinstance(found, Sequence) or len(found) < 2:
        raise ValueError(f"the options must be a list of at least two texts; got {shorten(value)}")
    if not all(isinstance(one, str | int | float) and str(one).strip() for one in found):
        raise ValueError(f"an option is no text or empty in {shorten(value)}")
    texts = [str(one).strip() for one in found]
    marks = [_MARK.match(text) for text in texts]
    if [mark[1].upper() if mark else "" for mark in marks] != [*LETTERS[: len(texts)]]:
        return texts
    plain = [text[mark.end() :] for text, mark in zip(texts, marks, strict=True) if mark]
    return plain if all(plain) else texts


def marked_right(right: Any, options: Any) -> Any:
    """Return what `choice_row` takes for the right one, where a letter means a mark if the file marks its options.

    Among `A. C`, `B. A` the letter `A` is the first option, though the second one has that text.

    Args:
        right: what the file says.
        options: as the file has them; see `choice_row`.

    Raises:
        ValueError: the options are no list of at least two texts.
    """
    texts = plain_options(options)
    found = written_list(options) if isinstance(options, str) else options
    are_marked = texts != [str(one).strip() for one in found]
    index = letter_index(right)
    return index if are_marked and index is not None and index < len(texts) else right


def right_index(right: Any, options: Sequence[str]) -> int:
    """Return the index of the right option, which is named by number from 0 on, text, letter, or letter and text.

    A text goes before a letter, so that `a` among `c, a, b` is the second option. Capitals, spaces and a full stop at
    the end do not count where one option is meant all the same.

    Raises:
        ValueError: it is none of them.
    """
    if isinstance(right, int) and not isinstance(right, bool) and 0 <= right < len(options):
        return right
    said = right.strip() if isinstance(right, str) else ""
    mark = _MARK.match(said)
    texts = (said, said[mark.end() :] if mark else "")
    for text in texts:
        if text in options:
            return list(options).index(text)
    index = letter_index(said)
    if index is None or index >= len(options):
        plain = [_plain(option) for option in options]
        for text in filter(None, map(_plain, texts)):
            if plain.count(text) == 1:
                return plain.index(text)
        raise ValueError(f"the right answer {shorten(right)} is none of the options {shorten([*options])}")
    return index


def shuffled(options: Sequence[str], id: Any) -> list[str]:
    """Return options in an order that depends on the item alone, where the data put the right one first."""
    order = sorted(range(len(options)), key=lambda index: hashlib.sha256(f"{id}:{index}".encode()).digest())
    return [options[index] for index in order]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def options_in(question: str) -> tuple[str, list[str]]:
    """Return a question without the options on its last lines (`A. up`, `(b) down`), and these.

    Raises:
        ValueError: it lists none.
    """
    lines = question.strip().split("\n")
    first = next((number for number, line in enumerate(lines) if _letter_of(line) == "A"), len(lines))
    options = [line.strip() for line in lines[first:] if line.strip()]
    if len(options) < 2 or [_letter_of(line) for line in options] != [*LETTERS[: len(options)]]:
        raise ValueError(f"lists no options on lines of their own: {shorten(question)}")
    return "\n".join(lines[:first]).strip(), plain_options(options)


def _letter_of(line: str) -> str:
    mark = _MARK.match(line)
    return mark[1].upper() if mark else ""


def written_list(text: str) -> Any:
    """Return what a text holds as JSON or as a Python literal, as tables keep lists.

    Raises:
        ValueError: it is neither.
    """
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    raise ValueError(f"expected a list, written as JSON or Python; got the text {shorten(text)}")
