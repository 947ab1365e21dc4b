"""Questions about videos and their sound: MUSIC-AVQA, AVQA, WorldSense and AV-SpeakerBench."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Layout, LeftOutError, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import part_of, table_layouts
from eval.data.lettered import choice_row, marked_right, written_list
from eval.data.rows import Part, question_row, text_of, value_of
from eval.data.tables import csv_records, json_list, read_json
from eval.data.videos import sound_part, video_part
from omni.media.item import shorten

_SLOT = re.compile(r"<[A-Za-z]+>")


def _seen_and_heard(files: Files, *names: str) -> list[Part]:
    """Return the sound and the pictures of a video, in X-InstructBLIP's order; a task shows one of them, or both."""
    return [sound_part(files, *names), video_part(files, *names)]


def _read(*names: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        return json_list(files.find(*names))

    return read


def _music_row(record: Record, files: Files) -> Row:
    if str(record.get("question_deleted") or 0) != "0":
        raise LeftOutError(str(value_of(record, "question_id")), "its authors deleted the question (question_deleted)")
    kinds = _list(record, "type")
    answer = text_of(record, "anser" if "anser" in record else "answer")  # so spelled in the official files
    return question_row(
        value_of(record, "question_id"),
        _seen_and_heard(files, text_of(record, "video_id")),
        filled(text_of(record, "question_content"), _list(record, "templ_values")),
        answer=answer.strip(),
        type=" / ".join(map(str, kinds)),
    )


def filled(question: str, values: Sequence[Any]) -> str:
    """Return a question with the slots of its template (`<Object>`, `<FL>`) filled in their order.

    Raises:
        ValueError: there are more or fewer values than slots.
    """
    slots = _SLOT.findall(question)
    if len(slots) != len(values):
        raise ValueError(f"the question {shorten(question)} has {len(slots)} slots, and there are {len(values)} values")
    rest = iter(map(str, values))
    return _SLOT.sub(lambda _: next(rest), question).strip()


def _list(record: Record, key: str) -> Sequence[Any]:
    """Return a list that stands in a record as such, or as a text of JSON or Python."""
    value = record.get(key)
    found = written_list(value) if isinstance(value, str) and value.strip() else value
    if found is None or found == "":
        return []
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise ValueError(f"{key!r} must be a list, or one written as JSON; got {shorten(value)}")
    return found


def _music_split(name: str) -> Split:
    names = (f"avqa-{name}.json", f"updated_avqa-{name}.json")
    note = "the authors have published corrected annotations (json_update), with another number of questions"
    return Split((Layout("official", (names,), _read(*names), _music_row),), note=note)


def _avqa_row(record: Record, files: Files) -> Row:
    return choice_row(
        value_of(record, "id"),
        _seen_and_heard(files, text_of(record, "video_name")),
        text_of(record, "question_text"),
        value_of(record, "multi_choice"),
        value_of(record, "answer"),
        relation=str(record.get("question_relation", "")),
        type=str(record.get("question_type", "")),
    )


def _mirrored_avqa_row(record: Record, files: Files) -> Row:
    parts = [part_of("sound", value_of(record, "audio"), files), part_of("video", value_of(record, "video"), files)]
    row = choice_row("", parts, text_of(record, "question"), value_of(record, "candidates"), value_of(record, "answer"))
    return {**row, "id": record.get("id")}


WORLD_SENSE = "worldsense_qa.json"


def _read_world_sense(files: Files) -> Sequence[Record]:
    """Return the questions of `{video: {..., task0: {question, candidates, answer, ...}, task1: ...}}`."""
    path = files.find(WORLD_SENSE)
    videos = read_json(path)
    if not isinstance(videos, Mapping) or not all(isinstance(one, Mapping) for one in videos.values()):
        raise ValueError(f"{path} must hold an object of objects by video, got {shorten(videos)}")
    found = []
    for video, content in videos.items():
        shared = {key: content.get(key) for key in ("duration", "audio_class")}
        for key, task in content.items():
            if not re.fullmatch(r"task\d+", key):
                continue
            if not isinstance(task, Mapping):
                raise ValueError(f"{path}: {key!r} of {video!r} must be an object, got {shorten(task)}")
            found.append({**shared, **task, "index": f"{video}_{key}", "video_path": str(video)})
    return found


def _world_sense_row(record: Record, files: Files) -> Row:
    video = text_of(record, "video_path").removeprefix("./")
    kept = {key: record.get(key) for key in ("task_type", "task_domain", "duration")}
    options = value_of(record, "candidates")
    return choice_row(
        value_of(record, "index"),
        _seen_and_heard(files, video),
        text_of(record, "question"),
        options,
        marked_right(text_of(record, "answer"), options),
        audio_class=_list(record, "audio_class") if not isinstance(record.get("audio_class"), str) else [],
        **kept,
    )


SPEAKER_COLUMNS = ("question", "choices", "answer")
_SPEAKER_VIDEOS = ("audio_visual_path", "audiovisual_path", "video_path")


def _read_speakers(files: Files) -> Sequence[Record]:
    rows = csv_records(_speaker_table(files), SPEAKER_COLUMNS)
    return [{**row, "id": row.get("question_id") or row.get("id") or str(number)} for number, row in enumerate(rows)]


def _speaker_table(files: Files) -> Any:
    return files.find("av_speakerbench.csv", "AV-SpeakerBench.csv", "test.csv", "*.csv")


def _speaker_row(record: Record, files: Files) -> Row:
    both = next((str(record[key]) for key in _SPEAKER_VIDEOS if record.get(key)), "")
    heard = str(record.get("audio_path") or both)
    seen = str(record.get("visual_path") or both)
    if not heard or not seen:
        raise ValueError(f"names no clip; found {', '.join(map(str, record))}")
    options = value_of(record, "choices")
    return choice_row(
        record.get("id", record.get("question_id")),
        [sound_part(files, heard, both), video_part(files, seen, both)],
        text_of(record, "question"),
        options,
        marked_right(text_of(record, "answer"), options),
        task=str(record.get("task_id", "")),
    )


BENCHMARKS = (
    Benchmark(
        name="music-avqa",
        title="MUSIC-AVQA (Li et al. 2022, arXiv:2203.14072)",
        homepage="https://gewu-lab.github.io/MUSIC-AVQA/",
        licence="see the homepage; videos of YouTube and synthetic ones",
        get="avqa-test.json (or avqa-val.json, avqa-train.json), and the videos ID.mp4, real and synthetic ones",
        splits={name: _music_split(name) for name in ("test", "val", "train")},
    ),
    Benchmark(
        name="avqa",
        title="AVQA (Yang et al. 2022)",
        homepage="https://mn.cs.tsinghua.edu.cn/avqa/",
        licence="not stated; videos of VGGSound (YouTube)",
        get="val_qa.json, and the videos of VGGSound, ID_START.mp4 with six digits",
        splits={
            "val": Split(
                (
                    Layout("official", ("val_qa.json",), _read("val_qa.json"), _avqa_row),
                    *table_layouts(
                        Hub("mteb/AVQA_val", "test"),
                        ("video", "audio", "question", "candidates", "answer"),
                        _mirrored_avqa_row,
                    ),
                ),
                note="videos vanish from YouTube, and published figures do not say how many questions are left",
            ),
            "train": Split((Layout("official", ("train_qa.json",), _read("train_qa.json"), _avqa_row),)),
        },
    ),
    Benchmark(
        name="worldsense",
        title="WorldSense (Hong et al. 2025, arXiv:2502.04326)",
        homepage="https://jaaackhongggg.github.io/WorldSense/",
        licence="CC BY-NC 4.0",
        get="worldsense_qa.json, and the videos ID.mp4",
        splits={
            "test": Split(
                (
                    Layout("official", (WORLD_SENSE,), _read_world_sense, _world_sense_row),
                    *table_layouts(
                        Hub("lmms-eval/WorldSense", "test"),
                        ("index", "video_path", "question", "candidates", "answer"),
                        _world_sense_row,
                    ),
                ),
                3_172,
            )
        },
    ),
    Benchmark(
        name="av-speakerbench",
        title="AV-SpeakerBench (Nguyen et al. 2025)",
        homepage="https://plnguyen2908.github.io/AV-SpeakerBench-project-page/",
        licence="see the homepage",
        get="the table of questions (CSV or parquet), and the clips that it names",
        splits={
            "test": Split(
                (
                    *table_layouts(Hub("plnguyen2908/AV-SpeakerBench", "test"), SPEAKER_COLUMNS, _speaker_row),
                    Layout("table", ("*.csv",), _read_speakers, _speaker_row),
                ),
                3_212,
            )
        },
    ),
)
