"""Choices between media of different kinds: DisCRn and XModBench."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.data.sets.cross_modal import discrn_question
from eval.tasks import TASKS
from omni.media.mesh import load_points
from omni.model import OmniModel
from tests.eval.data.official import (
    brief,
    check,
    large_decoding_model,
    named,
    picture,
    plan_of,
    run,
    sound,
    video,
    write_json,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OmniModel:
    return large_decoding_model(tmp_path_factory.mktemp("llm"), "sound", "video", "image", "point_cloud")


def audiocaps(folder: Path) -> Path:
    """Two clips with sound and video each, in rows of both labels and both parities."""
    for number, id in enumerate(("vfY_TJq7n_U", "tdWhHV3X25Q")):
        sound(folder / "audio" / f"{id}_{30 * number}.flac", number)
        video(folder / "video" / f"{id}_{30 * number}.mp4", number)
    row = {
        **{"sample_ids": ["vfY_TJq7n_U", "tdWhHV3X25Q"], "start_seconds": [0, 30.0], "captions": ["one", "two"]},
        **{"properties": ["p", "q"], "captions_pred_audio": ["a", "b"], "captions_pred_video": ["c", "d"]},
        **{"question": "which entity is more commonly associated with audio"},
    }
    labels: list[Any] = [0, 0, 1, 1, 2]
    return write_json(folder / "audiocaps.json", [{**row, "label": label} for label in labels]).parent


def test_labels_of_discrn_are_balanced_and_stay_right(tmp_path: Path) -> None:
    audiocaps(tmp_path)
    plan = plan_of("discrn-audio-video", tmp_path)
    assert [item.meta["answer"] for item in plan.items] == ["second", "first", "second", "first"]  # by parity
    # The right medium is of the clip that the label names: the first clip in rows 0 and 1, else the other.
    for item, label in zip(plan.items, (0, 0, 1, 1), strict=True):
        right = item.media[("first", "second").index(item.meta["answer"])]
        assert Path(str(right.path)).stem == ("vfY_TJq7n_U_0", "tdWhHV3X25Q_30")[label]
        other = item.media[("second", "first").index(item.meta["answer"])]
        assert Path(str(other.path)).stem == ("tdWhHV3X25Q_30", "vfY_TJq7n_U_0")[label]
        assert [part.modality for part in item.media] == ["sound", "video"]
    assert "'label' must be 0 or 1; got 2" in named(plan)["4"]
    references = plan.items[0].meta["answers"]
    assert {"second", "video"} <= {*references}
    assert "sound" not in references


def test_discrn_is_asked_in_its_words(model: OmniModel, tmp_path: Path) -> None:
    audiocaps(tmp_path)
    result = run(brief(TASKS["discrn-audio-video"]), tmp_path, model)
    assert (result.status, result.num_items, result.scorer) == ("computed", 4, "first-second-v1")
    question = "which of the two options is more commonly associated with object?"
    assert f"that best answers the question. {question}" in result.items[0].question
    theirs = plan_of("discrn-audio-video-instructblip", tmp_path)
    assert theirs.items[0].prompt == (
        "You are given two inputs. Select exactly one of the two by referece to its relative position (first or "
        f"second, left or right) that best answers the question. question: {question} answer:"
    )
    assert [part.options for part in theirs.items[0].media] == [{}, {"num_frames": 2}]
    likeliest = run(TASKS["discrn-audio-video-likelihood"], tmp_path, model)
    assert (likeliest.status, likeliest.chance) == ("computed", 0.5)


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("which entity is loud", "which of the two options is loud?"),
        ("which image shows an object?", "which of the two options shows an object?"),
        ("which audio has an image", "which of the two options has an object?"),
    ],
)
def test_questions_of_discrn_name_no_kind_of_medium(question: str, asked: str) -> None:
    assert discrn_question(question) == asked


def objaverse(folder: Path) -> Path:
    points = {
        id: np.random.default_rng(seed).normal(size=(64, 3)).astype("f4") for seed, id in enumerate(("0ab", "1cd"))
    }
    for seed, (id, cloud) in enumerate(points.items()):
        picture(folder / "Cap3D_imgs_view2" / f"{id}_2.jpeg", seed)
        (folder / "pc" / id).mkdir(parents=True)
        np.savez(folder / "pc" / id / f"{id}_8192.npz", cloud)
    row = {"sample_ids": ["0ab", "1cd"], "question": "which object is round", "label": 1}
    rows = [row, {**row, "label": 1}, {**row, "sample_ids": ["0ab", "gone"]}, {**row, "sample_ids": "0ab"}]
    return write_json(folder / "objaverse.json", rows).parent


def test_discrn_of_pictures_and_clouds(model: OmniModel, tmp_path: Path) -> None:
    objaverse(tmp_path)
    result = run(brief(TASKS["discrn-image-3d"]), tmp_path, model)
    assert (result.status, result.num_items) == ("computed", 2)
    assert "gone_2.jpeg" in result.bad[0]["reason"] or "gone_8192.npz" in result.bad[0]["reason"]
    assert "must be a list of two" in result.bad[1]["reason"]
    plan = plan_of("discrn-image-3d", tmp_path)
    shown, other = (item.media[1] for item in plan.items)
    assert not np.array_equal(load_points(shown, 64).points, load_points(other, 64).points)  # row 1 is exchanged
    assert plan_of("discrn-image-3d-instructblip", tmp_path).settings["generation"]["length_penalty"] == 1.0
    np.savez(tmp_path / "pc" / "1cd" / "1cd_8192.npz", np.zeros(3), np.zeros((4, 2)))
    found = check("discrn/image-3d", tmp_path)
    assert found.num_items == 1
    assert any("must hold one array of points" in error.reason for error in found.bad)


def xmod_rows(folder: Path, condition: str, options: str) -> list[dict[str, Any]]:
    """Two good questions, and three that cannot be asked."""

    def value(modality: str, number: int) -> dict[str, str]:
        if modality == "text":
            return {"modality": "Text", "input": f"words {number}"}
        ending = {"audio": "wav", "image": "png", "video": "mp4"}[modality]
        path = f"benchmark/Data/some_set/{number}.{ending}"
        {"audio": sound, "image": picture, "video": video}[modality](folder / path, number)
        return {"modality": modality.title(), "input": f"./{path}"}

    question = "Which one fits?  Answer the question with A, B, C, or D."
    row = {
        **{"question": question, "conditions": value(condition, 0), "correct_answer": "C", "category": "01/x"},
        "options": {letter: value(options, number) for number, letter in enumerate("ABCD", 1)},
    }
    wrong = {"audio": "Image", "image": "Text", "text": "Video", "video": "Audio"}[condition]
    return [
        row,
        {**row, "correct_answer": "A"},
        {**row, "correct_answer": "E"},
        {**row, "options": {"A": value(options, 1)}},
        {**row, "conditions": {"modality": wrong, "input": "x"}},
    ]


@pytest.mark.parametrize(
    ("condition", "options"), [("audio", "image"), ("text", "video"), ("video", "text"), ("image", "audio")]
)
def test_xmodbench_has_options_of_any_modality(model: OmniModel, tmp_path: Path, condition: str, options: str) -> None:
    rows = xmod_rows(tmp_path, condition, options)
    pair = f"{condition}_{options}"
    (tmp_path / f"{pair}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    plan = plan_of(f"xmodbench-{condition}-{options}", tmp_path)
    first = plan.items[0]
    assert [item.right for item in plan.items] == [2, 0]
    assert first.options == (("words 1", "words 2", "words 3", "words 4") if options == "text" else (*"ABCD",))
    (message,) = first.prefix(first.media).messages
    shown = "".join(getattr(part, "text", "") or f"<{part.modality}>" for part in message.content)
    names = {"audio": "<sound>", "image": "<image>", "video": "<video>"}
    listed = "".join(
        f"\n{letter}. words {number}" if options == "text" else f"\n{letter}: {names[options]}"
        for number, letter in enumerate("ABCD", 1)
    )
    before = names.get(condition, "Context: words 0\n\n")
    post = "\nAnswer with the option's letter (A, B, C, or D) directly."
    assert shown == f"{before}{rows[0]['question']}{listed}{post}"
    assert len(named(plan)) == 3
    assert (plan.items[0].cluster == plan.items[1].cluster) == (condition != "text")  # of the same condition
    result = run(brief(TASKS[f"xmodbench-{condition}-{options}"]), tmp_path, model)
    assert (result.status, result.num_items, result.chance) == ("computed", 2, 0.25)
    likeliest = plan_of(f"xmodbench-{condition}-{options}-likelihood", tmp_path)
    assert [(item.prompt, item.options, item.right) for item in likeliest.items] == [
        (item.prompt.removesuffix(post), item.options, item.right) for item in plan.items
    ]
    found = check(f"xmodbench/{pair}", tmp_path)
    assert (found.num_items, found.num_bad) == (2, 3)


def test_a_missing_option_of_xmodbench_is_named(tmp_path: Path) -> None:
    rows = xmod_rows(tmp_path, "audio", "video")[:2]
    rows[1]["options"] = {
        **rows[1]["options"],
        "B": {"modality": "Video", "input": "./benchmark/Data/some_set/gone.mp4"},
    }
    (tmp_path / "audio_video.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = check("xmodbench/audio_video", tmp_path)
    assert (found.num_items, found.num_missing) == (1, 1)
    assert "no video benchmark/Data/some_set/gone.mp4" in found.missing[0]


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        ("discrn-audio-video", "audiocaps.json", "{}", "must hold a list of objects"),
        ("discrn-audio-video", "audiocaps.json", "[]", "the data has no rows"),
        ("xmodbench-audio-text", "audio_text.jsonl", "{broken", "line 1 is no JSON"),
        ("xmodbench-audio-text", "audio_image.jsonl", "{}", "no audio_text.jsonl"),
    ],
)
def test_files_of_another_form_are_named(
    model: OmniModel, tmp_path: Path, name: str, file: str, content: str, said: str
) -> None:
    (tmp_path / file).write_text(content)
    result = run(TASKS[name], tmp_path, model)
    assert result.status == "not computed"
    assert said in result.reason
