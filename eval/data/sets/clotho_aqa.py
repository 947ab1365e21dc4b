"""ClothoAQA: questions about sounds, each answered by three annotators in rows that follow each other."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import hub_layout, part_of
from eval.data.rows import media_part, question_row, text_of, value_of
from eval.data.tables import csv_records

_ANNOTATORS = 3


def _clotho_aqa(split: str, *, unanimous: bool, hub: Hub | None = None) -> tuple[Layout, ...]:
    name = f"clotho_aqa_{split}.csv"

    def read(files: Files) -> Sequence[Record]:
        rows = csv_records(files.find(name), ("file_name", "QuestionText", "answer"))
        questions = _questions(rows)
        return [one for one in questions if len({*one["answers"]}) == 1] if unanimous else questions

    official = Layout("official", (name,), read, _clotho_aqa_row)
    columns = ("audio", "question", "answer")
    return (official,) if hub is None else (official, hub_layout(hub, columns, _mirrored_clotho_aqa_row))


def _questions(rows: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a record a question: rows of one question follow each other, one for each of three annotators."""
    found = []
    for (file, question), group in groupby(rows, lambda row: (row["file_name"].strip(), row["QuestionText"].strip())):
        answers = [row["answer"].strip().lower() for row in group]
        for first in range(0, len(answers), _ANNOTATORS):
            own = answers[first : first + _ANNOTATORS]
            number = f"{len(found) + 1}"
            found.append({"id": number, "file_name": file, "question": question, "answers": own})
    return found


def _clotho_aqa_row(record: Record, files: Files) -> Row:
    answers = record["answers"]  # one can be blank, and counts
    if len(answers) != _ANNOTATORS:
        raise ValueError(
            f"the question {record['question']!r} about {record['file_name']} has {len(answers)} answers, "
            f"where {_ANNOTATORS} rows one after the other must have one each"
        )
    media = [media_part("sound", files, record["file_name"])]
    first = next(filter(None, answers), "")
    return question_row(record["id"], media, text_of(record, "question"), answers=answers, answer=first)


def _mirrored_clotho_aqa_row(record: Record, files: Files) -> Row:
    answer = text_of(record, "answer").strip()
    media = [part_of("sound", value_of(record, "audio"), files)]
    return question_row(None, media, text_of(record, "question"), answers=[answer], answer=answer)


BENCHMARKS = (
    Benchmark(
        name="clotho-aqa",
        title="ClothoAQA (Lipping et al. 2022, arXiv:2204.09634)",
        homepage="https://zenodo.org/records/6473207",
        licence="questions MIT; sounds: the Creative Commons licence of each",
        get="clotho_aqa_test.csv and audio_files.zip, unpacked",
        splits={
            "test": Split(_clotho_aqa("test", unanimous=False), num_items=2_838),
            "test-unanimous": Split(
                _clotho_aqa(
                    "test",
                    unanimous=True,
                    hub=Hub("lmms-lab-audio/ClothoAQA", "clotho_aqa_test_filtered", "clotho_aqa"),
                ),
                note="the questions whose three annotators agree; whether the mirror is filtered so is not verified",
            ),
            "val": Split(_clotho_aqa("val", unanimous=False)),
            "train": Split(_clotho_aqa("train", unanimous=False)),
        },
    ),
)
