"""Ego4D's inertial recordings: windows of 5 s, with the scenario of their video."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from eval.data.benchmark import Benchmark, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.rows import question_row
from eval.data.tables import json_list, read_json

_SECONDS = 5.0  # ImageBind's windows
_TIME = "canonical_timestamp_ms"
_COLUMNS = ("accl_x", "accl_y", "accl_z", "gyro_x", "gyro_y", "gyro_z")
_SPLITS = ("split_em", "split_fho", "split_av")
_OPTIONS = {"time_unit": "s", "acceleration_unit": "m/s2", "rotation_unit": "rad/s"}
_TAIL = 65_536  # bytes at the end of a file in which its last line with a time lies


def _read(only: str | None, *, narrated: bool) -> Callable[[Files], Sequence[Record]]:
    """Return how windows of the videos with one scenario are read; `test` has those of a benchmark's val or test."""

    def read(files: Files) -> Sequence[Record]:
        path = files.find("ego4d.json")
        described = json_list(path, "videos")
        videos = [one for one in described if _has_one_scenario(one) and _is_in(one, only)]
        if not videos:
            raise ValueError(f"{path} has no video with a recording and just one scenario in this split")
        classes = sorted({str(name) for one in described for name in one.get("scenarios") or []})
        narrations = _narrations(files) if narrated else {}
        return [
            {"classes": classes, **window}
            for video in videos
            for window in _windows(video, files, narrations.get(video["video_uid"], []) if narrated else None)
        ]

    return read


def _has_one_scenario(video: Mapping[str, Any]) -> bool:
    scenarios = video.get("scenarios")
    return isinstance(scenarios, list) and len(scenarios) == 1 and bool(video.get("has_imu"))


def _is_in(video: Mapping[str, Any], only: str | None) -> bool:
    return only is None or any(video.get(key) in ("val", "test") for key in _SPLITS) == (only == "test")


def _narrations(files: Files) -> Mapping[str, list[float]]:
    """Return the times of what is told of each video, in seconds."""
    path = files.find("narration.json", "all_narrations_redacted.json")
    content = read_json(path)
    videos = content.get("videos", content) if isinstance(content, Mapping) else None
    if not isinstance(videos, Mapping):
        raise ValueError(f"{path} must hold an object of videos")
    return {uid: sorted({*_times(video)}) for uid, video in videos.items()}


def _times(video: Any) -> Iterator[float]:
    passes = [video.get(f"narration_pass_{number}") for number in (1, 2)] if isinstance(video, Mapping) else []
    for told in passes:
        for narration in (told.get("narrations") or []) if isinstance(told, Mapping) else []:
            if isinstance(narration.get("timestamp_sec"), int | float):
                yield float(narration["timestamp_sec"])


def _windows(video: Mapping[str, Any], files: Files, told: Sequence[float] | None) -> Iterator[Record]:
    """Yield windows around what is told or, where `told` is None, one after the other; a bad file is one record."""
    uid = str(video["video_uid"])
    record = {"id": uid, "label": str(video["scenarios"][0])}
    try:
        path = files.find(f"{uid}.csv")
        first, last = _span(path)
    except (OSError, ValueError) as error:
        yield {**record, "error": error}
        return
    length = (last - first) / 1000
    if told is None:
        starts = [index * _SECONDS for index in range(int(length // _SECONDS))]
    else:
        around = (time - first / 1000 - _SECONDS / 2 for time in told)
        starts = [start for start in around if 0 <= start <= length - _SECONDS]
    for number, start in enumerate(starts, 1):
        yield {**record, "id": f"{uid}-{number}", "video": uid, "path": str(path), "start": start + first / 1000}


def _span(path: Path) -> tuple[float, float]:
    """Return the first and the last time of a recording in milliseconds, without reading all of it.

    Raises:
        ValueError: it has no column of times, or no times.
    """
    with path.open("rb") as file:
        names = file.readline().decode("utf-8-sig", errors="replace").strip().split(",")
        if _TIME not in names:
            raise ValueError(f"{path} has no column {_TIME!r}; found {', '.join(names[:9])}")
        column = names.index(_TIME)
        head = file.read(_TAIL)
        file.seek(0, 2)
        file.seek(max(len(head), file.tell() - _TAIL) if len(head) == _TAIL else 0)
        tail = file.read()
    begin = [time for time in map(_time(column), head.splitlines()) if time is not None]
    end = [time for time in map(_time(column), tail.splitlines()[1:]) if time is not None]
    if not begin or not end:
        raise ValueError(f"{path} has no times in {_TIME!r}")
    return begin[0], end[-1]


def _time(column: int) -> Callable[[bytes], float | None]:
    def read(line: bytes) -> float | None:  # the time may be NULL or empty, where the video was cut
        cells = line.split(b",")
        try:
            return float(cells[column])
        except (ValueError, IndexError):
            return None

    return read


def _row(record: Record, files: Files) -> Row:
    if "error" in record:
        raise record["error"]
    part = {"type": "imu", "bytes": _window(record["path"], record["start"]), "options": _OPTIONS}
    # Windows of one video are not independent: the group makes them one cluster.
    meta = {"label": record["label"], "options": record["classes"], "group": record["video"]}
    return question_row(record["id"], [part], **meta)


def _window(path: str, start: float) -> bytes:
    """Return 5 s of a recording from `start` (s) on as an NPY file `[T, 7]`: time, accelerometer, gyroscope."""
    table = _table(path)
    times = table[:, 0] / 1000 - start
    inside = (times >= 0) & (times < _SECONDS)
    if np.count_nonzero(inside) < 2:
        raise ValueError(f"{path} has no samples from {start:.2f} s to {start + _SECONDS:.2f} s")
    file = io.BytesIO()
    np.save(file, np.column_stack([times[inside], table[inside, 1:]]).astype(np.float32))
    return file.getvalue()


@lru_cache(maxsize=2)  # the windows of a video follow each other
def _table(path: str) -> np.ndarray:
    """Return the columns of times and channels, float64 `[T, 7]`, NaN where a number is missing, without rows that have
    no time.

    Raises:
        ValueError: the file is no table with these columns.
    """
    import pyarrow as arrow
    from pyarrow import csv

    columns = (_TIME, *_COLUMNS)
    convert = csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns, arrow.float64()),
        null_values=["", "NULL", "nan", "NaN"],
    )
    try:
        table = csv.read_csv(path, convert_options=convert)
    except (arrow.ArrowException, KeyError) as error:
        raise ValueError(f"{path} cannot be read as a recording of Ego4D ({error})") from error
    values = np.column_stack([table[column].to_numpy() for column in columns])
    return values[np.isfinite(values[:, 0])]


def _split(only: str | None, note: str) -> Split:
    told = ("ego4d.json", ("narration.json", "all_narrations_redacted.json"))
    return Split(
        (
            Layout("official, windows around narrations", told, _read(only, narrated=True), _row),
            Layout("official, one window after the other", ("ego4d.json",), _read(only, narrated=False), _row),
        ),
        note=note,
    )


BENCHMARKS = (
    Benchmark(
        name="ego4d-imu",
        title="Ego4D, scenarios by inertial recordings (Grauman et al. 2021, arXiv:2110.07058)",
        homepage="https://ego4d-data.org/",
        licence="by Ego4D's licence agreement",
        get="ego4d.json, narration.json, and the recordings VIDEO_UID.csv (`--dataset imu annotations`)",
        splits={
            "test": _split(
                "test",
                "videos with one scenario that are val or test in a benchmark of Ego4D; ImageBind's own split is not "
                "published, so figures only come near its own",
            ),
            "train": _split("train", "the other videos with one scenario, for probes"),
            "all": _split(None, "all videos with one scenario and a recording"),
        },
    ),
)
