"""The bridge: an encoder's own labels as text, by hand from the LLM's likelihoods; and encoders without labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eval.items.prefix import Place, Prefix, Turn
from eval.run.baselines.bridge import in_words, with_bridge
from eval.run.cache import AnswerCache
from eval.run.planning import plan_task
from eval.run.runner import evaluate
from eval.task import Choose, Generate, Task
from omni.config import LLMConfig, ModalityConfig, ModelConfig, from_dict
from omni.model import OmniModel, build_model
from omni.samples.messages import Media, Message, Text
from tests.tiny import MLP, SensorEncoder, recording, tiny_model

ANSWERS = ["A frog.", "A dog.", "A drum."]
PROMPT = "What is this?"


class LabelledSensor(SensorEncoder):
    """A sensor whose loudest axis has a name."""

    def label_names(self) -> list[str]:
        return ["left", "right", "up"]

    def label_probabilities(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs["values"].abs().mean(dim=(0, 1)).softmax(0)


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    torch.manual_seed(0)
    encoder = {"class_path": f"{__name__}.LabelledSensor", "init_args": {}}
    modality = from_dict(ModalityConfig, {"encoder": encoder, "adapter": MLP, "cue": "image: "})
    return build_model(ModelConfig(from_dict(LLMConfig, {"name": str(tiny_llm)}), {"image": modality}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    rows = []
    for index in range(6):
        np.save(place / f"{index}.npy", recording(index))
        content = [{"type": "image", "path": f"{index}.npy"}]
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": ANSWERS[index % 3]}]
        rows.append(json.dumps({"id": str(index), "messages": messages}))
    (place / "test.jsonl").write_text("\n".join(rows[:3]))
    (place / "train.jsonl").write_text("\n".join(rows[3:]))
    return place


def task_of(folder: Path, **changes: object) -> Task:
    data = str(folder / "test.jsonl")
    task = Task("toys", 1, "A choice.", data, ("image",), PROMPT, Choose("answers"), "choice-pmi-v1")
    return task.changed(**changes)


def labels_of(folder: Path, index: int) -> str:
    encoder = LabelledSensor()
    inputs = encoder.preprocess(Media("image", path=str(folder / f"{index}.npy")))
    order = encoder.label_probabilities(inputs).argsort(descending=True).tolist()
    return ", ".join(encoder.label_names()[place] for place in order)


@pytest.mark.parametrize("reference", [None, "train.jsonl"])
def test_the_llm_ranks_the_same_candidates_with_labels_in_place_of_media(
    model: OmniModel, folder: Path, reference: str | None
) -> None:
    source = None if reference is None else str(folder / reference)
    result = evaluate(model, [task_of(folder, reference=source)], progress=False, linear_maps=False).tasks[0]

    def told(text: str) -> np.ndarray:
        return model.score([Message("user", (Text(text),))], sorted(ANSWERS)).double().numpy()

    def sentence(index: int) -> str:
        return f"A picture was tagged automatically with: {labels_of(folder, index)}.\n{PROMPT}"

    base = told(PROMPT)
    if reference is not None:
        base = np.logaddexp.reduce([told(sentence(index)) for index in (3, 4, 5)], axis=0) - np.log(3)
    best = [sorted(ANSWERS)[int((told(sentence(index)) - base).argmax())] for index in range(3)]
    bridge = result.estimate("bridge")
    assert bridge is not None
    assert bridge.value == pytest.approx(np.mean([found == right for found, right in zip(best, ANSWERS, strict=True)]))
    assert bridge == result.scores["bridge"]["accuracy_pmi"]
    assert result.settings["bridge"] == "the 5 likeliest labels as text"
    assert "bridge-reference" not in result.scores


def test_an_encoder_without_labels_says_so(tiny_llm: Path, folder: Path) -> None:
    result = evaluate(tiny_model(tiny_llm), [task_of(folder)], progress=False, linear_maps=False).tasks[0]
    assert result.not_computed["bridge"] == "SensorEncoder has no classifier with named classes"
    assert "bridge" not in result.scores


@pytest.mark.parametrize("broken", [1, 3])
def test_items_whose_media_have_no_labels_are_counted(
    model: OmniModel, folder: Path, tmp_path: Path, broken: int
) -> None:
    for index in range(3):
        np.save(tmp_path / f"{index}.npy", np.ones((4, 7 if index < broken else 3), np.float32) * index)
    (tmp_path / "test.jsonl").write_text((folder / "test.jsonl").read_text())
    plan = with_bridge(model, plan_task(task_of(tmp_path), limit=None, seed=0), AnswerCache(None, "model"))
    if broken == 3:
        assert "no item has labels; the first: " in plan.not_computed["bridge"]
        assert "[T, 3]" in plan.not_computed["bridge"]
    else:
        assert plan.settings["bridge"] == "the 5 likeliest labels as text, 1 items without labels left out"
        assert [len(prefixes) for prefixes in plan.conditions["bridge"]] == [0, 1, 1]


def test_what_is_no_choice_has_no_bridge_and_it_can_be_left_out(model: OmniModel, folder: Path) -> None:
    written = task_of(folder, name="written", kind=Generate({"max_new_tokens": 2}), scorer="exact-match-v2")
    first, second = evaluate(model, [written, task_of(folder)], progress=False, bridges=False).tasks
    assert first.not_computed["bridge"] == second.not_computed["bridge"] == "switched off for this run"
    (alone,) = evaluate(model, [written], progress=False).tasks
    assert alone.not_computed["bridge"] == "only a choice among candidates has one"


def test_media_between_texts_and_in_examples_become_sentences_in_their_places() -> None:
    def sentence(media: Media) -> str:
        return f"[{media.path}]"

    first, second, shown = (Media("image", path=name) for name in ("a", "b", "c"))
    turns = (
        Turn("system", (Text("Look."),)),
        Turn("user", (Text("One "), Place("image"), Text(" two "), Place("image"))),
    )
    shots = (Message("user", (shown, Text("?"))), Message("assistant", (Text("A frog."),)))
    found = in_words(Prefix((first, second), " two ", turns, shots), sentence).messages
    assert [(one.role, one.text) for one in found] == [
        ("system", "Look."),
        ("user", "[c]?"),
        ("assistant", "A frog."),
        ("user", "One [a] two [b]"),
    ]
    assert not any(one.media for one in found)
