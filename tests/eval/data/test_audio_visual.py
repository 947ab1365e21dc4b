"""Questions about videos and their sound, from official files to the score, with both and with one of them alone."""

import csv
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from eval.data.checking import report
from eval.data.sets.audio_visual import filled
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.official import (
    asked,
    brief,
    check,
    large_decoding_model,
    named,
    parquet,
    picture,
    plan_of,
    run,
    sound,
    video,
    write_json,
)

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OmniModel:
    return large_decoding_model(tmp_path_factory.mktemp("llm"), "sound", "video", "image")


def music_avqa(folder: Path) -> Path:
    """Two videos with sound, one without; JSON within JSON, slots, and the key `anser`."""
    for number in (93, 94, 95):
        video(folder / "MUSIC-AVQA-videos-Real" / f"{number:08d}.mp4", number, audio=number != 95)
    kind = '["Audio-Visual", "Counting"]'
    rows = [
        (93, "How many types of musical instruments sound in the video?", "[]", "two"),
        (94, "Is the <Object> in the video always playing? Is it on the <FL>?", '["violin", "left"]', "yes"),
        (95, "Where is the <Object>?", "['cello']", "right"),  # a Python literal, which LAVIS reads
        (93, "Where is the <Object>?", "[]", "left"),  # fewer values than slots
    ]
    write_json(
        folder / "avqa-test.json",
        [
            {
                **{"video_id": f"{id:08d}", "question_id": number, "type": kind, "question_content": question},
                **{"templ_values": values, "question_deleted": 0, "anser": answer},
            }
            for number, (id, question, values, answer) in enumerate(rows)
        ],
    )
    return folder


def test_music_avqa_fills_its_templates(model: OmniModel, tmp_path: Path) -> None:
    music_avqa(tmp_path)
    plan = plan_of("music-avqa", tmp_path)
    assert asked(plan) == [
        ("0", f"How many types of musical instruments sound in the video?{SHORT}", ("two",)),
        ("1", f"Is the violin in the video always playing? Is it on the left?{SHORT}", ("yes",)),
        ("2", f"Where is the cello?{SHORT}", ("right",)),
    ]
    assert "has 1 slots, and there are 0 values" in named(plan)["3"]
    assert [part.modality for part in plan.items[0].media] == ["sound", "video"]
    assert plan.items[0].meta["type"] == "Audio-Visual / Counting"
    found = check("music-avqa/test", tmp_path)
    assert (found.num_items, found.num_bad, found.num_expected) == (3, 1, None)


def test_deleted_questions_of_music_avqa_are_left_out_and_named(tmp_path: Path) -> None:
    rows = json.loads((music_avqa(tmp_path) / "avqa-test.json").read_text())
    write_json(tmp_path / "avqa-test.json", [{**row, "question_deleted": int(row["question_id"] == 1)} for row in rows])
    plan = plan_of("music-avqa", tmp_path)
    assert [item.id for item in plan.items] == ["0", "2"]
    reason = "its authors deleted the question (question_deleted)"
    assert [(row.id, row.reason) for row in plan.origin.left_out] == [("1", reason)]
    found = check("music-avqa/test", tmp_path)
    assert (found.num_items, found.num_bad, found.num_left_out) == (2, 1, 1)
    assert f"rows that are left out: 1, the first:\n    1: {reason}" in report(found)


@pytest.mark.parametrize(("suffix", "num_items"), [("", 2), ("-video", 3)])
def test_a_video_without_sound_is_named_where_sound_is_shown(
    model: OmniModel, tmp_path: Path, suffix: str, num_items: int
) -> None:
    music_avqa(tmp_path)
    result = run(brief(TASKS[f"music-avqa{suffix}"]), tmp_path, model)
    assert (result.status, result.num_items, result.scorer) == ("computed", num_items, "exact-match-v2")
    silent = [item["reason"] for item in result.bad if item["id"] == "2"]
    assert len(silent) == 3 - num_items
    assert all("00000095.mp4" in reason and "holds no sound" in reason for reason in silent)


def test_music_avqa_as_x_instructblip_asks_it(tmp_path: Path) -> None:
    music_avqa(tmp_path)
    both, heard = (plan_of(f"music-avqa{suffix}-instructblip", tmp_path) for suffix in ("", "-sound"))
    assert asked(both)[2][1] == "Question: Where is the cello? Answer:"
    assert [part.options for part in both.items[0].media] == [{}, {"num_frames": 5}]
    assert [plan.settings["generation"]["max_new_tokens"] for plan in (both, heard)] == [10, 5]


@pytest.mark.parametrize(("question", "values"), [("<Object>?", []), ("Who?", ["cello"]), ("<LL> of <RL>?", ["a"])])
def test_slots_and_values_must_match(question: str, values: list[str]) -> None:
    with pytest.raises(ValueError, match="slots"):
        filled(question, values)


def avqa(folder: Path, form: str) -> Path:
    texts = ["motorcycle", "car", "helicopter", "train"]
    if form == "official":
        video(folder / "-HG3Omg_89c_000030.mp4", 1, audio=True)
        row = {
            **{"id": 183, "video_name": "-HG3Omg_89c_000030", "video_id": 341, "multi_choice": texts, "answer": 1},
            **{"question_text": "What makes sound?", "question_relation": "Both", "question_type": "Which"},
        }
        rows = [row, {**row, "id": 184, "answer": 4}, {**row, "id": 185, "video_name": "gone_000001"}]
        write_json(folder / "val_qa.json", rows)
        return folder
    clip, heard = video(folder.parent / "clip.mp4", 1), sound(folder.parent / "clip.wav", 1)
    columns: dict[str, list[Any]] = {
        "video": [{"bytes": clip.read_bytes(), "path": None}],
        "audio": [{"bytes": heard.read_bytes(), "path": None}],
        "question": ["What makes sound?"],
        "candidates": [texts],
        "answer": ["car"],
    }
    parquet(folder / "data" / "test-00000-of-00001.parquet", columns)
    return folder


@pytest.mark.parametrize("form", ["official", "mirror"])
def test_avqa(model: OmniModel, tmp_path: Path, form: str) -> None:
    avqa(tmp_path / "files", form)
    result = run(brief(TASKS["avqa"]), tmp_path / "files", model)
    assert (result.status, result.num_items, result.chance) == ("computed", 1, 0.25)
    question = f"What makes sound?\nA. motorcycle\nB. car\nC. helicopter\nD. train{LETTER}"
    assert [(item.question, item.target) for item in result.items] == [(question, "car")]
    if form == "official":
        assert ["none of the options" in item["reason"] for item in result.bad] == [True, False]
        assert plan_of("avqa-sound", tmp_path / "files").items[0].meta["relation"] == "Both"


WORLD = {
    **{"question": "Who speaks first?", "candidates": ["A. He.", "B. She.", "C. All.", "D. None."], "answer": "B"},
    **{"task_type": "Audio Recognition", "task_domain": "Music"},
}


@pytest.mark.parametrize("form", ["official", "mirror"])
def test_worldsense(tmp_path: Path, form: str) -> None:
    video(tmp_path / "videos" / "abc-d_1.mp4", 1, audio=True)
    if form == "official":
        content = {"video_duration": "60s", "duration": "<1min", "audio_class": ["Speech"]}
        write_json(
            tmp_path / "worldsense_qa.json", {"abc-d_1": {**content, "task0": WORLD, "task1": {**WORLD, "answer": "E"}}}
        )
    else:
        rows = [
            {**WORLD, "index": 7, "video_path": "./videos/abc-d_1.mp4", "duration": "<1min", "audio_class": ["Speech"]}
        ]
        rows.append({**rows[0], "index": 8, "answer": "E"})
        parquet(tmp_path / "test.parquet", {key: [row[key] for row in rows] for key in rows[0]})
    plan = plan_of("worldsense", tmp_path)
    assert [(item.id, item.options[item.right]) for item in plan.items] == [
        ("abc-d_1_task0" if form == "official" else "7", "She.")
    ]
    assert plan.items[0].prompt.endswith("Who speaks first?\nA. He.\nB. She.\nC. All.\nD. None.\n")
    assert "and the corresponding audio" in plan.items[0].prompt
    assert len(plan.bad) == 1
    assert [part.modality for part in plan_of("worldsense-video", tmp_path).items[0].media] == ["video"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_av_speakerbench(model: OmniModel, tmp_path: Path, form: str) -> None:
    video(tmp_path / "clips" / "one.mp4", 1, audio=True)
    sound(tmp_path / "clips" / "one.wav", 2)
    row = {
        **{"question_id": "q1", "question": "Who?", "answer": "A", "task_id": "count"},
        **{"choices": "['A. Ann', 'B. Bob']", "audio_visual_path": "clips/one.mp4", "audio_path": "clips/one.wav"},
    }
    rows = [row, {**row, "question_id": "q2", "audio_visual_path": "", "audio_path": ""}]
    if form == "csv":
        with (tmp_path / "av_speakerbench.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerows(rows)
    else:
        parquet(tmp_path / "test.parquet", {key: [one[key] for one in rows] for key in row})
    plan = plan_of("av-speakerbench", tmp_path)
    assert [Path(str(part.path)).name for part in plan.items[0].media] == ["one.wav", "one.mp4"]
    assert (plan.items[0].options, plan.items[0].right) == (("Ann", "Bob"), 0)
    assert "names no clip" in named(plan)["q2"]
    assert run(brief(TASKS["av-speakerbench-video"]), tmp_path, model).num_items == 1


def omnibench(folder: Path, **more: list[Any]) -> Path:
    seen, heard = picture(folder.parent / "a.png", 1), sound(folder.parent / "a.wav", 1)
    columns: dict[str, list[Any]] = {
        "index": [0, 1],
        "question": ["What are they doing?", "Why?"],
        "options": [["sing", "run", "eat", "talk"]] * 2,
        "answer": ["talk", "fly"],
        "image": [{"bytes": seen.read_bytes(), "path": "a.png"}] * 2,
        "audio": [{"bytes": heard.read_bytes(), "path": "a.wav"}] * 2,
        "task type": ["Action"] * 2,
        **more,
    }
    parquet(
        folder / "data" / "train.parquet", columns, {"image": datasets.Image(), "audio": datasets.Audio(decode=False)}
    )
    return folder


def test_omnibench_and_its_controls_in_words(model: OmniModel, tmp_path: Path) -> None:
    words = {"image content": ["Two people."] * 2, "audio content": ["hello there"] * 2}
    omnibench(tmp_path / "files", **words)
    result = run(brief(TASKS["omnibench"]), tmp_path / "files", model)
    assert (result.status, result.num_items, result.chance) == ("computed", 1, 0.25)
    question = "Question:\nWhat are they doing?\n\nOptions:\nA. sing\nB. run\nC. eat\nD. talk\n\n" + LETTER.strip()
    assert (result.items[0].question, result.items[0].target) == (question, "talk")
    assert "'fly' is none of the options" in result.bad[0]["reason"]
    one, other = (plan_of(f"omnibench-{name}-content", tmp_path / "files").items[0] for name in ("image", "audio"))
    assert one.prompt == f"Visual Context for the audio:\nTwo people.\n\n{question}"
    assert other.prompt == f"Audio context for the images:\nhello there\n\n{question}"
    assert ([part.modality for part in one.media], [part.modality for part in other.media]) == (["sound"], ["image"])


def test_a_control_in_words_needs_the_words(model: OmniModel, tmp_path: Path) -> None:
    omnibench(tmp_path / "files")
    result = run(TASKS["omnibench-image-content"], tmp_path / "files", model)
    assert result.status == "not computed"
    assert "has no 'image_content' in its row" in result.reason


def test_av_odyssey_shows_media_where_the_texts_say(model: OmniModel, tmp_path: Path) -> None:
    for number in range(3):
        sound(tmp_path / "audio" / f"{number}.wav", number)
    picture(tmp_path / "img" / "a.png")
    video(tmp_path / "vid" / "a.mp4")
    columns: dict[str, list[Any]] = {
        "question_id": [1, 2, 3],
        "question": ["Which sound fits [img1]?", "What makes [audio1] in [video1]?", "Is it [audio9]?"],
        "options": [["A. [audio1]", "B. [audio2]"], ["A. dog", "B. cat"], ["A. yes", "B. no"]],
        "answer": ["B", "A", "A"],
        "data_type": ["image", "video", "audio"],
        "audio_path": [["audio/0.wav", "audio/1.wav"], ["audio/2.wav"], ["audio/2.wav"]],
        "image_path": [["img/a.png"], None, None],
        "video_path": [None, ["vid/a.mp4"], None],
        "subfield": ["Timbre"] * 3,
    }
    parquet(tmp_path / "test.parquet", columns)
    plan = plan_of("av-odyssey", tmp_path)
    first, second = plan.items
    assert [Path(str(part.path)).name for part in first.media] == ["a.png", "0.wav", "1.wav"]
    (message,) = first.prefix(first.media).messages
    shown = [getattr(part, "text", None) or part.modality for part in message.content]
    assert shown == ["Which sound fits ", "image", "?\nA. ", "sound", "\nB. ", "sound", LETTER]
    assert (first.options, first.right) == (("A", "B"), 1)  # options that are media go by their letters
    assert (second.options, second.right) == (("dog", "cat"), 0)
    assert "[audio9], and 'audio_path' has 1 files" in named(plan)["3"]
    result = run(brief(TASKS["av-odyssey"]), tmp_path, model)
    assert (result.status, result.num_items, result.chance) == ("computed", 2, 0.5)
    assert run(TASKS["av-odyssey-likelihood"], tmp_path, model).status == "computed"


def test_wrong_columns_are_named(model: OmniModel, tmp_path: Path) -> None:
    parquet(tmp_path / "test.parquet", {"question": ["What?"], "number": [np.int64(1)]})
    for name, column in (("av-odyssey", "question_id"), ("worldsense", "index"), ("av-speakerbench", "choices")):
        assert f"has no column {column!r}; found question, number" in run(TASKS[name], tmp_path, model).reason
    write_json(tmp_path / "worldsense_qa.json", {"abc": {"task0": 3}})
    assert "'task0' of 'abc' must be an object" in run(TASKS["worldsense"], tmp_path, model).reason
