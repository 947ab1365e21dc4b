"""Probes: what they learn, from which share of the labels, and the task that runs them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from eval.kinds import Probing
from eval.run.probing.classifiers import fit
from eval.run.probing.features import ProbedEncoder
from eval.run.probing.splits import neighbours, stratified
from eval.run.results import TaskResult, load_results, save_results
from eval.run.runner import evaluate
from eval.run.space import SpaceRespondent
from eval.task import Task
from omni.encoders.base import Encoder, Features
from omni.joint_space import JointSpace, LinearHead
from omni.joint_space.modality import SpaceModality
from omni.media.item import Media

LABELS = ("bird", "drum", "frog")


class Layered(Encoder):
    """Four features of an array [4]: layer 0 has nothing of it, layer 1 has it, layer 2 has half of it."""

    modality = "image"
    max_features = 4
    layers = (-1,)
    dim = 4

    @property
    def layer_widths(self) -> tuple[int, ...]:
        return (4, 4, 4)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        values = media.data if isinstance(media.data, np.ndarray) else np.load(str(media.path))
        return {"values": torch.from_numpy(np.asarray(values, dtype=np.float32))[None]}

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        values = inputs["values"][:, None].expand(-1, 4, -1)
        layers = [torch.ones_like(values), values, values[..., :1].expand(-1, -1, 4)]
        chosen = torch.cat([layers[layer] for layer in self.layers], -1)
        return Features(chosen, torch.ones(chosen.shape[:2], dtype=torch.bool))


def space() -> JointSpace:
    return JointSpace({"image": SpaceModality(Layered(), LinearHead(4, 8))}, 8)


def write_split(folder: Path, name: str, count: int, seed: int) -> str:
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        label = number % 3
        np.save(folder / f"{name}{number}.npy", np.eye(4, dtype=np.float32)[label] + 0.1 * generator.random(4))
        content = [{"type": "image", "path": f"{name}{number}.npy"}]
        rows.append(
            {"id": f"{name}{number}", "label": LABELS[label], "messages": [{"role": "user", "content": content}]}
        )
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder / f"{name}.jsonl")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    train, test = write_split(tmp_path, "train", 60, 0), write_split(tmp_path, "test", 12, 1)
    kind = Probing(train, shares=(0.1, 1.0))
    return Task("probe", 1, "P.", test, ("image",), "", kind, "probing-v1", target="meta:label", clusters=("media",))


def run(one: Task, **options: Any) -> TaskResult:
    return evaluate(SpaceRespondent(space()), [one], progress=False, **options).tasks[0]


def test_probes_find_what_the_features_hold_and_the_control_does_not(task: Task, tmp_path: Path) -> None:
    result = run(task, cache_path=tmp_path / "answers.sqlite")
    assert result.status == "computed", result.reason
    assert (result.metric, result.chance, result.num_items) == ("accuracy_linear_100", pytest.approx(1 / 3), 12)
    own = {name: estimate.value for name, estimate in result.scores["own"].items()}
    names = [f"accuracy_{kind}_{share}" for kind in ("linear", "attentive") for share in (100, 10)]
    assert {*own} == {*names, "recall_at_1_neighbours", "precision_neighbours"}
    assert own["accuracy_linear_100"] == own["accuracy_attentive_100"] == 1
    assert result.scores["shuffled"]["accuracy_linear_100"].value < 0.9
    assert result.difference is not None
    assert result.settings["training_items"] == {"100 %": "60 of 60 training items", "10 %": "6 of 60 training items"}
    weights = result.settings["layer_weights"]["linear"]["image"]
    assert max(weights, key=weights.__getitem__) == "1"
    assert result.settings["layers"] == {"image": [0, 1, 2]}
    again = run(task, cache_path=tmp_path / "answers.sqlite")
    assert again.scores == result.scores
    assert again.settings == result.settings


def test_the_result_survives_its_file_and_the_encoders_own_layer_alone_can_be_probed(
    task: Task, tmp_path: Path
) -> None:
    kind = Probing(task.kind.train, ("linear",), "last", (1.0,))  # type: ignore[attr-defined]
    done = evaluate(SpaceRespondent(space()), [task.changed(kind=kind)], progress=False)
    assert done.tasks[0].settings["layers"] == {"image": "the encoder's own"}
    save_results(done, tmp_path / "results.json")
    assert load_results(tmp_path).tasks[0].scores == done.tasks[0].scores


def test_items_that_cannot_be_used_are_named(task: Task, tmp_path: Path) -> None:
    (tmp_path / "test1.npy").write_bytes(b"no array")
    (tmp_path / "train1.npy").write_bytes(b"no array")
    rows = (tmp_path / "test.jsonl").read_text().replace('"test2", "label": "frog"', '"test2", "label": "wren"')
    (tmp_path / "test.jsonl").write_text(rows)
    task = task.changed(kind=Probing(task.kind.train, ("linear",), shares=(1.0,)))  # type: ignore[attr-defined]
    result = run(task)
    assert {one["id"]: one["reason"].partition(":")[0] for one in result.bad}.keys() == {"test1", "test2"}
    assert "has the label 'wren', which no training item has" in [one["reason"] for one in result.bad]
    assert (result.num_items, result.settings["training_items_unreadable"]) == (10, 1)
    (tmp_path / "train.jsonl").write_text((tmp_path / "train.jsonl").read_text().split("\n")[0])
    assert "a probe needs training items of at least two labels" in run(task).reason


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Probing("x", ("mlp",)), "classifiers are 'linear' and 'attentive'"),  # type: ignore[arg-type]
        (Probing("x", layers="some"), "layers is 'last' or 'all'"),  # type: ignore[arg-type]
        (Probing("x", shares=(0.0,)), "shares are numbers above 0"),
        (Probing("x", limit=0), "limit must be at least 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(kind: Probing, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Task("probe", 1, "P.", "x", ("image",), "", kind, "probing-v1", target="meta:label")


# --- parts ---


def test_a_query_attends_to_the_one_position_that_tells(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    noise = torch.randn(90, 6, 8, generator=generator)
    noise[torch.arange(90), torch.randint(0, 5, (90,), generator=generator), labels] += 12
    mask = torch.ones(90, 6, dtype=torch.bool)
    mask[:, 5] = False
    noise[:, 5] = 1e4  # not real: it must not count
    split = {"image": (noise, mask)}
    widths = {"image": (4, 4)}
    first, again = (fit("attentive", split, labels, split, widths, 3, seed=1) for _ in range(2))
    assert (first.predicted == labels).float().mean() > 0.95
    assert torch.equal(first.predicted, again.predicted)
    assert first.layer_weights == again.layer_weights
    assert sum(first.layer_weights["image"]) == pytest.approx(1, abs=1e-5)


def test_two_modalities_are_probed_together_and_layers_may_differ_in_width() -> None:
    labels = torch.arange(80) % 4
    one, two = (labels % 2).float()[:, None, None].repeat(1, 1, 5), (labels // 2).float()[:, None, None].repeat(1, 1, 3)
    mask = torch.ones(80, 1, dtype=torch.bool)
    both = {"image": (one, mask), "sound": (two, mask)}
    widths = {"image": (2, 3), "sound": (3,)}
    found = fit("linear", both, labels, both, widths, 4, seed=0)
    assert torch.equal(found.predicted, labels)
    alone = fit("linear", {"image": both["image"]}, labels, {"image": both["image"]}, {"image": (2, 3)}, 4, seed=0)
    assert (alone.predicted == labels).float().mean() <= 0.5


def test_shares_are_stratified_nested_and_have_every_label() -> None:
    labels = ["a"] * 60 + ["b"] * 38 + ["c"] * 2
    tenth, half = stratified(labels, 0.1, 0), stratified(labels, 0.5, 0)
    assert [sum(labels[index] == name for index in tenth) for name in "abc"] == [6, 4, 1]
    assert {*tenth} <= {*half}
    assert stratified(labels, 0.1, 0) == tenth != stratified(labels, 0.1, 1)
    assert stratified(labels, 1.0, 0) == [*range(100)]


def test_neighbours_of_the_own_cluster_do_not_count() -> None:
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [0.9, 0.1]])
    labels = ["x", "x", "y", "y", "z"]
    kept, precisions, firsts, chance = neighbours({"image": rows}, labels, [0, 1, 2, 3, 4])
    assert (kept, precisions, firsts) == ([0, 1, 2, 3], [1.0] * 4, [1.0] * 4)
    assert chance == pytest.approx(1 / 4)
    together = neighbours({"image": rows}, labels, [0, 0, 2, 3, 4])
    assert together[0] == [2, 3]  # the two x are one picture


def test_layers_are_evenly_chosen_with_the_last() -> None:
    chosen = ProbedEncoder.of(Layered(), True, 2)
    assert (chosen.layers, chosen.widths, chosen.encoder.dim) == ((0, 2), (4, 4), 8)
    assert ProbedEncoder.of(Layered(), True, 1).layers == (2,)
    assert ProbedEncoder.of(Layered(), False, 9).layers == ()
