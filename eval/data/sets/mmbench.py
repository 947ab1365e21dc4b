"""MMBench and CCBench: multiple choice in which a question counts once, over all rotations of its options."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.choices import filled, options_in_columns, right_by_letter
from eval.data.files import Files
from eval.data.hub import ParquetRecords, part_of
from eval.data.lettered import choice_row, plain_options
from eval.data.letters import LETTERS
from eval.data.rows import Part, text_of, value_of
from eval.data.tables import csv_records

_ROTATION = 1_000_000  # a rotation's index is that of its question and a multiple of this
_OPTIONS = "ABCDE"
_SHORT = 64  # characters; no picture, but the index of the row that has it


def _index(record: Record) -> int:
    value = value_of(record, "index")
    try:
        return int(float(value)) if isinstance(value, str) else int(value)
    except (ValueError, OverflowError):
        raise ValueError(f"'index' must be a number; got {value!r}") from None


def with_rotations(records: Sequence[Record]) -> list[Record]:
    """Return the rows with all rotations of the options of each question.

    Where the file has rotations of a question, they are taken as they are; where it has the question once, they are
    made: in rotation k the options begin with the option k. A row that cannot be rotated stays as it is.
    """
    by_question: dict[int | None, list[Record]] = defaultdict(list)
    for record in records:
        by_question[_question(record)].append(record)
    found: list[Record] = []
    for question, rows in by_question.items():
        if question is not None and len(rows) == 1:
            rows = _rotations(rows[0], question)
        found += [{**row, **({} if question is None else {"index": _index(row)}), "group": question} for row in rows]
    return found


def _question(record: Record) -> int | None:
    try:
        return _index(record) % _ROTATION
    except ValueError:  # said when the row is made
        return None


def _rotations(record: Record, question: int) -> list[Record]:
    try:
        options = plain_options(options_in_columns(record, _OPTIONS))
        right = right_by_letter(value_of(record, "answer"), options)
    except ValueError:  # said when the row is made
        return [record]
    return [
        {
            **record,
            "index": question + turn * _ROTATION,
            **dict(zip(_OPTIONS, options[turn:] + options[:turn], strict=False)),
            "answer": LETTERS[(right - turn) % len(options)],
        }
        for turn in range(len(options))
    ]


def _read_tsv(names: tuple[str, ...]) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        path = files.find(*names)
        records = csv_records(path, ("index", "image", "question", "A", "B", "answer"), separator="\t")
        pictures = {_plain(one["index"]): one["image"] for one in records if len(one["image"]) >= _SHORT}
        return with_rotations([{**record, "image": _picture(record["image"], pictures)} for record in records])

    return read


def _picture(cell: str, pictures: dict[str, str]) -> str:
    """Return the base64 text of a picture; a short cell is the index of the row that has it, and stays if none has."""
    return pictures.get(_plain(cell), cell)


def _plain(number: str) -> str:
    """Return how an index is written without what tables of numbers add: `8.0` is `8`."""
    return number.strip().removesuffix(".0")


def _read_table(pattern: str) -> Callable[[Files], Sequence[Record]]:
    columns = ("index", "image", "question", "A", "B", "answer")

    def read(files: Files) -> Sequence[Record]:
        return with_rotations(list(ParquetRecords(files, pattern, columns)))

    return read


def _row(record: Record, files: Files) -> Row:
    picture: Any = record.get("image")
    if isinstance(picture, str) and 0 < len(picture) < _SHORT:
        raise ValueError(f"its picture is that of row {picture!r}, and no such row has one")
    part: Part = (
        {"type": "image", "bytes": text_of(record, "image")}
        if isinstance(picture, str)
        else part_of("image", picture, files)
    )
    options = options_in_columns(record, _OPTIONS)
    hint = filled(record.get("hint"))
    return choice_row(
        _index(record),
        [part],
        text_of(record, "question"),
        options,
        right_by_letter(value_of(record, "answer"), options),
        hint=f"{hint} " if hint else "",
        group=record["group"],
        category=record.get("category"),
    )


def _split(names: tuple[str, ...], hub: Hub | None, num_items: int | None, note: str) -> Split:
    layouts = [Layout("official", (names,), _read_tsv(names), _row)]
    if hub is not None:
        pattern = f"{hub.config}/{hub.split}-*.parquet"
        layouts.append(Layout("mirrored table", (pattern,), _read_table(pattern), _row, hub))
    return Split(tuple(layouts), num_items, note)


_NOTE = "rows, one for each rotation of the options; 1,164 questions. Rotations that a file lacks are made"
_EARLIER = "; the file of July 2023 has 4,377"
_HUB = "lmms-lab-encoder/MMBench"
BENCHMARKS = (
    Benchmark(
        name="mmbench",
        title="MMBench and CCBench (Liu et al. 2023, arXiv:2307.06281)",
        homepage="https://github.com/open-compass/MMBench",
        licence="Apache-2.0 (annotations); pictures of several sources",
        get="MMBench_DEV_EN.tsv, MMBench_DEV_CN.tsv, CCBench.tsv, with the pictures in them; the answers of test "
        "are not public",
        splits={
            "dev-en": _split(
                ("MMBench_DEV_EN.tsv", "mmbench_dev_en_20231003.tsv", "mmbench_dev_20230712.tsv"),
                Hub(_HUB, "dev", "en"),
                4_329,
                _NOTE + _EARLIER,
            ),
            "dev-cn": _split(
                ("MMBench_DEV_CN.tsv", "mmbench_dev_cn_20231003.tsv"), Hub(_HUB, "dev", "cn"), 4_329, _NOTE
            ),
            "dev-en-v11": _split(
                ("MMBench_DEV_EN_V11.tsv",),
                None,
                None,
                "version 1.1; its number of rows is not stated by its authors",
            ),
            "cc": _split(
                ("CCBench.tsv",),
                Hub(_HUB, "test", "cc"),
                2_040,
                "rows, one a rotation; 510 questions, in Chinese",
            ),
        },
    ),
)
