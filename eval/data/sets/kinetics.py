"""Kinetics-400: clips of ten seconds with one of 400 actions."""

from collections.abc import Callable, Sequence

from eval.data.benchmark import Benchmark, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.rows import question_row, text_of
from eval.data.sets.kinetics_labels import K400_LABELS
from eval.data.tables import csv_records
from eval.data.videos import video_part
from omni.media.frames import VIDEO_EXTENSIONS
from omni.media.item import shorten

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
_FOLDED = {"".join(filter(str.isalnum, name.lower())): name for name in K400_LABELS}


def label_of(name: str) -> str:
    """Return the class of a name in any of the spellings of folders, such as `air_drumming`.

    Raises:
        ValueError: there is none.
    """
    found = _FOLDED.get("".join(filter(str.isalnum, name.lower())))
    if found is None:
        raise ValueError(f"{shorten(name)} is none of the 400 actions of Kinetics-400")
    return found


def _read(*names: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        return [{**row, "id": row["youtube_id"]} for row in csv_records(files.find(*names), COLUMNS)]

    return read


def _row(record: Record, files: Files) -> Row:
    video = text_of(record, "youtube_id")
    start, end = (_seconds(record, key) for key in ("time_start", "time_end"))
    label = label_of(text_of(record, "label"))
    part = video_part(files, f"{video}_{start:06d}_{end:06d}")
    return question_row(f"{video}_{start:06d}_{end:06d}", [part], label=label)


def _seconds(record: Record, key: str) -> int:
    text = text_of(record, key).strip()
    try:
        return int(float(text))
    except ValueError:
        raise ValueError(f"{key!r} must be a number of seconds; got {shorten(text)}") from None


def _read_folders(folder: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        found = [path for path in files.matching(f"{folder}/*/*") if path.suffix.lower() in VIDEO_EXTENSIONS]
        return [
            {"id": f"{path.parent.name}/{path.name}", "path": str(path), "label": path.parent.name} for path in found
        ]

    return read


def _folder_row(record: Record, files: Files) -> Row:
    return question_row(record["id"], [{"type": "video", "path": record["path"]}], label=label_of(record["label"]))


def _split(folder: str, *names: str) -> Split:
    needs = tuple(f"{folder}/*/*{ending}" for ending in (".mp4", ".mkv", ".webm", ".avi"))
    return Split(
        (
            Layout("official", (names,), _read(*names), _row),
            Layout("folders by class", (needs,), _read_folders(folder), _folder_row),
        ),
        note="clips vanish from YouTube, and copies differ; those of the CSV that are not there are counted and named",
    )


BENCHMARKS = (
    Benchmark(
        name="k400",
        title="Kinetics-400 (Kay et al. 2017, arXiv:1705.06950)",
        homepage="https://github.com/cvdfoundation/kinetics-dataset",
        licence="annotations CC BY 4.0; videos of YouTube",
        get="val.csv (label, youtube_id, time_start, time_end, split) and the clips ID_START_END.mp4 with six digits "
        "each, in any folders; or the clips alone as val/CLASS/NAME.mp4",
        splits={
            "val": _split("val", "val.csv", "validate.csv", "kinetics400_val.csv", "kinetics_val.csv"),
            "test": _split("test", "test.csv", "kinetics400_test.csv", "kinetics_test.csv"),
        },
    ),
)
