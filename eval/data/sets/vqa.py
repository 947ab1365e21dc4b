"""Questions about pictures that ten annotators answered: VQAv2 and those in its form."""

from collections.abc import Sequence

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import hub_layout, part_of
from eval.data.rows import by_key, media_part, question_row, text_of, texts_of, value_of
from eval.data.tables import json_list

QUESTIONS = "v2_OpenEnded_mscoco_val2014_questions.json"
ANNOTATIONS = "v2_mscoco_val2014_annotations.json"


def _read(files: Files) -> Sequence[Record]:
    """Return the questions, each with the answers of its annotation."""
    path = files.find(ANNOTATIONS)
    annotations = by_key(json_list(path, "annotations"), "question_id", path.name)
    questions = json_list(files.find(QUESTIONS), "questions")
    return [{**annotations.get(question.get("question_id"), {}), **question} for question in questions]


def _row(record: Record, files: Files) -> Row:
    number = value_of(record, "image_id")
    picture = f"COCO_val2014_{int(number):012d}.jpg"
    return question_row(
        value_of(record, "question_id"),
        [media_part("image", files, picture)],
        text_of(record, "question"),
        answers=texts_of(record, "answers", "answer"),
        answer_type=record.get("answer_type"),
        question_type=record.get("question_type"),
    )


def _mirrored_row(record: Record, files: Files) -> Row:
    return question_row(
        value_of(record, "question_id"),
        [part_of("image", value_of(record, "image"), files)],
        text_of(record, "question"),
        answers=texts_of(record, "answers", "answer"),
        answer_type=record.get("answer_type"),
        question_type=record.get("question_type"),
    )


BENCHMARKS = (
    Benchmark(
        name="vqav2",
        title="VQAv2 (Goyal et al. 2017, arXiv:1612.00837)",
        homepage="https://visualqa.org/download.html",
        licence="annotations CC BY 4.0; pictures of COCO under the terms of Flickr",
        get="questions and annotations of 2014 validation (v2), and the pictures val2014 of COCO",
        splits={
            "val": Split(
                (
                    Layout("official", (QUESTIONS, ANNOTATIONS), _read, _row),
                    hub_layout(
                        Hub("lmms-lab-encoder/VQAv2", "validation"),
                        ("image", "question_id", "question", "answers"),
                        _mirrored_row,
                    ),
                ),
                num_items=214_354,
            )
        },
    ),
)
