"""Questions about pictures with short answers, in forms of their own: VizWiz-VQA, TextVQA and GQA."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import ParquetRecords, ReadRecords, part_of, table_layouts
from eval.data.rows import Part, media_part, question_row, ten_answers, text_of, value_of
from eval.data.tables import json_list, read_json
from omni.media.item import shorten

TEXTVQA = "TextVQA_0.5.1_val.json"


def _annotated_row(id_key: str, picture: Callable[[Record, Files], Part]) -> Callable[[Record, Files], Row]:
    """Return the row of a question that several annotators answered."""

    def row(record: Record, files: Files) -> Row:
        question = text_of(record, "question")
        return question_row(
            value_of(record, id_key),
            [picture(record, files)],
            question,
            answers=ten_answers(record),
            # The first letter large and all others small, as lmms-eval asks these two sets.
            capitalized=question.capitalize(),
            answer_type=record.get("answer_type"),
        )

    return row


def _picture_by(key: str, ending: str = "") -> Callable[[Record, Files], Part]:
    return lambda record, files: media_part("image", files, f"{text_of(record, key)}{ending}")


def _picture_in_cell(record: Record, files: Files) -> Part:
    return part_of("image", value_of(record, "image"), files)


def _read_gqa(name: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        """Return the questions, which the file has by their ids."""
        path = files.find(name)
        found = read_json(path)
        if not isinstance(found, Mapping) or not all(isinstance(one, Mapping) for one in found.values()):
            raise ValueError(f"{path} must hold an object of questions by their ids, got {shorten(found)}")
        return [{"id": id, **question} for id, question in found.items()]

    return read


def _gqa_row(record: Record, files: Files) -> Row:
    return _gqa_item(record, media_part("image", files, f"{text_of(record, 'imageId')}.jpg"))


def _gqa_item(record: Record, picture: Part) -> Row:
    types = record.get("types")
    return question_row(
        value_of(record, "id"),
        [picture],
        text_of(record, "question"),
        answer=text_of(record, "answer"),
        full_answer=record.get("fullAnswer"),
        types=dict(types) if isinstance(types, Mapping) else None,
    )


class _MirroredGQA(ReadRecords):
    """The questions of a mirror, each with its picture, which stands in a table of its own."""

    def __init__(self, files: Files, questions: str, pictures: str) -> None:
        self._questions = ParquetRecords(files, questions, ("imageId", "question", "answer"))
        self._pictures = ParquetRecords(files, pictures, ("id", "image"))
        self._places = {id: index for index, id in enumerate(self._pictures.column("id"))}

    def __len__(self) -> int:
        return len(self._questions)

    def at(self, index: int) -> Record:
        """See `ReadRecords`."""
        question: dict[str, Any] = {**self._questions[index]}
        place = self._places.get(question["imageId"])
        question.setdefault("id", f"question {index + 1}")
        return {**question, "image": None if place is None else self._pictures[place]["image"]}

    def place(self, index: int) -> str:
        """See `ReadRecords`."""
        return self._questions.place(index)


def _mirrored_gqa_row(record: Record, files: Files) -> Row:
    if record["image"] is None:
        raise FileNotFoundError(f"picture {record['imageId']!r} is not in the table of pictures")
    return _gqa_item(record, _picture_in_cell(record, files))


def _gqa_split(split: str, num_items: int) -> Split:
    name = f"{split}_balanced_questions.json"
    questions, pictures = (f"{split}_balanced_{kind}/*.parquet" for kind in ("instructions", "images"))
    mirror = Layout(
        "mirrored table",
        (questions, pictures),
        lambda files: _MirroredGQA(files, questions, pictures),
        _mirrored_gqa_row,
        Hub("lmms-lab-encoder/GQA", split, f"{split}_balanced_instructions"),
    )
    return Split((Layout("official", (name,), _read_gqa(name), _gqa_row), mirror), num_items)


BENCHMARKS = (
    Benchmark(
        name="vizwiz",
        title="VizWiz-VQA (Gurari et al. 2018, arXiv:1802.08218)",
        homepage="https://vizwiz.org/tasks-and-datasets/vqa/",
        licence="CC BY 4.0",
        get="Annotations (val.json) and the pictures val; the answers of test are not public",
        splits={
            "val": Split(
                (
                    Layout(
                        "official",
                        (("Annotations/val.json", "val.json"),),
                        lambda files: json_list(files.find("Annotations/val.json", "val.json")),
                        _annotated_row("image", _picture_by("image")),
                    ),
                    *table_layouts(
                        Hub("lmms-lab-encoder/VizWiz-VQA", "val"),
                        ("image", "question_id", "question", "answers"),
                        _annotated_row("question_id", _picture_in_cell),
                    ),
                ),
                num_items=4_319,
            )
        },
    ),
    Benchmark(
        name="textvqa",
        title="TextVQA 0.5.1 (Singh et al. 2019, arXiv:1904.08920)",
        homepage="https://textvqa.org/dataset/",
        licence="annotations CC BY 4.0; pictures of Open Images, CC BY 2.0",
        get="the questions of val (TextVQA_0.5.1_val.json), whose pictures are in the archive of train_images",
        splits={
            "val": Split(
                (
                    Layout(
                        "official",
                        (TEXTVQA,),
                        lambda files: json_list(files.find(TEXTVQA), "data"),
                        _annotated_row("question_id", _picture_by("image_id", ".jpg")),
                    ),
                    *table_layouts(
                        Hub("lmms-lab-encoder/textvqa", "validation"),
                        ("image", "question_id", "question", "answers"),
                        _annotated_row("question_id", _picture_in_cell),
                    ),
                ),
                num_items=5_000,
            )
        },
    ),
    Benchmark(
        name="gqa",
        title="GQA, balanced (Hudson and Manning 2019, arXiv:1902.09506)",
        homepage="https://cs.stanford.edu/people/dorarad/gqa/download.html",
        licence="annotations CC BY 4.0; pictures of Visual Genome, CC BY 4.0",
        get="questions (testdev_balanced_questions.json, val_balanced_questions.json) and the pictures",
        splits={"testdev": _gqa_split("testdev", 12_578), "val": _gqa_split("val", 132_062)},
    ),
)
