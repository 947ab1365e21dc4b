"""Classes of clips of YouTube's videos: one each in VGGSound, several in AudioSet."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.clips import VIDEO_ENDINGS, clip_names, find_clip, window_options
from eval.data.files import Files
from eval.data.hub import hub_layout, part_of
from eval.data.rows import Part, question_row, text_of
from eval.data.tables import csv_records

_VGGSOUND = ("youtube_id", "start_seconds", "label", "split")
_AUDIOSET_CLASSES = "class_labels_indices.csv"
_CLIP_SECONDS = 10


def _vggsound(split: str) -> Layout:
    """Return the layout of a split, whose records have the names of all classes that the whole file has."""

    def read(files: Files) -> Sequence[Record]:
        records = csv_records(files.find("vggsound.csv"), _VGGSOUND, header=False)
        classes = sorted({record["label"].strip() for record in records})
        return [
            {"id": f"{record['youtube_id']}_{record['start_seconds']}", **record, "classes": classes}
            for record in records
            if record["split"].strip() == split
        ]

    return Layout("official", ("vggsound.csv",), read, _vggsound_row)


def _vggsound_row(record: Record, files: Files) -> Row:
    video, start = text_of(record, "youtube_id"), _seconds(record, "start_seconds")
    parts = _parts(files, clip_names(video, start, start + _CLIP_SECONDS), start, start + _CLIP_SECONDS)
    return question_row(record["id"], parts, label=text_of(record, "label").strip(), options=record["classes"])


def _mirrored_vggsound_row(record: Record, files: Files) -> Row:
    kinds = {"video": "video", "sound": "audio"}
    parts = [part_of(kind, record[column], files) for kind, column in kinds.items() if record.get(column) is not None]
    if not parts:
        raise ValueError("has neither a video nor a sound: their cells are empty")
    return question_row(None, parts, label=text_of(record, "label").strip(), options=record["classes"])


def _audioset(name: str) -> Layout:
    """Return the layout of a table of segments, whose comments begin with #, and in which blanks follow the commas."""

    def read(files: Files) -> Sequence[Record]:
        labels = csv_records(files.find(_AUDIOSET_CLASSES), ("mid", "display_name"))
        names = {record["mid"]: record["display_name"] for record in labels}
        return [{**record, "names": names} for record in _segments(files.find(name))]

    return Layout("official", (name, _AUDIOSET_CLASSES), read, _audioset_row)


def _segments(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for cells in csv.reader((line for line in file if not line.startswith("#")), skipinitialspace=True):
            if not cells:
                continue
            if len(cells) != 4:
                raise ValueError(f"{path} has a line of {len(cells)} cells, where 4 must be: {cells[:5]}")
            video, start, end, classes = (cell.strip() for cell in cells)
            yield {"id": video, "start": start, "end": end, "mids": classes.split(",")}


def _audioset_row(record: Record, files: Files) -> Row:
    names = record["names"]
    unknown = [mid for mid in record["mids"] if mid not in names]
    if unknown:
        raise ValueError(f"has the class {unknown[0]!r}, which class_labels_indices.csv does not name")
    start, end = _seconds(record, "start"), _seconds(record, "end")
    parts = _parts(files, clip_names(record["id"], start, end), start, end)
    return question_row(f"{record['id']}_{start:g}", parts, labels=[names[mid] for mid in record["mids"]])


def _parts(files: Files, names: list[str], start: float, end: float) -> list[Part]:
    """Return the sound of a clip and, where there is a video of it, the pictures too; a task shows what it names.

    The sound may lie in a file of its own next to the video.
    """
    sound = find_clip(files, names)
    parts: list[Part] = [{"type": "sound", "path": str(sound), **window_options(sound, start, end)}]
    try:
        video = sound if sound.suffix.lower() in VIDEO_ENDINGS else find_clip(files, names, VIDEO_ENDINGS)
    except FileNotFoundError:
        return parts
    return [{"type": "video", "path": str(video), **window_options(video, start, end)}, *parts]


def _seconds(record: Record, key: str) -> float:
    text = text_of(record, key)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{key!r} must be a number of seconds; got {text!r}") from None


BENCHMARKS = (
    Benchmark(
        name="vggsound",
        title="VGGSound (Chen et al. 2020, arXiv:2004.14368)",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/vggsound/",
        licence="annotations CC BY 4.0; videos of YouTube under the terms of their owners",
        get="vggsound.csv, and the clips of its test split as ID_STARTSE.mp4 (start in six digits) or as sounds",
        splits={
            "test": Split(
                (
                    _vggsound("test"),
                    hub_layout(Hub("mteb/VGGSound", "test"), ("label",), _mirrored_vggsound_row, classes="label"),
                ),
                note="how many clips can still be downloaded changes; the mirror has at most 32 of each class",
            ),
            "train": Split((_vggsound("train"),), note="for probes"),
        },
    ),
    Benchmark(
        name="audioset",
        title="AudioSet (Gemmeke et al. 2017, doi:10.1109/ICASSP.2017.7952261)",
        homepage="https://research.google.com/audioset/download.html",
        licence="annotations CC BY 4.0; videos of YouTube under the terms of their owners",
        get="eval_segments.csv, class_labels_indices.csv, and the clips of 10 s, as sounds or as videos",
        splits={
            "eval": Split(
                (_audioset("eval_segments.csv"),),
                num_items=20_371,
                note="many videos are gone; say how many of the 20,371 a figure is of",
            ),
            "balanced-train": Split((_audioset("balanced_train_segments.csv"),), num_items=22_160, note="for probes"),
        },
    ),
)
