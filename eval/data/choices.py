"""Where official files keep options: the number of the right one, and options in columns or within a question."""

import re
from collections.abc import Sequence
from typing import Any

from eval.data.benchmark import Record
from eval.data.letters import LETTERS, letter_index
from omni.media.item import shorten

_EMPTY = ("", "nan")  # how empty cells are written; `None` is a text that an option may have


def right_by_letter(answer: Any, options: Sequence[str]) -> int:
    """Return the index of the option with a letter, such as `B`, `(b)` or `B.`.

    Raises:
        ValueError: it is no letter of these options.
    """
    index = letter_index(answer)
    if index is None or index >= len(options):
        raise ValueError(f"the right answer {shorten(answer)} is no letter of the {len(options)} options")
    return index


def right_by_index(answer: Any, options: Sequence[str]) -> int:
    """Return the index of the right option where the file has it, counted from 0 on.

    Raises:
        ValueError: it is no such number.
    """
    if isinstance(answer, bool) or not isinstance(answer, int | str) or not re.fullmatch(r"\d{1,4}", str(answer)):
        raise ValueError(f"the right answer must be the number of an option from 0 on; got {shorten(answer)}")
    if int(answer) >= len(options):
        raise ValueError(f"the right answer is number {answer} from 0 on, and there are {len(options)} options")
    return int(answer)


def options_in_columns(record: Record, columns: Sequence[str]) -> list[str]:
    """Return the options that stand in columns of their own (A, B, ...), up to the first empty one.

    Raises:
        ValueError: an option stands behind an empty one.
    """
    texts = [filled(record.get(column)) for column in columns]
    found = texts[: texts.index("")] if "" in texts else texts
    if any(texts[len(found) :]):
        raise ValueError(f"option {columns[len(found)]} is empty, and there is one after it")
    return found


def filled(value: Any) -> str:
    """Return the text of a cell; "" for an empty one, also for one that is written as `nan`."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    text = str(value)
    return "" if text.strip().lower() in _EMPTY else text


def options_in_text(text: str, num_letters: int = 4) -> list[str]:
    """Return the options that a question lists at its end, such as `Options: A: yes, B: no` or `(a) Open (b) Closed`.

    Where none can be told apart, the letters themselves are the options: an answer that names a letter is read all the
    same.
    """
    for opened, closed, gap in ((r"\(", r"\)", r"\s*"), ("", r"[:.)]", r"\s")):
        starts = [match.end() for match in re.finditer(rf"(?<![^\s]){opened}[Aa]{closed}{gap}", text)]
        for start in reversed(starts):
            if found := _run(text, start, opened, closed + gap):
                return found
    return list(LETTERS[:num_letters])


def _run(text: str, start: int, opened: str, closed: str) -> list[str]:
    """Return the texts between the marks A, B, C, ... from `start`, the end of the mark A, on."""
    found: list[str] = []
    for letter in LETTERS[1:]:
        mark = re.compile(rf"[,;]?\s+{opened}[{letter}{letter.lower()}]{closed}").search(text, start)
        if mark is None:
            break
        found.append(text[start : mark.start()].strip())
        start = mark.end()
    last = text[start:].strip().split("\n")[0].strip()
    return [*found, last] if found and all(found) and last else []
