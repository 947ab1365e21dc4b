"""Questions that count only together: MMVP's pairs and NaturalBench's groups of four."""

from collections.abc import Callable, Mapping, Sequence

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.choices import options_in_text, right_by_letter
from eval.data.files import Files
from eval.data.hub import ChosenRecords, ParquetRecords, part_of, table_layouts
from eval.data.lettered import choice_row
from eval.data.rows import Part, media_part, text_of, value_of
from eval.data.tables import csv_records
from omni.media.item import shorten

# Two pairs of the authors' file have their answers exchanged: tsb0601/MMVP#30, EvolvingLMMs-Lab/lmms-eval#1018.
_CORRECTED = {99: "(b)", 100: "(a)", 279: "(b)", 280: "(a)"}
_MMVP_COLUMNS = ("Index", "Question", "Options", "Correct Answer")


def _mmvp_row(record: Record, files: Files) -> Row:
    number = _number(record)
    return _mmvp_item(record, media_part("image", files, f"MMVP Images/{number}.jpg", f"{number}.jpg"))


def _corrected(row: Callable[[Record, Files], Row]) -> Callable[[Record, Files], Row]:
    def corrected(record: Record, files: Files) -> Row:
        right = _CORRECTED.get(_number(record))
        return row(record if right is None else {**record, "Correct Answer": right}, files)

    return corrected


def _mirrored_mmvp_row(record: Record, files: Files) -> Row:
    return _mmvp_item(record, part_of("image", value_of(record, "image"), files))


def _number(record: Record) -> int:
    text = text_of(record, "Index")
    if not text.strip().isdecimal() or int(text) < 1:
        raise ValueError(f"'Index' must be a number from 1 on; got {shorten(text)}")
    return int(text)


def _mmvp_item(record: Record, picture: Part) -> Row:
    number = _number(record)
    options = options_in_text(text_of(record, "Options"), num_letters=0)
    right = right_by_letter(value_of(record, "Correct Answer"), options)
    pair = (number + 1) // 2  # rows 2i - 1 and 2i
    return choice_row(number, [picture], text_of(record, "Question"), options, right, group=f"pair {pair}")


def _read_mmvp(files: Files) -> Sequence[Record]:
    """Return the questions; the authors' file writes the name of its first column with a small L (`lndex`)."""
    records = csv_records(files.find("Questions.csv"), _MMVP_COLUMNS[1:])
    return [{"Index": record["lndex"], **record} if "lndex" in record else record for record in records]


# Kinds of NaturalBench's questions, with the options of each and how lmms-eval asks it.
_KINDS: Mapping[str, tuple[tuple[str, str], str]] = {
    "yes_no": (("Yes", "No"), "Please answer Yes or No."),
    "multiple_choice": (("A", "B"), "Please output the letter corresponding to the correct option."),
}


def _read_natural(files: Files) -> Sequence[Record]:
    """Return four rows of each group: both questions about both pictures."""
    answers = [f"Image_{picture}_Question_{question}" for question in (0, 1) for picture in (0, 1)]
    columns = ("Image_0", "Image_1", "Question_0", "Question_1", *answers)
    records = ParquetRecords(files, "*.parquet", columns)
    fours = [(question, picture) for question in (0, 1) for picture in (0, 1)]
    return ChosenRecords(
        records, [(i, {"question": q, "picture": p, "group": i}) for i in range(len(records)) for q, p in fours]
    )


def _natural_row(record: Record, files: Files) -> Row:
    question, picture = record["question"], record["picture"]
    return _natural_item(
        record,
        f"{record['group']}-{question}-{picture}",
        part_of("image", record[f"Image_{picture}"], files),
        text_of(record, f"Question_{question}"),
        # `Image_0_Question_1` is the answer to question 1 about picture 0.
        text_of(record, f"Image_{picture}_Question_{question}"),
        (question, picture),
    )


def _read_rowed_natural(files: Files) -> Sequence[Record]:
    records = ParquetRecords(files, "test-*.parquet", ("Index", "Image", "Question"))
    return ChosenRecords(records, [(i, {"group": int(index) // 4}) for i, index in enumerate(records.column("Index"))])


def _rowed_natural_row(record: Record, files: Files) -> Row:
    """Return one of the four rows of a group, in this order: question 0, question 1, each about picture 0, 1.

    The right answers follow from the order, as in lmms-eval: the first option for question 0 about picture 0 and
    question 1 about picture 1.
    """
    place = int(value_of(record, "Index")) % 4
    options, _ = _kind(record)
    picture = part_of("image", value_of(record, "Image"), files)
    id = f"{record['group']}-{place // 2}-{place % 2}"
    answer = options[0 if place in (0, 3) else 1]
    return _natural_item(record, id, picture, text_of(record, "Question"), answer, (place // 2, place % 2))


def _kind(record: Record) -> tuple[tuple[str, str], str]:
    kind = record.get("Question Type") or value_of(record, "Question_Type")  # the authors' card has the blank
    if kind not in _KINDS:
        raise ValueError(f"'Question_Type' must be {' or '.join(_KINDS)}; got {shorten(kind)}")
    return _KINDS[kind]


def _natural_item(record: Record, id: str, picture: Part, question: str, answer: str, numbers: tuple[int, int]) -> Row:
    options, instruction = _kind(record)
    said = answer.strip().rstrip(".").casefold()
    right = next((index for index, option in enumerate(options) if option.casefold() == said), None)
    if right is None:
        raise ValueError(f"the right answer must be {' or '.join(options)}; got {shorten(answer)}")
    return choice_row(
        id,
        [picture],
        question,
        options,
        right,
        instruction=instruction,
        group=str(record["group"]),
        group_size=4,
        question_number=numbers[0],
        picture_number=numbers[1],
    )


BENCHMARKS = (
    Benchmark(
        name="mmvp",
        title="MMVP (Tong et al. 2024, arXiv:2401.06209)",
        homepage="https://github.com/tsb0601/MMVP",
        licence="MIT",
        get="Questions.csv, and the folder `MMVP Images` with 1.jpg to 300.jpg",
        splits={
            "test": Split(
                (Layout("official", ("Questions.csv",), _read_mmvp, _mmvp_row),),
                num_items=300,
                note="150 pairs; two of them have their answers exchanged, as the authors gave them and papers report",
            ),
            "corrected": Split(
                (
                    Layout("official", ("Questions.csv",), _read_mmvp, _corrected(_mmvp_row)),
                    *table_layouts(
                        Hub("lmms-lab-eval/MMVP", "train"), (*_MMVP_COLUMNS, "image"), _corrected(_mirrored_mmvp_row)
                    ),
                ),
                num_items=300,
                note="150 pairs, the answers of 99, 100, 279 and 280 as lmms-eval corrects them",
            ),
        },
    ),
    Benchmark(
        name="naturalbench",
        title="NaturalBench (Li et al. 2024, arXiv:2410.14669)",
        homepage="https://huggingface.co/datasets/BaiqiL/NaturalBench",
        licence="Apache-2.0",
        get="the parquet files of BaiqiL/NaturalBench, or of BaiqiL/NaturalBench-lmms-eval, which has single questions",
        splits={
            "test": Split(
                (
                    Layout(
                        "mirrored table of single questions",
                        ("test-*.parquet",),
                        _read_rowed_natural,
                        _rowed_natural_row,
                        Hub("BaiqiL/NaturalBench-lmms-eval", "test"),
                    ),
                    Layout(
                        "mirrored table of groups",
                        ("*.parquet",),
                        _read_natural,
                        _natural_row,
                        Hub("BaiqiL/NaturalBench", "train"),
                    ),
                ),
                num_items=7_600,
                note="1,900 groups of two pictures and two questions",
            )
        },
    ),
)
