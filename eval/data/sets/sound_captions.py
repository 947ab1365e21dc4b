"""Captions of sounds, several for each: AudioCaps and Clotho; and the questions that were made from AudioCaps."""

from collections.abc import Sequence
from pathlib import Path

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.clips import clip_names, find_clip, window_options
from eval.data.files import Files
from eval.data.hub import hub_layout, part_of
from eval.data.rows import Part, media_part, question_row, text_of, value_of
from eval.data.tables import csv_records

_CLIP_SECONDS = 10
_CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))


def _audiocaps(split: str) -> Layout:
    name = f"{split}.csv"
    return Layout("official", (name,), lambda files: _clips(files.find(f"dataset/{name}", name)), _audiocaps_row)


def _clips(path: Path) -> Sequence[Record]:
    """Return the clips in their order, each with the captions of all its rows."""
    found: dict[tuple[str, str], dict] = {}
    for record in csv_records(path, ("youtube_id", "start_time", "caption")):
        key = record["youtube_id"].strip(), record["start_time"].strip()
        clip = found.setdefault(key, {**record, "id": "_".join(key), "captions": []})
        clip["captions"].append(record["caption"].strip())
    return [*found.values()]


def _audiocaps_row(record: Record, files: Files) -> Row:
    captions = [caption for caption in record["captions"] if caption]
    if not captions:
        raise ValueError("has no caption")
    video, start = _clip(record)
    return question_row(record["id"], [_sound(video, start, files)], captions=captions)


def _read_audiocaps_questions(files: Files) -> Sequence[Record]:
    return csv_records(files.find("*qa*.csv"), ("youtube_id", "start_time", "question", "answer"))


def _audiocaps_question_row(record: Record, files: Files) -> Row:
    video, start = _clip(record)
    answer = text_of(record, "answer").strip()
    return question_row(None, [_sound(video, start, files)], text_of(record, "question"), answer=answer)


def _clip(record: Record) -> tuple[str, float]:
    video, text = text_of(record, "youtube_id").strip(), text_of(record, "start_time")
    try:
        return video, float(text)
    except ValueError:
        raise ValueError(f"'start_time' must be a number of seconds; got {text!r}") from None


def _sound(video: str, start: float, files: Files) -> Part:
    path = find_clip(files, clip_names(video, start, start + _CLIP_SECONDS))
    return {"type": "sound", "path": str(path), **window_options(path, start, start + _CLIP_SECONDS)}


def _clotho_layouts(split: str, *mirrors: Layout) -> tuple[Layout, ...]:
    name = f"clotho_captions_{split}.csv"

    def row(record: Record, files: Files) -> Row:
        file = text_of(record, "file_name").strip()
        captions = [text_of(record, column).strip() for column in _CAPTIONS]
        # The three splits may lie side by side, in folders of their names.
        return question_row(file, [media_part("sound", files, f"{split}/{file}", file)], captions=captions)

    return Layout(
        "official", (name,), lambda files: csv_records(files.find(name), ("file_name", *_CAPTIONS)), row
    ), *mirrors


def _mirrored_clotho_row(record: Record, files: Files) -> Row:
    """The mirror has the captions in one text, with a full stop after each."""
    captions = [part.strip() for part in text_of(record, "text").split(".") if part.strip()]
    index = record.get("index")
    return question_row(index, [part_of("sound", value_of(record, "audio"), files)], captions=captions)


BENCHMARKS = (
    Benchmark(
        name="audiocaps",
        title="AudioCaps (Kim et al. 2019, aclanthology.org/N19-1011)",
        homepage="https://github.com/cdjkim/audiocaps",
        licence="annotations MIT; sounds of AudioSet's videos on YouTube under the terms of their owners",
        get="dataset/test.csv, and its clips of 10 s as sounds (YOUTUBEID.wav, YOUTUBEID_START.flac, ...)",
        splits={
            "test": Split(
                (_audiocaps("test"),),
                num_items=975,
                note="five captions a clip; some videos are gone, so say how many clips a figure is of",
            ),
            "val": Split((_audiocaps("val"),), num_items=495, note="five captions a clip"),
            "train": Split((_audiocaps("train"),), num_items=49_838, note="one caption a clip"),
            "qa": Split(
                (Layout("X-InstructBLIP", ("*qa*.csv",), _read_audiocaps_questions, _audiocaps_question_row),),
                note="made from captions by X-InstructBLIP's authors: youtube_id, start_time, question, answer",
            ),
        },
    ),
    Benchmark(
        name="clotho",
        title="Clotho v2.1 (Drossos et al. 2020, arXiv:1910.09387)",
        homepage="https://zenodo.org/records/4783391",
        licence="captions: Tampere University licence, for research; sounds: the Creative Commons licence of each",
        get="clotho_captions_evaluation.csv and clotho_audio_evaluation.7z, unpacked",
        splits={
            "evaluation": Split(
                _clotho_layouts(
                    "evaluation", hub_layout(Hub("mteb/Clotho", "test"), ("audio", "text"), _mirrored_clotho_row)
                ),
                num_items=1_045,
            ),
            "validation": Split(_clotho_layouts("validation"), num_items=1_045),
            "development": Split(_clotho_layouts("development"), num_items=3_839),
        },
    ),
)
