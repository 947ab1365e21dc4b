"""Multiple choice about pictures: SEED-Bench, MMStar, CV-Bench, BLINK, RealWorldQA."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.choices import options_in_text, right_by_letter
from eval.data.files import Files
from eval.data.hub import ChosenRecords, ParquetRecords, part_of, table_layouts
from eval.data.lettered import choice_row
from eval.data.letters import LETTERS
from eval.data.rows import Part, media_part, question_row, text_of, texts_of, value_of
from eval.data.tables import json_list

SEED = "SEED-Bench.json"
_SEED_OPTIONS = ("choice_a", "choice_b", "choice_c", "choice_d")


def _read_seed(files: Files) -> Sequence[Record]:
    """Return the questions about pictures; the file has those about videos too."""
    path = files.find(SEED)
    records = json_list(path, "questions")
    return [records[index] for index in _where([one.get("data_type") for one in records], "image", "data_type", path)]


def _read_mirrored_seed(files: Files) -> Sequence[Record]:
    columns = ("question_id", "question", *_SEED_OPTIONS, "answer", "image", "data_type")
    records = ParquetRecords(files, "test-*.parquet", columns)
    places = _where(records.column("data_type"), "image", "data_type", files.folder)
    return ChosenRecords(records, [(index, {}) for index in places])


def _where(values: Sequence[Any], wanted: str, key: str, place: Path) -> list[int]:
    found = [index for index, value in enumerate(values) if value == wanted]
    if not found:
        there = ", ".join(sorted({str(value) for value in values})) or "nothing"
        raise ValueError(f"{place} has no row whose {key!r} is {wanted!r}; found {there}")
    return found


def _seed_row(record: Record, files: Files) -> Row:
    name = text_of(record, "data_id")
    return _seed_item(record, [media_part("image", files, name, f"{name}.jpg", f"{name}.png")])


def _mirrored_seed_row(record: Record, files: Files) -> Row:
    pictures = value_of(record, "image")
    return _seed_item(record, [part_of("image", one, files) for one in _as_list(pictures)])


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _seed_item(record: Record, media: Sequence[Part]) -> Row:
    options = [text_of(record, key) for key in _SEED_OPTIONS]
    right = right_by_letter(value_of(record, "answer"), options)
    id, kind = value_of(record, "question_id"), record.get("question_type_id")
    return choice_row(id, media, text_of(record, "question"), options, right, question_type=kind)


def _mmstar_row(record: Record, files: Files) -> Row:
    """Return a question that lists its options itself (`Options: A: ..., B: ...`)."""
    question = text_of(record, "question").strip()
    options = options_in_text(question)
    return choice_row(
        value_of(record, "index"),
        [part_of("image", value_of(record, "image"), files)],
        question,
        options,
        right_by_letter(value_of(record, "answer"), options),
        category=record.get("category"),
    )


def _realworldqa_row(record: Record, files: Files) -> Row:
    """Return a question whose answer is a letter, or a word or number where it lists no options."""
    picture = part_of("image", value_of(record, "image"), files)
    return question_row(None, [picture], text_of(record, "question").strip(), answer=text_of(record, "answer"))


def _prompted_row(
    id_key: str, picture_keys: Sequence[str], category: Callable[[Record], str | None]
) -> Callable[[Record, Files], Row]:
    """Return the row of a question with its options in a list too, as CV-Bench and BLINK have it.

    `prompt` holds question and options in the authors' words, and the answer is a letter in brackets.
    """

    def row(record: Record, files: Files) -> Row:
        pictures = [part_of("image", record[key], files) for key in picture_keys if record.get(key) is not None]
        if not pictures:
            raise ValueError(f"has no image: {' and '.join(picture_keys)} are empty")
        options = texts_of(record, "choices")
        right = right_by_letter(value_of(record, "answer"), options)
        letters = ", ".join(LETTERS[: len(options)])
        meta = {"letters": letters, "category": category(record)}
        return choice_row(value_of(record, id_key), pictures, text_of(record, "prompt"), options, right, **meta)

    return row


_CV_COLUMNS = ("idx", "image", "prompt", "choices", "answer", "source")
_CV_SOURCES = {"ADE20K": "2D/ADE20K", "COCO": "2D/COCO", "Omni3D": "3D/Omni3D"}


def _cv_bench(source: str | None = None) -> Split:
    def read(files: Files) -> Sequence[Record]:
        records = ParquetRecords(files, "test*.parquet", _CV_COLUMNS)
        if source is None:
            return records
        places = _where(records.column("source"), source, "source", files.folder)
        return ChosenRecords(records, [(index, {}) for index in places])

    hub = Hub("nyu-visionx/CV-Bench", "test")
    row = _prompted_row("idx", ("image",), lambda record: _CV_SOURCES.get(str(record.get("source"))))
    layouts = (Layout("mirrored table", ("test*.parquet",), read, row, hub),)
    if source is None:
        note = "2D and 3D; CV-Bench = ((ADE20K + COCO) / 2 + Omni3D) / 2, which is `accuracy_by_category`"
        return Split(layouts, 2_638, note)
    return Split(layouts, note="2,638 with those of the other sources")


_BLINK_PICTURES = ("image_1", "image_2", "image_3", "image_4")
_BLINK_COLUMNS = ("idx", "prompt", "choices", "answer", *_BLINK_PICTURES)
_BLINK_ID = re.compile(r"(?:val|test)_(.+)_\d+")


def _read_blink(files: Files) -> Sequence[Record]:
    """Return the questions, each with the folder of its file, which is that of its configuration."""
    records = ParquetRecords(files, "val-*.parquet", _BLINK_COLUMNS)
    return ChosenRecords(records, [(index, {"folder": name}) for index, name in enumerate(records.folders())])


def _blink_task(record: Record) -> str | None:
    """Return which of the 14 tasks a question belongs to, by its column, by its id, or by the folder of its file."""
    found = _BLINK_ID.fullmatch(str(record.get("idx")))
    named = record.get("sub_task") or (found[1] if found else record["folder"])
    return str(named).replace("/", " ")


BENCHMARKS = (
    Benchmark(
        name="seed-bench",
        title="SEED-Bench, the questions about pictures (Li et al. 2023, arXiv:2307.16125)",
        homepage="https://github.com/AILab-CVC/SEED-Bench",
        licence="CC BY-NC 4.0 (annotations); pictures of CC3M, whose owners keep their rights",
        get="SEED-Bench.json and the pictures SEED-Bench-image",
        splits={
            "image": Split(
                (
                    Layout("official", (SEED,), _read_seed, _seed_row),
                    Layout(
                        "mirrored table",
                        ("test-*.parquet",),
                        _read_mirrored_seed,
                        _mirrored_seed_row,
                        Hub("lmms-lab-encoder/SEED-Bench", "test"),
                    ),
                ),
                num_items=14_233,
                note="nine dimensions; copies with 14,232 are about",
            )
        },
    ),
    Benchmark(
        name="mmstar",
        title="MMStar (Chen et al. 2024, arXiv:2403.20330)",
        homepage="https://mmstar-benchmark.github.io",
        licence="not stated by the authors; questions and pictures of six other sets",
        get="the parquet file of Lin-Chen/MMStar",
        splits={
            "val": Split(
                (
                    *table_layouts(
                        Hub("Lin-Chen/MMStar", "val"),
                        ("index", "question", "image", "answer", "category"),
                        _mmstar_row,
                        "mmstar*.parquet",
                    ),
                ),
                num_items=1_500,
            )
        },
    ),
    Benchmark(
        name="realworldqa",
        title="RealWorldQA (xAI 2024)",
        homepage="https://huggingface.co/datasets/xai-org/RealworldQA",
        licence="CC BY-ND 4.0",
        get="the parquet files of xai-org/RealworldQA, or of lmms-lab-encoder/RealWorldQA",
        splits={
            "test": Split(
                (
                    *table_layouts(
                        Hub("lmms-lab-encoder/RealWorldQA", "test"), ("image", "question", "answer"), _realworldqa_row
                    ),
                ),
                num_items=765,
            )
        },
    ),
    Benchmark(
        name="cv-bench",
        title="CV-Bench (Tong et al. 2024, arXiv:2406.16860)",
        homepage="https://huggingface.co/datasets/nyu-visionx/CV-Bench",
        licence="Apache-2.0 (annotations); pictures of ADE20K, COCO and Omni3D",
        get="test_2d.parquet and test_3d.parquet",
        splits={
            "all": _cv_bench(),
            "ade20k": _cv_bench("ADE20K"),
            "coco": _cv_bench("COCO"),
            "omni3d": _cv_bench("Omni3D"),
        },
    ),
    Benchmark(
        name="blink",
        title="BLINK, validation (Fu et al. 2024, arXiv:2404.12390)",
        homepage="https://huggingface.co/datasets/BLINK-Benchmark/BLINK",
        licence="Apache-2.0 (annotations); pictures of many sets",
        get="the parquet files of val of all 14 configurations; the answers of test are not public",
        splits={
            "val": Split(
                (
                    Layout(
                        "mirrored table",
                        ("val-*.parquet",),
                        _read_blink,
                        _prompted_row("idx", _BLINK_PICTURES, _blink_task),
                        Hub("BLINK-Benchmark/BLINK", "val", "each of the 14 tasks"),
                    ),
                ),
                num_items=1_901,
                note="BLINK's own figure is the mean over its 14 tasks, `accuracy_by_category`",
            )
        },
    ),
)
