"""The linear map in a run: figures by hand, what it is fitted on, and why there is none."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from eval.run.baselines.ridge import _fits
from eval.run.planning import plan_task
from eval.run.results import TaskResult
from eval.run.runner import evaluate
from eval.scorers import ChoiceAnswer, get_scorer
from eval.task import Choose, Generate, Match, Probe, Task
from omni.encoders import TextEncoder
from omni.media.item import Media
from omni.model import OmniModel
from tests.tiny import recording, tiny_model, tiny_tokenizer

LABELS = {"soft": "A soft bell.", "loud": "A loud drum."}
NUM_TRAINING = 24


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm)


@pytest.fixture(scope="module")
def sentence_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("sentences")
    tokenizer = tiny_tokenizer()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of recordings that a line parts; the answers say more than the classes."""
    place = tmp_path_factory.mktemp("data")
    splits: dict[str, list[str]] = {"train": [], "test": []}
    for index in range(NUM_TRAINING + 8):
        for modality in ("image", "sound"):
            values = recording(index) * 0.1 + (1.0 if index % 2 else -1.0)
            np.save(place / f"{modality}-{index}.npy", values.astype(np.float32))
        content = [{"type": name, "path": f"{name}-{index}.npy"} for name in ("image", "sound")]
        kind = ["soft", "loud"][index % 2]
        answer = f"{LABELS[kind][:-1]} of the number {index}."
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
        row = {"id": str(index), "messages": messages, "kind": kind}
        splits["train" if index < NUM_TRAINING else "test"].append(json.dumps(row))
    for split, rows in splits.items():
        (place / f"{split}.jsonl").write_text("\n".join(rows))
    return place


def task_of(folder: Path, **changes: object) -> Task:
    values = {"train": str(folder / "train.jsonl"), "target": "meta:kind", "train_target": "answer"} | changes
    kind = values.pop("kind", Choose("labels", labels=LABELS))
    scorer = values.pop("scorer", "choice-sum-v1")
    modalities = values.pop("modalities", ("image",))
    data = str(folder / "test.jsonl")
    return Task("bells", 1, "A choice.", data, modalities, "What?", kind, scorer, **values)  # pyright: ignore


@pytest.fixture
def run(model: OmniModel, sentence_encoder: str, tmp_path: Path) -> Callable[..., TaskResult]:
    def one(task: Task, **options: object) -> TaskResult:
        options = {"text_encoder": sentence_encoder, "progress": False} | options
        return evaluate(model, [task], **options).tasks[0]  # pyright: ignore

    return one


def embed(encoder: TextEncoder, text: str) -> np.ndarray:
    values, mask = encoder(encoder.preprocess(Media("text", data=text.encode())))
    mean = values[mask].double().mean(0).numpy()
    return mean / np.linalg.norm(mean)


def test_it_ranks_as_ridge_regression_by_hand_does(run, model: OmniModel, folder: Path, sentence_encoder: str) -> None:
    result = run(task_of(folder))
    encoder, text = model.modality("image").encoder, TextEncoder(sentence_encoder)

    def features(index: int) -> np.ndarray:
        values, mask = encoder(encoder.preprocess(Media("image", path=str(folder / f"image-{index}.npy"))))
        return values[mask].double().mean(0).numpy()

    x = np.stack([features(index) for index in range(NUM_TRAINING)])
    answers = [f"{[*LABELS.values()][index % 2][:-1]} of the number {index}." for index in range(NUM_TRAINING)]
    strength = float(result.settings["linear_map"].partition("strength ")[2].split()[0])
    maps = {one.strength: one for one in _fits(x, np.stack([embed(text, answer) for answer in answers]))}
    labels = np.stack([embed(text, label) for label in LABELS.values()]) - maps[strength].target_mean
    labels /= np.linalg.norm(labels, axis=1, keepdims=True)
    test = np.stack([features(index) for index in range(NUM_TRAINING, NUM_TRAINING + 8)])
    best = (maps[strength].centred(test) @ labels.T).argmax(1)
    right = (best == np.arange(NUM_TRAINING, NUM_TRAINING + 8) % 2).astype(float)
    assert result.linear_map.value == right.mean() == 1.0
    assert result.linear_map_difference.value == pytest.approx(result.primary.value - 1)
    assert f"{NUM_TRAINING} items of" in result.settings["linear_map"]
    assert result.linear_map_seconds >= 0
    assert "linear map" not in result.scores


def test_several_modalities_have_an_equal_say(run, folder: Path) -> None:
    result = run(task_of(folder, modalities=("image", "sound")))
    assert result.linear_map.value == 1.0
    assert "from 16 frozen features" in result.settings["linear_map"]


@pytest.mark.parametrize("scorer", ["choice-bytes-v1", "choice-pmi-v1", "classification-mean-v1"])
def test_every_scorer_ranks_by_the_cosine_itself(run, folder: Path, scorer: str) -> None:
    assert run(task_of(folder, scorer=scorer)).linear_map.value == 1.0


def test_no_length_divides_what_is_no_likelihood(folder: Path) -> None:
    kind = Choose("labels", labels={"soft": "A very long soft bell.", "loud": "B."})
    item = plan_task(task_of(folder, kind=kind), limit=None, seed=0).items[0]
    answer = ChoiceAnswer(item, [[-0.3, -0.2]], [0.0, 0.0], [1, 1], are_likelihoods=False)
    scores = get_scorer("choice-bytes-v1").score([answer], condition="linear map", seed=0)
    assert scores.items[0].text == "B."  # by bytes, the long one would lose less


def test_without_a_target_of_its_own_it_learns_the_right_options(run, folder: Path) -> None:
    result = run(task_of(folder, train_target=None))
    assert result.linear_map.value == 1.0
    assert "(answer)" not in result.settings["linear_map"]


def test_items_that_show_what_is_asked_about_are_not_learned(run, folder: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for name in ("train", "test") for line in (folder / f"{name}.jsonl").open()]
    for row in rows:
        for part in row["messages"][0]["content"]:
            part["path"] = str(folder / part["path"])
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert f"on {NUM_TRAINING} items" in run(task_of(folder, train=str(tmp_path / "all.jsonl"))).settings["linear_map"]
    alone = run(task_of(folder, train=str(folder / "test.jsonl")))
    assert "all of them show media that are asked about" in alone.not_computed["linear map"]


def test_the_split_is_that_of_the_probe_or_the_reference_where_none_is_named(folder: Path) -> None:
    assert task_of(folder, train=None).training_split is None
    assert task_of(folder, train=None, reference="ref.jsonl").training_split == "ref.jsonl"
    assert (
        task_of(folder, train=None, reference="ref.jsonl", probe=Probe("probe.jsonl")).training_split == "probe.jsonl"
    )
    assert task_of(folder).changed(data="mine.jsonl").training_split is None


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"train": None}, {}, "the task names no training split"),
        ({"train": "missing.jsonl"}, {}, "missing.jsonl"),
        ({}, {"linear_maps": False}, "switched off"),
        ({}, {"text_encoder": "/no/such/folder"}, "/no/such/folder"),
        ({"kind": Generate({"max_new_tokens": 2}), "scorer": "exact-match-v2"}, {}, "only a choice"),
        ({"kind": Match("image"), "scorer": "match-v1"}, {}, "only a choice"),
    ],
)
def test_where_there_is_none_the_result_says_why(
    run, folder: Path, changes: dict[str, object], options: dict[str, object], reason: str
) -> None:
    result = run(task_of(folder, **changes), **options)
    assert (result.status, result.linear_map, result.linear_map_difference) == ("computed", None, None)
    assert reason in result.not_computed["linear map"]


def test_a_starter_that_is_not_fetched_says_how_to(
    run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNI_HOME", str(tmp_path))
    result = run(task_of(folder), text_encoder="starter:minilm")
    assert "python -m omni fetch minilm" in result.not_computed["linear map"]
