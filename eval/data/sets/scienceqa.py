"""ScienceQA: multiple-choice questions from schools, some with a picture."""

from collections.abc import Callable, Mapping, Sequence

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.choices import filled, right_by_index
from eval.data.files import Files
from eval.data.hub import parquet_layout, part_of
from eval.data.lettered import choice_row
from eval.data.rows import Part, media_part, text_of, texts_of, value_of
from eval.data.tables import read_json
from omni.media.item import shorten

PROBLEMS = "problems.json"


def _read(with_picture: bool) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        """Return the problems of the test split; the file has those of all splits by their numbers."""
        path = files.find(PROBLEMS)
        found = read_json(path)
        if not isinstance(found, Mapping) or not all(isinstance(one, Mapping) for one in found.values()):
            raise ValueError(f"{path} must hold an object of problems by their numbers, got {shorten(found)}")
        problems = [{"id": id, **problem} for id, problem in found.items() if problem.get("split") == "test"]
        if not problems:
            raise ValueError(f"{path} has no problem whose 'split' is 'test'")
        return [problem for problem in problems if not with_picture or filled(problem.get("image"))]

    return read


def _row(record: Record, files: Files) -> Row:
    name = filled(record.get("image"))
    return _item(record, [media_part("image", files, f"test/{value_of(record, 'id')}/{name}")] if name else [])


def _mirrored_row(record: Record, files: Files) -> Row:
    picture = record["image"]
    return _item(record, [] if picture is None else [part_of("image", picture, files)])


def _item(record: Record, media: Sequence[Part]) -> Row:
    options = texts_of(record, "choices")
    hint = filled(record.get("hint"))
    return choice_row(
        record.get("id"),
        media,
        text_of(record, "question"),
        options,
        right_by_index(value_of(record, "answer"), options),
        context=f"Context: {hint}\n" if hint else "",
        subject=record.get("subject"),
    )


def _split(name: str, num_items: int, with_picture: bool) -> Split:
    columns = ("image", "question", "choices", "answer", "hint")
    hub = Hub("lmms-lab-encoder/ScienceQA", "test", name)
    layouts = (
        Layout("official", (PROBLEMS,), _read(with_picture), _row),
        parquet_layout(hub, f"{name}/test-*.parquet", columns, _mirrored_row),
    )
    return Split(layouts, num_items)


BENCHMARKS = (
    Benchmark(
        name="scienceqa",
        title="ScienceQA (Lu et al. 2022, arXiv:2209.09513)",
        homepage="https://github.com/lupantech/ScienceQA",
        licence="CC BY-NC-SA 4.0",
        get="problems.json of all splits, and the pictures of test, which lie in test/NUMBER/image.png",
        splits={
            "img": _split("ScienceQA-IMG", 2_017, with_picture=True),
            "full": _split("ScienceQA-FULL", 4_241, with_picture=False),
        },
    ),
)
