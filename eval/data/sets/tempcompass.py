"""TempCompass: questions about actions, directions, speed, order and changes, in three forms."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import table_layouts
from eval.data.lettered import choice_row, options_in
from eval.data.rows import question_row, text_of, value_of
from eval.data.tables import read_json
from eval.data.videos import video_part
from omni.media.item import shorten


def _read_tempcompass(*names: str) -> Callable[[Files], Sequence[Record]]:
    """Return a reader of `{video: {dimension: [{question, answer}]}}`."""

    def read(files: Files) -> Sequence[Record]:
        path = files.find(*names)
        videos = read_json(path)
        if not isinstance(videos, Mapping) or not all(isinstance(one, Mapping) for one in videos.values()):
            raise ValueError(f"{path} must hold an object of objects by video, got {shorten(videos)}")
        found: list[dict[str, Any]] = []
        for video, dimensions in videos.items():
            for dimension, questions in dimensions.items():
                if not isinstance(questions, list) or not all(isinstance(one, Mapping) for one in questions):
                    raise ValueError(f"{path}: {dimension!r} of {video!r} must be a list of objects")
                found += [
                    {**one, "id": f"{video}_{dimension}_{number}", "video_id": video, "dim": dimension}
                    for number, one in enumerate(questions)
                ]
        return found

    return read


def _tempcompass_choice(record: Record, files: Files) -> Row:
    question, options = options_in(text_of(record, "question"))
    return _tempcompass_row(record, files, question, options)


def _tempcompass_captions(record: Record, files: Files) -> Row:
    """Return a choice between captions, which stand on lines such as `Caption A: ...` or `Option 1: ...`."""
    question, *lines = (line for line in text_of(record, "question").strip().split("\n") if line.strip())
    captions = [line.partition(": ")[2].strip() for line in lines]
    answer = text_of(record, "answer")
    marks = [line.partition(":")[0].strip() for line in lines]
    right: Any = marks.index(answer.partition(":")[0].strip()) if answer.partition(":")[0].strip() in marks else answer
    return _tempcompass_row({**record, "answer": right}, files, question, captions)


def _tempcompass_row(record: Record, files: Files, question: str, options: Sequence[str]) -> Row:
    video = [video_part(files, text_of(record, "video_id"))]
    return choice_row(_tempcompass_id(record), video, question, options, value_of(record, "answer"), dim=record["dim"])


def _tempcompass_yes_no(record: Record, files: Files) -> Row:
    video = [video_part(files, text_of(record, "video_id"))]
    answer = text_of(record, "answer").strip().lower()
    if answer not in ("yes", "no"):
        raise ValueError(f"the right answer must be yes or no; got {shorten(answer)}")
    return question_row(_tempcompass_id(record), video, text_of(record, "question"), answer=answer, dim=record["dim"])


def _tempcompass_id(record: Record) -> str | None:
    return (
        record.get("id") or f"{record.get('video_id')}_{record.get('dim')}_{record.get('question')}_{record['answer']}"
    )


def _tempcompass_split(name: str, number: int, row: Callable[[Record, Files], Row]) -> Split:
    names = tuple(f"{name.replace('-', mark)}.json" for mark in ("-", "_"))
    hub = Hub("lmms-eval/TempCompass", "test", name.replace("-", "_") if name != "multi-choice" else name)
    columns = ("video_id", "question", "answer", "dim")
    official = Layout("official", (names,), _read_tempcompass(*names), row)
    return Split((official, *table_layouts(hub, columns, row, f"{hub.config}/test-*.parquet")), number)


BENCHMARKS = (
    Benchmark(
        name="tempcompass",
        title="TempCompass (Liu et al. 2024, arXiv:2403.00476)",
        homepage="https://github.com/llyx97/TempCompass",
        licence="see the homepage; videos of stock sites",
        get="questions/multi-choice.json, yes_no.json and caption_matching.json, and the videos",
        splits={
            "multi-choice": _tempcompass_split("multi-choice", 1_580, _tempcompass_choice),
            "yes-no": _tempcompass_split("yes-no", 2_453, _tempcompass_yes_no),
            "caption-matching": _tempcompass_split("caption-matching", 1_503, _tempcompass_captions),
        },
    ),
)
