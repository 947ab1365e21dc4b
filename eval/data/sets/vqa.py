"""Questions about pictures of COCO that ten annotators answered: VQAv2 and OK-VQA, in the form of the VQA challenge."""

from collections.abc import Sequence

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import part_of, table_layouts
from eval.data.rows import by_key, media_part, question_row, ten_answers, text_of, value_of
from eval.data.tables import json_list

VQAV2 = ("v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json")
OK_VQA = ("OpenEnded_mscoco_val2014_questions.json", "mscoco_val2014_annotations.json")


def _official(questions: str, annotations: str) -> Layout:
    def read(files: Files) -> Sequence[Record]:
        """Return the questions, each with the answers of its annotation."""
        path = files.find(annotations)
        found = by_key(json_list(path, "annotations"), "question_id", path.name)
        asked = json_list(files.find(questions), "questions")
        return [{**found.get(question.get("question_id"), {}), **question} for question in asked]

    return Layout("official", (questions, annotations), read, _row)


def _row(record: Record, files: Files) -> Row:
    number = value_of(record, "image_id")
    picture = f"COCO_val2014_{int(number):012d}.jpg"
    return question_row(
        value_of(record, "question_id"),
        [media_part("image", files, picture)],
        text_of(record, "question"),
        # OK-VQA also has `raw_answer`, before spelling and word forms were made one
        answers=ten_answers(record),
        answer_type=record.get("answer_type"),
        question_type=record.get("question_type"),
    )


def _mirrored_row(record: Record, files: Files) -> Row:
    return question_row(
        value_of(record, "question_id"),
        [part_of("image", value_of(record, "image"), files)],
        text_of(record, "question"),
        answers=ten_answers(record),
        answer_type=record.get("answer_type"),
        question_type=record.get("question_type"),
    )


_COLUMNS = ("image", "question_id", "question", "answers")
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
                    _official(*VQAV2),
                    *table_layouts(Hub("lmms-lab-encoder/VQAv2", "validation"), _COLUMNS, _mirrored_row),
                ),
                num_items=214_354,
            )
        },
    ),
    Benchmark(
        name="ok-vqa",
        title="OK-VQA (Marino et al. 2019, arXiv:1906.00067)",
        homepage="https://okvqa.allenai.org/download.html",
        licence="annotations: not stated by the authors; pictures of COCO under the terms of Flickr",
        get="testing questions and annotations (version 1.1), and the pictures val2014 of COCO; VQA version 1 has "
        "files of the same names, and is another set",
        splits={
            "val": Split(
                (
                    _official(*OK_VQA),
                    *table_layouts(Hub("lmms-lab-encoder/OK-VQA", "val2014"), _COLUMNS, _mirrored_row),
                ),
                num_items=5_046,
                note="five annotators, each of whose answers stands twice",
            )
        },
    ),
)
