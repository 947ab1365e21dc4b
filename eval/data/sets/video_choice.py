"""Multiple-choice questions about videos: Video-MME, EgoSchema and Perception Test."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from eval.data.benchmark import Benchmark, Hub, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import table_layouts
from eval.data.lettered import choice_row, marked_right
from eval.data.rows import text_of, value_of
from eval.data.tables import json_list, read_json
from eval.data.videos import video_part
from omni.media.item import shorten

VIDEO_MME = Hub("lmms-eval/Video-MME", "test")
VIDEO_MME_COLUMNS = ("videoID", "question_id", "question", "options", "answer", "duration")


def _video_mme_row(record: Record, files: Files) -> Row:
    video = text_of(record, "videoID")
    kept = {key: record.get(key) for key in ("duration", "domain", "sub_category", "task_type")}
    options = value_of(record, "options")
    return choice_row(
        value_of(record, "question_id"),
        [video_part(files, video)],
        text_of(record, "question"),
        options,
        marked_right(text_of(record, "answer"), options),
        **kept,
    )


def _with_subtitles(record: Record, files: Files) -> Row:
    row = _video_mme_row(record, files)
    name = f"{text_of(record, 'videoID')}.srt"
    # 744 of the 900 videos have some; the others are asked in these words too
    subtitles = subtitles_of(files.find(name).read_text(encoding="utf-8-sig")) if files.matching(name) else ""
    return {**row, "meta": {**row["meta"], "subtitles": subtitles or "No subtitles available"}}


def subtitles_of(text: str) -> str:
    """Return the lines that a SubRip file (.srt) shows, without numbers, times and mark-up."""
    shown = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip()):
        lines = block.split("\n")
        time = next((number for number, line in enumerate(lines) if "-->" in line), -1)
        shown += [re.sub(r"<[^>]*>|\{\\[^}]*\}", "", line).strip() for line in lines[time + 1 :]]
    return "\n".join(line for line in shown if line)


def _read_egoschema(files: Files) -> Sequence[Record]:
    """Return the questions whose answers are public, in the order of the questions."""
    path = files.find("subset_answers.json")
    answers = read_json(path)
    if not isinstance(answers, Mapping):
        raise ValueError(f"{path} must hold an object of answers by id, got {shorten(answers)}")
    questions = json_list(files.find("questions.json"))
    asked = {question.get("q_uid") for question in questions}
    unknown = next((one for one in answers if one not in asked), None)
    if unknown is not None:
        raise ValueError(f"{path} answers {unknown!r}, which questions.json does not ask")
    return [{**one, "answer": answers[one["q_uid"]]} for one in questions if one.get("q_uid") in answers]


def _egoschema_row(record: Record, files: Files) -> Row:
    video = text_of(record, "q_uid")
    options = [text_of(record, f"option {number}") for number in range(5)]
    right = value_of(record, "answer")
    return choice_row(video, [video_part(files, video)], text_of(record, "question"), options, right)


def _mirrored_egoschema_row(record: Record, files: Files) -> Row:
    video = text_of(record, "video_idx")
    answer = value_of(record, "answer")
    right = int(answer) if isinstance(answer, str) and answer.strip().isdecimal() else answer
    options = value_of(record, "option")
    return choice_row(video, [video_part(files, video)], text_of(record, "question"), options, right)


PERCEPTION = ("mc_question_valid.json", "all_valid.json")


def _read_perception(files: Files) -> Sequence[Record]:
    path = files.find(*PERCEPTION)
    videos = read_json(path)
    if not isinstance(videos, Mapping) or not all(isinstance(one, Mapping) for one in videos.values()):
        raise ValueError(f"{path} must hold an object of objects by video, got {shorten(videos)}")
    found = []
    for video, content in videos.items():
        questions = content.get("mc_question") or []
        if not isinstance(questions, list) or not all(isinstance(one, Mapping) for one in questions):
            raise ValueError(f"{path}: 'mc_question' of {video!r} must be a list of objects")
        found += [{**one, "video_name": video, "question_id": one.get("id")} for one in questions]
    return found


def _perception_row(record: Record, files: Files) -> Row:
    video = text_of(record, "video_name")
    answer = value_of(record, "answer_id")
    kept = {key: record.get(key) for key in ("area", "reasoning", "tag")}
    return choice_row(
        f"{video}_{value_of(record, 'question_id')}",
        [video_part(files, video)],
        text_of(record, "question"),
        value_of(record, "options"),
        int(answer) if isinstance(answer, str) and answer.strip().isdecimal() else answer,
        **kept,
    )


BENCHMARKS = (
    Benchmark(
        name="video-mme",
        title="Video-MME (Fu et al. 2024, arXiv:2405.21075)",
        homepage="https://video-mme.github.io",
        licence="for academic research only; videos of YouTube",
        get="the table of questions (parquet), the videos ID.mp4 and, for the split with subtitles, the files ID.srt",
        splits={
            "test": Split(table_layouts(VIDEO_MME, VIDEO_MME_COLUMNS, _video_mme_row), 2_700),
            "test-subtitles": Split(
                tuple(
                    replace(layout, needs=(*layout.needs, "*.srt"))
                    for layout in table_layouts(VIDEO_MME, VIDEO_MME_COLUMNS, _with_subtitles)
                ),
                2_700,
                "videos without a file of subtitles are asked with the words that there are none",
            ),
        },
    ),
    Benchmark(
        name="egoschema",
        title="EgoSchema (Mangalam et al. 2023, arXiv:2308.09126)",
        homepage="https://github.com/egoschema/EgoSchema",
        licence="annotations MIT; videos of Ego4D under its own licence",
        get="questions.json and subset_answers.json, and the videos ID.mp4",
        splits={
            "subset": Split(
                (
                    Layout("official", ("questions.json", "subset_answers.json"), _read_egoschema, _egoschema_row),
                    *table_layouts(
                        Hub("lmms-eval/egoschema", "test", "Subset"),
                        ("video_idx", "question", "option", "answer"),
                        _mirrored_egoschema_row,
                        "Subset/test-*.parquet",
                    ),
                ),
                500,
                "the answers to the other 4,531 of 5,031 questions are not public",
            )
        },
    ),
    Benchmark(
        name="perception-test",
        title="Perception Test (Patraucean et al. 2023, arXiv:2305.13786)",
        homepage="https://github.com/google-deepmind/perception_test",
        licence="CC BY 4.0",
        get="the annotations of multiple-choice questions, validation (mc_question_valid.json), and the videos",
        splits={
            "val": Split(
                (
                    Layout("official", (PERCEPTION,), _read_perception, _perception_row),
                    *table_layouts(
                        Hub("lmms-eval/PerceptionTest_Val", "validation", "mc_question_val"),
                        ("video_name", "question", "options", "answer_id", "question_id"),
                        _perception_row,
                        "mc_question_val/validation-*.parquet",
                    ),
                ),
                19_140,
            )
        },
    ),
)
