"""What the columns of a table hold, by their names: files, captions, questions with answers, conversations, ids."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FILE_COLUMNS = (
    *("file_name", "file", "path", "filename", "filepath", "file_path"),
    *("image", "image_path", "image_name", "img", "sound", "audio", "audio_path", "video", "video_path"),
)
CAPTION_COLUMNS = (
    *("caption", "captions", "text", "transcription", "transcript", "sentence", "sentences", "title", "description"),
    *("comment", "answer", "answers", "label"),
)
# A question belongs to an answer, so these come first where a table has both.
QUESTION_COLUMNS = ("question", "question_text", "query", "instruction", "prompt", "problem")
ANSWER_COLUMNS = ("answer", "multiple_choice_answer", "answers", "answer_text", "response", "output", "label")
_ALWAYS_ASKED = ("question", "question_text")  # a prompt may be the caption of a picture that it made, these are not

_NUMBERED_CAPTION = re.compile(r"(?:caption|sentence|text|title|description)_?(\d+)")  # Clotho: caption_1 ... caption_5


@dataclass(frozen=True)
class TextColumns:
    """The columns of the answer and of the question; None where there is none."""

    answer: str | None
    question: str | None

    @property
    def used(self) -> set[str]:
        """The columns that do not become `meta`."""
        return {name for name in (self.answer, self.question) if name is not None}


def find_text_columns(
    names: Sequence[str], not_text: Collection[str], answer: str | None = None, question: str | None = None
) -> TextColumns:
    """Return which of the columns `names` hold the answer and the question; upper and lower case are the same.

    Args:
        names: all columns.
        not_text: those among them that hold media or ids.
        answer: the column of the answer or caption, if it is known.
        question: the column of the question, if it is known; an empty text means none.
    """
    free = {name.lower(): name for name in reversed(names) if name not in not_text}
    asked = question if question is not None else next((name for name in QUESTION_COLUMNS if name in free), None)
    if answer is None and asked:
        answer = next((name for name in ANSWER_COLUMNS if name in free), None)
    if question is None and answer not in ANSWER_COLUMNS and asked not in _ALWAYS_ASKED:
        asked = None
    answer = answer or next((name for name in CAPTION_COLUMNS if name in free), None) or _first_numbered([*free])
    return TextColumns(free.get(answer or "", answer), free.get(asked or "", asked or None))


def texts_in(value: Any) -> list[str]:
    """Return the texts in a cell of captions or answers: one text, a list of them, or of `{"answer": text}` (VQAv2)."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return texts_in(next((value[key] for key in ("answer", "text", "caption", "raw") if key in value), None))
    return [text for item in value for text in texts_in(item)] if isinstance(value, list | tuple) else []


def _first_numbered(names: Sequence[str]) -> str | None:
    numbered = [(int(found[1]), name) for name in names if (found := _NUMBERED_CAPTION.fullmatch(name))]
    return min(numbered)[1] if numbered else None


def numbered_like(column: str, names: Sequence[str]) -> list[str]:
    """Return the columns of further captions of the same row, as `caption_2` is for `caption_1`, without `column`."""
    stem = column.rstrip("0123456789")
    if stem == column:
        return []
    return [name for name in names if name != column and name.rstrip("0123456789") == stem and name != stem]
