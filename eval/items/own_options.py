"""The candidates that a row of the data brings, and which of them is right."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.data.lettered import written_list
from eval.data.letters import letter_index
from eval.items.spellings import one_spelling
from omni.media.item import shorten

_INDEX = re.compile(r"\d{1,6}")


def read_options(meta: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the candidates under `key` of a row: a list of texts, or one that is written as JSON or Python.

    Raises:
        ValueError: there are none, fewer than two, or something that is no text.
    """
    if key not in meta or meta[key] is None:
        raise ValueError(f"has no candidates {key!r} in its row; {nearest_key(key, meta)}")
    value = meta[key]
    if isinstance(value, str):
        value = _written_list(value, key)
    found = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(found, list | tuple):
        raise ValueError(f"{key!r} must be a list of candidates; got {shorten(found)}")
    wrong = [
        one for one in found if isinstance(one, bool) or not isinstance(one, str | int | float) or not str(one).strip()
    ]
    if wrong:
        raise ValueError(f"{key!r} must be a list of texts; got {shorten(wrong[0])} in it")
    if len(found) < 2:
        raise ValueError(f"{key!r} has {len(found)} candidate; a choice needs at least two")
    return tuple(str(one).strip() for one in found)


def nearest_key(key: str, meta: Mapping[str, Any]) -> str:
    """Return what to say where a row has no `key`, or nothing under it: the nearest of its keys, and all of them."""
    if key in meta:
        return "there is nothing under it"
    lowered = {str(name).casefold(): str(name) for name in meta}
    closest = difflib.get_close_matches(key.casefold(), lowered, n=1)
    return f"{f'did you mean {lowered[closest[0]]!r}? ' if closest else ''}found {sorted(map(str, meta))}"


def right_option(target: str, options: Sequence[str], right_by: str) -> int:
    """Return the index of the right candidate.

    Args:
        target: what the row says is right.
        options: the candidates.
        right_by: what it names it by: `text`, `index` from 0 on, or `letter` from A on.

    Raises:
        ValueError: it is none of the candidates.
    """
    said = target.strip()
    if right_by == "text":
        index = _index_of_text(said, options)
    elif right_by == "index":
        index = int(said) if _INDEX.fullmatch(said) else len(options)
    else:
        named = letter_index(said)
        index = len(options) if named is None else named
    if index >= len(options):
        raise ValueError(
            f"the right answer {target!r} is no {right_by} of the {len(options)} candidates {shorten([*options])}"
        )
    return index


def _index_of_text(said: str, options: Sequence[str]) -> int:
    if said in options:
        return options.index(said)
    *spelled, own = one_spelling([*options, said])
    return spelled.index(own) if own in spelled else len(options)


def _written_list(text: str, key: str) -> Any:
    try:
        return written_list(text)
    except ValueError:
        raise ValueError(f"{key!r} must be a list of candidates; got the text {shorten(text)}") from None
