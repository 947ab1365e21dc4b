"""MMMU: college questions with up to seven pictures between their words and in their options."""

import ast
import json
import re
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Record, Row, Split
from eval.data.choices import right_by_letter
from eval.data.files import Files
from eval.data.hub import parquet_layout, part_of
from eval.data.lettered import choice_meta
from eval.data.letters import LETTERS
from eval.data.rows import Part, text_of, value_of
from omni.media.item import shorten

# As lmms-eval asks either kind of question.
CHOICE = "Answer with the option's letter from the given choices directly."
OPEN = "Answer the question using a single word or phrase."

_MARK = re.compile(r"<image (\d+)>")


def _row(record: Record, files: Files) -> Row:
    """Return a question whose pictures stand where its marks are.

    An option that is a picture keeps its mark before it, so that the option has a text that an answer can be compared
    with. A picture that no mark names stands at the head.
    """
    kind = text_of(record, "question_type")
    if kind not in ("multiple-choice", "open"):
        raise ValueError(f"'question_type' must be multiple-choice or open, not {kind!r}")
    question = text_of(record, "question")
    meta: dict[str, Any] = {"question_type": kind, "subfield": record.get("subfield")}
    content = _with_pictures(question, record, files, keep_marks=False)
    named = {int(number) for number in _MARK.findall(question)}
    if kind == "multiple-choice":
        options = _written_list(value_of(record, "options"))
        meta |= choice_meta(options, right_by_letter(value_of(record, "answer"), options))
        listed = "".join(f"\n{LETTERS[index]}. {text.strip()}" for index, text in enumerate(options))
        content += _with_pictures(listed, record, files, keep_marks=True)
        named |= {int(number) for number in _MARK.findall(listed)}
        meta["instruction"] = CHOICE
    else:
        answer = text_of(record, "answer")
        meta |= {"answer": _written_list(answer) if answer.startswith("[") else [answer], "instruction": OPEN}
    spare = [number for number in range(1, 8) if number not in named and record.get(f"image_{number}") is not None]
    head = [part_of("image", record[f"image_{number}"], files) for number in spare]
    return {
        "id": text_of(record, "id"),
        "messages": [{"role": "user", "content": [*head, *content]}],
        "meta": meta,
    }


def _with_pictures(text: str, record: Record, files: Files, *, keep_marks: bool) -> list[Part]:
    parts: list[Part] = []
    position = 0
    for mark in _MARK.finditer(text):
        before = text[position : mark.end() if keep_marks else mark.start()]
        if before:
            parts.append({"type": "text", "text": before})
        picture = record.get(f"image_{mark[1]}")
        if picture is None:
            raise ValueError(f"the text has the mark {mark[0]}, and there is no image_{mark[1]}")
        parts.append(part_of("image", picture, files))
        position = mark.end()
    if text[position:]:
        parts.append({"type": "text", "text": text[position:]})
    return parts


def _written_list(value: Any) -> list[str]:
    """Return a list of texts that is written as Python (as the hub has it) or as JSON."""
    found = value
    if isinstance(value, str):
        for read in (ast.literal_eval, json.loads):
            try:
                found = read(value)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    if not isinstance(found, list | tuple) or not all(isinstance(one, str | int | float) for one in found):
        raise ValueError(f"must be a list of texts, written as Python or JSON; got {shorten(value)}")
    return [str(one) for one in found]


_COLUMNS = ("id", "question", "options", "answer", "question_type", "image_1")


def _split(split: str, num_items: int) -> Split:
    # In both mirrors the files are named by split; the authors' has a folder for each of 30 subjects.
    hub = Hub("MMMU/MMMU", split, "each of the 30 subjects")
    return Split((parquet_layout(hub, f"{split}-*.parquet", _COLUMNS, _row),), num_items)


BENCHMARKS = (
    Benchmark(
        name="mmmu",
        title="MMMU (Yue et al. 2023, arXiv:2311.16502)",
        homepage="https://mmmu-benchmark.github.io",
        licence="Apache-2.0 (annotations); the questions come from textbooks and the web",
        get="the parquet files of MMMU/MMMU, all 30 subjects, or those of lmms-lab-encoder/MMMU, which has them in one "
        "configuration; the answers of test are not public",
        splits={"validation": _split("validation", 900), "dev": _split("dev", 150)},
    ),
)
