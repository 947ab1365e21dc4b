"""Questions about sounds, music and speech: MMAU, MMAR, MMSU, MuChoMusic, and AudioBench's form."""

from collections.abc import Callable, Mapping
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.clips import clip_names, find_clip, window_options
from eval.data.files import Files
from eval.data.hub import hub_layout, part_of
from eval.data.lettered import choice_row, plain_options, shuffled
from eval.data.rows import Part, media_part, question_row, text_of, value_of
from eval.data.tables import csv_records, json_lines, json_list

_MUSICCAPS_SECONDS = 10
_LETTERS = "abcd"


def _row_of_choices(audio: str, *kept: str) -> Callable[[Record, Files], Row]:
    """Return how a row is made of `question`, `choices` and `answer`, with the sound under the key `audio`."""

    def row(record: Record, files: Files) -> Row:
        return choice_row(
            record.get("id"),
            [_sound(value_of(record, audio), files)],
            text_of(record, "question"),
            plain_options(value_of(record, "choices")),
            record.get("answer") or None,
            **{key: record[key] for key in kept if key in record},
        )

    return row


def _mmsu_row(record: Record, files: Files) -> Row:
    keys = [f"choice_{letter}" for letter in _LETTERS if record.get(f"choice_{letter}") not in (None, "")]
    right = record.get("answer_gt", record.get("answer"))
    return choice_row(
        record.get("id"),
        [_sound(record.get("audio_path", record.get("audio")), files)],
        text_of(record, "question"),
        [str(record[key]).strip() for key in keys],
        text_of({"answer": right}, "answer"),
        **{key: record[key] for key in ("task_name", "category") if key in record},
    )


def _music_row(record: Record, files: Files) -> Row:
    """Return a row of muchomusic.csv, where the right answer stands first: the item's id shuffles the options."""
    right = text_of(record, "correct_answer").strip()
    wrong = [text_of(record, f"distractor_{number}_answer").strip() for number in (1, 2, 3)]
    id = text_of(record, "question_id")
    media = [_music(text_of(record, "dataset"), text_of(record, "dataset_identifier"), files)]
    options = shuffled([right, *wrong], id)
    return choice_row(id, media, text_of(record, "question"), options, right, genre=record.get("genre"))


def _music(dataset: str, name: str, files: Files) -> Part:
    """Return a track of the Song Describer Dataset (`ID.2min.mp3`), or a clip of MusicCaps (`ID_START`)."""
    if dataset == "sdd":
        return {"type": "sound", "path": str(find_clip(files, [f"{name}.2min", name]))}
    video, _, start = name.rpartition("_")
    if not start.isdecimal():
        return {"type": "sound", "path": str(find_clip(files, [name, f"[{name}]"]))}
    end = float(start) + _MUSICCAPS_SECONDS
    path = find_clip(files, [name, *clip_names(video, float(start), end)])
    return {"type": "sound", "path": str(path), **window_options(path, float(start), end)}


def _mirrored_music_row(record: Record, files: Files) -> Row:
    return choice_row(
        record.get("id"),
        [part_of("sound", value_of(record, "context"), files)],
        text_of(record, "instruction"),
        plain_options(value_of(record, "choices")),
        text_of(record, "answer"),
    )


def _audiobench_row(modality: str) -> Callable[[Record, Files], Row]:
    def row(record: Record, files: Files) -> Row:
        context = value_of(record, "context")
        sound = context.get("audio") if isinstance(context, Mapping) and "audio" in context else context
        media = [part_of(modality, sound, files)]
        return question_row(None, media, _words(record, "instruction"), answer=_words(record, "answer"))

    return row


def _words(record: Record, key: str) -> str:
    """Return a text that stands under a key itself, or under `text` in it."""
    value = value_of(record, key)
    return text_of({key: value.get("text") if isinstance(value, Mapping) else value}, key)


def _sound(value: Any, files: Files) -> Part:
    """Return the sound that a JSON file names by a path (`./audio/a.wav`), or that a table's cell holds."""
    if isinstance(value, str):
        path = value.replace("\\", "/").removeprefix("./").lstrip("/")
        return media_part("sound", files, path, path.rpartition("/")[2])
    return part_of("sound", value, files)


def _audiobench(modality: str) -> Split:
    hub = Hub("AudioLLMs/NAME", "test")
    columns = ("context", "instruction", "answer")
    return Split((hub_layout(hub, columns, _audiobench_row(modality)),), note="any set in this form; NAME is the set's")


_MMAU = _row_of_choices("audio_id", "task", "difficulty")
_MMAU_MIRROR = _row_of_choices("audio", "task")
_CHOICES = ("audio", "question", "choices", "answer")

BENCHMARKS = (
    Benchmark(
        name="mmau",
        title="MMAU (Sakshi et al. 2024, arXiv:2410.19168)",
        homepage="https://github.com/Sakshi113/MMAU",
        licence="questions MIT; the sounds come from other sets, with their licences",
        get="mmau-test-mini.json and test-mini-audios; version 05.15.25 has corrected questions: say which one it is",
        splits={
            "test-mini": Split(
                (
                    Layout(
                        "official", ("mmau-test-mini.json",), lambda f: json_list(f.find("mmau-test-mini.json")), _MMAU
                    ),
                    hub_layout(Hub("lmms-lab-audio/mmau", "test_mini"), _CHOICES, _MMAU_MIRROR),
                ),
                num_items=1_000,
            ),
            "test": Split(
                (Layout("official", ("mmau-test.json",), lambda f: json_list(f.find("mmau-test.json")), _MMAU),),
                num_items=9_000,
                note="the answers are not public",
            ),
        },
    ),
    Benchmark(
        name="mmar",
        title="MMAR (Ma et al. 2025, arXiv:2505.13032)",
        homepage="https://github.com/ddlBoJack/MMAR",
        licence="CC BY-NC 4.0",
        get="MMAR-meta.json (or .jsonl) and mmar-audio.tar.gz, unpacked",
        splits={
            "test": Split(
                (
                    Layout(
                        "official",
                        (("MMAR-meta.json", "MMAR-meta.jsonl"),),
                        lambda files: json_lines(files.find("MMAR-meta.json", "MMAR-meta.jsonl")),
                        _row_of_choices("audio_path", "modality", "category"),
                    ),
                    hub_layout(
                        Hub("ngqtrung/mmar", "test"), _CHOICES, _row_of_choices("audio", "modality", "category")
                    ),
                ),
                num_items=1_000,
            )
        },
    ),
    Benchmark(
        name="mmsu",
        title="MMSU (Wang et al. 2025, arXiv:2506.04779)",
        homepage="https://github.com/dingdongwang/MMSU",
        licence="MIT",
        get="question/mmsu.jsonl and the folder audio",
        splits={
            "test": Split(
                (
                    Layout("official", ("mmsu.jsonl",), lambda files: json_lines(files.find("mmsu.jsonl")), _mmsu_row),
                    hub_layout(
                        Hub("ngqtrung/mmsu", "test"), ("audio", "question", "choice_a", "choice_b", "answer"), _mmsu_row
                    ),
                ),
                num_items=5_000,
            )
        },
    ),
    Benchmark(
        name="muchomusic",
        title="MuChoMusic (Weck et al. 2024, arXiv:2408.01337)",
        homepage="https://doi.org/10.5281/zenodo.12709974",
        licence="questions CC BY-SA 4.0; music of the Song Describer Dataset and of MusicCaps, with their licences",
        get="muchomusic.csv, the tracks of the Song Describer Dataset (ID.2min.mp3) and the clips of MusicCaps",
        splits={
            "test": Split(
                (
                    Layout(
                        "official",
                        ("muchomusic.csv",),
                        lambda files: csv_records(files.find("muchomusic.csv"), ("question_id", "correct_answer")),
                        _music_row,
                    ),
                    hub_layout(
                        Hub("lmms-lab-audio/muchomusic", "test"),
                        ("context", "instruction", "choices", "answer"),
                        _mirrored_music_row,
                    ),
                ),
                num_items=1_187,
                note="the order of the options is our own, by item: the authors' code draws one anew",
            )
        },
    ),
    Benchmark(
        name="audiobench",
        title="AudioBench's form (Wang et al. 2024, arXiv:2406.16020)",
        homepage="https://github.com/AudioLLMs/AudioBench",
        licence="of each set its own",
        get="a set's table with the columns context (a sound), instruction and answer",
        splits={"speech": _audiobench("speech"), "sound": _audiobench("sound")},
    ),
)
