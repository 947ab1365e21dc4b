"""Conversations of records: the parts that most benchmarks share."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval.data.benchmark import Record, Row
from eval.data.files import Files
from omni.media.item import shorten

Part = dict[str, Any]


def media_part(modality: str, files: Files, *names: str, **details: Any) -> Part:
    """Return the part of a message for the first of these files that is there.

    Args:
        modality: its kind.
        files: of the benchmark.
        names: file names, or ends of paths (see `Files.find`).
        details: other keys of the part, such as `options={"start": 1.0, "end": 2.0}`.

    Raises:
        FileNotFoundError: none is there.
    """
    return {"type": modality, "path": str(files.find(*names)), **details}


def question_row(id: Any, media: Sequence[Part], question: str = "", **meta: Any) -> Row:
    """Return a conversation of one turn: media, then the question.

    Args:
        id: the item's, a text or a number; unique in its split. None = there is none, and its place names it.
        media: parts, in their order.
        question: what is asked; empty where a task's prompt says it.
        meta: what else the item has: its right answers, options, label, `group`, ...
    """
    text = [{"type": "text", "text": question}] if question else []
    own = {} if id is None else {"id": str(id)}
    return {**own, "messages": [{"role": "user", "content": [*media, *text]}], "meta": meta}


def joined(content: Sequence[Part]) -> list[Part]:
    """Return the parts of a turn with neighbouring texts as one, and without empty ones."""
    found: list[Part] = []
    for part in content:
        if part["type"] == "text" and found and found[-1]["type"] == "text":
            found[-1] = {"type": "text", "text": found[-1]["text"] + part["text"]}
        elif part["type"] != "text" or part["text"]:
            found.append(part)
    return found


def text_of(record: Record, key: str) -> str:
    """Return the text under a key of a record.

    Raises:
        ValueError: there is none, with what is there.
    """
    value = value_of(record, key)
    if not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).strip():
        raise ValueError(f"{key!r} must be a text; got {shorten(value)}")
    return str(value)


def value_of(record: Record, key: str) -> Any:
    """Return the value under a key of a record.

    Raises:
        ValueError: there is none, with what is there.
    """
    if key not in record or record[key] is None:
        raise ValueError(f"has no {key!r}; found {', '.join(map(str, record))}")
    return record[key]


def texts_of(record: Record, key: str, inner: str | None = None) -> list[str]:
    """Return the list of texts under a key; with `inner`, of the objects in that list the text under it.

    Raises:
        ValueError: it is no such list, or empty.
    """
    values = value_of(record, key)
    if not isinstance(values, Sequence) or isinstance(values, str | bytes) or not values:
        raise ValueError(f"{key!r} must be a list that is not empty; got {shorten(values)}")
    found = []
    for value in values:
        if inner is not None and isinstance(value, Mapping):
            value = value.get(inner)
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise ValueError(f"{key!r} must be a list of texts; got {shorten(value)} in it")
        found.append(str(value))
    return found


def ten_answers(record: Record) -> list[str]:
    """Return the answers of the ten annotators under `answers`, as texts or as objects with an `answer`.

    Raises:
        ValueError: there are more or fewer, with which VQA accuracy is another measure: of two that agree, either
            answer would score a third.
    """
    found = texts_of(record, "answers", "answer")
    if len(found) != 10:
        raise ValueError(
            f"'answers' has {len(found)} answers, where those of ten annotators must be; get the file again"
        )
    return found


def by_key(records: Sequence[Record], key: str, what: str) -> dict[Any, Record]:
    """Return records by the value of a key.

    Raises:
        ValueError: one lacks the key, or two have the same value.
    """
    found: dict[Any, Record] = {}
    for record in records:
        value = value_of(record, key)
        if value in found:
            raise ValueError(f"{what}: {key} {value!r} is there twice")
        found[value] = record
    return found
