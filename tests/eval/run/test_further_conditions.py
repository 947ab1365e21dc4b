"""Missing, conflicting and corrupted media, and questions with attributes in them, on a tiny random model."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from eval.items.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from eval.items.insertions import with_attributes
from eval.report.markdown import markdown_report
from eval.run.results import load_results, save_results
from eval.run.runner import evaluate
from eval.task import Choose, Conflict, Generate, Match, Task
from omni.media.item import Media
from omni.model import OmniModel
from omni.samples.messages import Message, Text
from tests.tiny import recording, tiny_model

ANSWERS = ["A frog.", "A dog.", "A drum.", "A bell."]
PROMPT = "What is this?"


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm)


def manifest(folder: Path, name: str, seeds: range, **more: Any) -> Path:
    lines = []
    for index, seed in enumerate(seeds):
        media = []
        for modality, offset in (("image", 0), ("sound", 100)):
            np.save(folder / f"{modality}-{seed}.npy", recording(seed + offset))
            media.append({"type": modality, "path": f"{modality}-{seed}.npy"})
        messages = [
            {"role": "user", "content": [*media, {"type": "text", "text": PROMPT}]},
            {"role": "assistant", "content": ANSWERS[index % 4]},
        ]
        lines.append(json.dumps({"id": f"{name}-{index}", "messages": messages, **more}))
    (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder / f"{name}.jsonl"


def task(data: Path, **changes: Any) -> Task:
    values: dict[str, Any] = {
        "name": "both",
        "version": 1,
        "description": "Both.",
        "data": str(data),
        "modalities": ("image", "sound"),
        "prompt": None,
        "kind": Choose("answers"),
        "scorer": "choice-sum-v1",
    }
    return Task(**{**values, **changes})


def test_a_missing_modality_is_left_out_and_its_drop_reported(model: OmniModel, tmp_path: Path) -> None:
    data = manifest(tmp_path, "test", range(6))
    run = evaluate(model, [task(data, missing=("sound",))], progress=False)
    (result,) = run.tasks
    options = sorted(ANSWERS)
    expected = []
    for index in range(6):
        message = Message("user", (Media("image", path=str(tmp_path / f"image-{index}.npy")), Text(PROMPT)))
        expected.append(int(model.score([message], options).argmax()) == options.index(ANSWERS[index % 4]))
    missing, own = result.estimate("missing-sound"), result.primary
    assert missing is not None
    assert own is not None
    assert missing.value == pytest.approx(np.mean(expected))
    assert result.drops["missing-sound"].value == pytest.approx(own.value - missing.value)
    assert "| sound missing |" in markdown_report(run)
    save_results(run, tmp_path / "results.json")
    assert load_results(tmp_path).tasks[0].drops == result.drops


def test_a_predicted_modality_is_a_training_medium_and_needs_a_training_split(model: OmniModel, tmp_path: Path) -> None:
    data = manifest(tmp_path, "test", range(4))
    training = manifest(tmp_path, "train", range(4))
    values = {"missing": ("sound",), "fill": "predict"}
    (result,) = evaluate(model, [task(data, reference=str(training), **values)], progress=False).tasks
    assert result.scores["predicted-sound"].keys() >= {"accuracy_sum"}
    assert "predicted-sound" in result.drops
    (result,) = evaluate(model, [task(data, **values)], progress=False).tasks
    assert "no training split" in result.not_computed["predicted-sound"]
    one = task(data, reference=str(manifest(tmp_path, "few", range(2))), **values)
    (result,) = evaluate(model, [one], progress=False).tasks
    assert "at least 3 are needed" in result.not_computed["predicted-sound"]


def test_a_conflict_reports_whom_the_model_follows(model: OmniModel, tmp_path: Path) -> None:
    data = manifest(tmp_path, "test", range(8))
    one = task(data, kind=Conflict("image", "sound", num_candidates=4), scorer="conflict-v1")
    (result,) = evaluate(model, [one], progress=False).tasks
    shares = [result.scores["own"][name].value for name in ("follows_first", "follows_second", "follows_neither")]
    assert sum(shares) == pytest.approx(1)
    assert result.scores.keys() == {"own", "agreeing", "only-image", "only-sound"}
    assert result.chance == pytest.approx(1 / 4)
    assert all(item.note.startswith("against '") for item in result.items)
    assert result.scores["agreeing"]["follows_first"].value == pytest.approx(_pmi_accuracy(model, tmp_path))


def _pmi_accuracy(model: OmniModel, folder: Path) -> float:
    right = []
    for index in range(8):
        media = tuple(Media(name, path=str(folder / f"{name}-{index}.npy")) for name in ("image", "sound"))
        shown, blank = (
            model.score([Message("user", (*parts, Text(PROMPT)))], sorted(ANSWERS)) for parts in (media, ())
        )
        right.append(sorted(ANSWERS)[int((shown - blank).argmax())] == ANSWERS[index % 4])
    return float(np.mean(right))


def test_kinds_that_ask_elsewhere_say_so(model: OmniModel, tmp_path: Path) -> None:
    data = manifest(tmp_path, "test", range(4))
    one = task(data, kind=Match("sound"), scorer="match-v1", missing=("sound",))
    (result,) = evaluate(model, [one], progress=False).tasks
    assert result.not_computed["missing-sound"] == "this kind of task does not ask in it"


def test_true_attributes_stand_in_the_question(model: OmniModel, tmp_path: Path) -> None:
    data = manifest(tmp_path, "test", range(3), attributes={"this": ["small", "green"]})
    one = task(data, kind=Generate({"max_new_tokens": 3}), scorer="exact-match-v2", insertions=True)
    (result,) = evaluate(model, [one], progress=False).tasks
    assert "inserted-attributes" in result.drops
    (result,) = evaluate(model, [task(manifest(tmp_path, "none", range(3)), insertions=True)], progress=False).tasks
    assert "'attributes' of the row" in result.not_computed["inserted-attributes"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Is this a frog?", "Is this an old green frog?"),
        ("An frog sat.", "An old green frog sat."),
        ("The FROG and the frog.", "The old green FROG and the frog."),
        ("A bullfrog.", "A bullfrog."),
        ("A green frog.", "A green frog."),
    ],
)
def test_attributes_go_before_the_first_mention(text: str, expected: str) -> None:
    assert with_attributes(text, {"frog": ["old", "green"]}) == expected


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_corruption_is_worse_with_each_strength_and_the_same_each_time(name: str, tmp_path: Path) -> None:
    modality, _, kind = name.partition(":")
    generator = np.random.default_rng(0)
    if modality == "image":
        rows, columns = np.mgrid[0:160, 0:120]
        pixels = np.stack([rows, columns * 2, 60 + 40 * ((rows // 5 + columns // 5) % 2)], axis=-1)
        media = Media("image", data=Image.fromarray(pixels.astype(np.uint8)))
        original = pixels / 255
    else:
        time = np.arange(16000) / 16000
        original = 0.4 * np.sin(2 * np.pi * 440 * time) + 0.2 * generator.normal(size=16000).clip(-1.5, 1.5)
        media = Media(modality, data=original.astype(np.float32), sampling_rate=16000)
    distances = []
    for strength in STRENGTHS:
        content = corrupted(media, kind, strength, seed=0)
        assert content == corrupted(media, kind, strength, seed=0)
        if modality == "image":
            values = np.asarray(Image.open(io.BytesIO(content)), np.float64) / 255
        else:
            values = soundfile.read(io.BytesIO(content))[0]
        assert values.shape == original.shape
        distances.append(float(np.abs(values - original).mean()))
    assert distances == sorted(distances)
    assert distances[0] > 1e-4


def test_corruptions_are_conditions_and_unknown_ones_are_refused(model: OmniModel, tmp_path: Path) -> None:
    data = manifest(tmp_path, "test", range(2))
    (result,) = evaluate(model, [task(data, corruptions=("image:fog",))], progress=False).tasks
    assert "there is no corruption 'image:fog'" in result.reason
    assert "image:blur" in result.reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"missing": ("video",)}, "missing names 'video'"),
        ({"fill": "predict"}, "name that too"),
        ({"missing": ("sound",), "fill": "guess"}, "fill must be 'none' or 'predict'"),
        ({"kind": Conflict("image", "image"), "scorer": "conflict-v1"}, "two modalities"),
        ({"kind": Conflict("image", "video"), "scorer": "conflict-v1"}, "'video', which is not among"),
    ],
)
def test_wrong_declarations_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        task(tmp_path, **changes)
