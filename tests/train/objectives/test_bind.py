"""Binding modalities in a joint space: the whole batch whatever its pieces, frozen anchors, folders, and refusals."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.numpy import load_file
from torch import Tensor

from omni.joint_space import JointSpace
from omni.losses import InfoNCE, PairLoss
from omni.readers import open_dataset
from omni.samples.messages import parse_sample
from tests.tiny_space import tiny_space
from tests.train.runs import metrics, row, run, write_manifest
from train.data.bad_samples import LeftOutError
from train.objectives import BindObjective, EmbeddedRows
from train.preflight.checks import preflight
from train.recipe import load_recipe, load_recipes
from train.run.loop import Trainer

WORDS = ["frog", "dog", "drum", "bell", "cat", "cow", "car", "bird"]


def rows(count: int = 24) -> list[dict[str, Any]]:
    """Picture and text, sound and text, and some with all three."""
    kinds = [["image"], ["sound"], ["image", "sound"]]
    return [
        row(f"row-{i}", [f"{name}:{(i * 5) % 16}.npy" for name in kinds[i % 3]], f"a {WORDS[i % 8]} {i % 2}")
        for i in range(count)
    ]


def write_bind(folder: Path, objective: Any = "bind", head: str = "LinearHead", **train: Any) -> Path:
    data = write_manifest(folder / "data", rows())
    dropout = {} if head == "IdentityHead" else {"dropout": 0.3}
    sensors = {
        name: {
            "encoder": {"class_path": "tests.tiny.SensorEncoder", "init_args": {"seed": seed}},
            "head": {"class_path": f"omni.joint_space.{head}", "init_args": dropout},
        }
        for seed, name in enumerate(("image", "sound"))
    }
    text = {
        "encoder": {"class_path": "tests.tiny_space.WordEncoder", "init_args": {"dim": 8}},
        "head": {"class_path": "omni.joint_space.IdentityHead"},
    }
    recipe = {
        "joint_space": {"dim": 8, "modalities": {**sensors, "text": text}},
        "objective": objective,
        "data": {"train": [{"path": str(data)}], "evaluation": [{"path": str(data)}]},
        "train": {
            "output_dir": str(folder / "run"),
            "steps": 4,
            "batch_size": 12,
            "lr": 1e-2,
            "num_workers": 0,
            "log_every": 1,
        }
        | train,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "recipe.yaml"


def train(recipe: Path, *overrides: str) -> Trainer:
    trainer = Trainer(load_recipe(recipe, overrides))
    trainer.run()
    return trainer


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(str(folder / "joint_space.safetensors"))


def assert_close(first: Path, second: Path, tolerance: float) -> None:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=tolerance, rtol=0, err_msg=name)


class PerDimension(PairLoss):
    """A loss of one's own with a weight for each dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(0.5, 2, 8))

    def forward(self, first: Tensor, second: Tensor, same: Tensor, logit_scale: Tensor) -> Tensor:
        return InfoNCE()(first * self.weight, second, same, logit_scale)


LOSSES = ["InfoNCE", "SigmoidLoss", "FILIP", "CWCL", "Symile"]


@pytest.mark.parametrize(
    "name", [*(f"omni.losses.{name}" for name in LOSSES), "tests.train.objectives.test_bind.PerDimension"]
)
def test_gradients_in_pieces_equal_those_of_the_plain_big_batch(name: str, tmp_path: Path) -> None:
    space, data = tiny_space(head="omni.joint_space.MLPHead", hidden_dim=8), write_manifest(tmp_path, rows())
    objective = BindObjective({"class_path": name})
    objective.begin_run(space)
    samples = open_dataset(str(data))
    batch = [objective.prepare(space, samples[i]) for i in range(12)]  # type: ignore[arg-type]

    torch.manual_seed(7)
    plain, _ = objective(space, batch, 12, packed=False)
    plain.backward()
    trained = {**space.trainable_parameters(), **dict(objective.named_parameters())}
    expected = {key: weight.grad.clone() for key, weight in trained.items() if weight.grad is not None}
    for weight in trained.values():
        weight.grad = None

    pieces = [batch[:5], batch[5:6], [], batch[6:]]
    with torch.no_grad():
        parts = [objective.embed(space, piece).detached() for piece in pieces]
    torch.manual_seed(7)
    objective.plan_rows(space, parts, [0, 1, 3])
    losses = []
    for piece in (pieces[0], pieces[1], pieces[3]):
        loss, _ = objective(space, piece, 12, packed=False)
        loss.backward()
        losses.append(loss.item())
    assert sum(losses) == pytest.approx(plain.item(), abs=1e-5)
    assert len(expected) >= 13
    for key, gradient in expected.items():
        found = trained[key].grad
        assert found is not None
        torch.testing.assert_close(found, gradient, atol=1e-5, rtol=0, msg=key)


def test_single_rows_hold_themselves_alone_and_join_to_the_whole() -> None:
    values = {"image": torch.randn(200, 4, 8), "text": torch.randn(100, 2, 8)}
    masks = {name: rows[..., 0] > -1 for name, rows in values.items()}
    rows = {"image": [*range(200)], "text": [*range(0, 200, 2)]}
    whole = EmbeddedRows(values, masks, rows, [str(i) for i in range(200)])
    parts = whole.single_rows()
    joined = EmbeddedRows.joined(parts, torch.device("cpu"))
    assert joined.rows == rows
    assert joined.groups == whole.groups
    assert all(torch.equal(joined.values[name], values[name]) for name in values)
    assert len(pickle.dumps(parts[0])) < 4000  # what other processes are sent: not all 26,000 bytes of the pictures


def test_a_last_row_that_nothing_can_be_compared_with_does_not_lower_the_held_out_loss(tmp_path: Path) -> None:
    trainer = Trainer(load_recipe(write_bind(tmp_path, batch_size=8)))
    space, objective = trainer.model, trainer.training_step.sample_objective
    assert isinstance(space, JointSpace)
    assert isinstance(objective, BindObjective)
    samples = open_dataset(str(tmp_path / "data" / "data.jsonl"))
    with torch.no_grad():
        examples = [objective.prepare(space, samples[i]) for i in range(9)]  # type: ignore[arg-type]
        embedded = [*enumerate(objective.embed(space, examples).single_rows())]
        total, count = objective.held_out_loss(space, embedded[:8], 8, 0)
        assert total > 0
        assert objective.held_out_loss(space, embedded, 8, 0) == (total, count) == (total, 8)


def test_accumulation_equals_a_bigger_batch_up_to_where_dropout_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    options = {"loss": {"class_path": "omni.losses.SigmoidLoss", "init_args": {"bias": -3.0}}}
    objective = {"class_path": "train.objectives.BindObjective", "init_args": options}
    for name, size, count in (("a", 12, 1), ("b", 3, 4)):
        recipe = write_bind(tmp_path / name, objective, batch_size=size, accumulation_steps=count)
        for one in ("image", "sound"):
            text = recipe.read_text().replace("dropout: 0.3", "dropout: 0.0")
            recipe.write_text(text)
            assert one in text
        train(recipe)
    for name in ("loss", "gradient_norm", "evaluation_loss"):
        values = [metrics(tmp_path / run_name / "run", name) for run_name in ("a", "b")]
        assert values[1] == pytest.approx(values[0], rel=1e-4), name
    assert_close(tmp_path / "a" / "run" / "last", tmp_path / "b" / "run" / "last", 1e-4)


def test_a_stopped_run_continues_to_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    train(write_bind(tmp_path / "whole", batch_size=6, accumulation_steps=2, schedule="constant"))
    recipe = write_bind(tmp_path / "parts", batch_size=6, accumulation_steps=2, schedule="constant", steps=2)
    train(recipe)
    state = tmp_path / "parts" / "run" / "last" / "trainer_state" / "state.json"
    state.write_text(state.read_text().replace('"steps": 2', '"steps": 4'))
    (tmp_path / "parts" / "run" / "last" / "SHA256SUMS").unlink()  # for the change just made is no damage
    train(recipe, "--train.steps", "4")
    assert_close(tmp_path / "whole" / "run" / "last", tmp_path / "parts" / "run" / "last", 0)


def test_training_binds_and_leaves_the_frozen_anchor_as_it_is(tmp_path: Path) -> None:
    objective = {"class_path": "train.objectives.BindObjective", "init_args": {"anchors": ["text"]}}
    trainer = train(write_bind(tmp_path, objective, steps=40, batch_size=24))
    losses = metrics(tmp_path / "run", "loss")
    assert losses[40] < 0.75 * losses[1]
    assert {"loss_text_image", "loss_text_sound", "logit_scale"} <= set(
        (tmp_path / "run" / "metrics.jsonl").read_text().replace('"', " ").split()
    )
    assert "loss_image_sound" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    before = tiny_space().embed({"text": ["a frog 0"]})["text"]
    space = JointSpace.load(tmp_path / "run" / "best")
    assert torch.equal(space.embed({"text": ["a frog 0"]})["text"], before)
    found = space.embed({"image": [str(tmp_path / "data" / "5.npy")]})["image"]
    torch.testing.assert_close(found, trainer.model.embed({"image": [str(tmp_path / "data" / "5.npy")]})["image"])  # type: ignore[operator]


@pytest.mark.distributed
def test_two_processes_equal_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert run(write_bind(tmp_path / "one", batch_size=4, accumulation_steps=4)).returncode == 0
    two = run(write_bind(tmp_path / "two", batch_size=4, accumulation_steps=2), processes=2)
    assert two.returncode == 0, two.stderr
    for name in ("loss", "evaluation_loss"):
        values = [metrics(tmp_path / run_name / "run", name) for run_name in ("one", "two")]
        assert values[1] == pytest.approx(values[0], rel=1e-5), name
    assert_close(tmp_path / "one" / "run" / "last", tmp_path / "two" / "run" / "last", 1e-5)


def test_rows_that_cannot_be_bound_say_why() -> None:
    space, objective = tiny_space(), BindObjective(anchors=["text"])
    alone = parse_sample(row("alone", ["image:0.npy"], "a frog"))
    silent = parse_sample({"id": "silent", "messages": [{"role": "user", "content": [{"type": "image", "path": "0"}]}]})
    with pytest.raises(LeftOutError, match=r"sample 'silent': holds image of the space's"):
        objective.prepare(space, silent)
    empty = parse_sample({"id": "empty", "messages": [{"role": "user", "content": [{"type": "depth", "path": "0"}]}]})
    with pytest.raises(ValueError, match=r"sample 'empty': holds nothing of the space's") as error:
        objective.prepare(space, empty)
    assert not isinstance(error.value, LeftOutError)
    two = parse_sample(row("two", ["image:0.npy", "image:1.npy"], "a frog"))
    with pytest.raises(ValueError, match="several items of one modality"):
        objective.prepare(space, two)
    with pytest.raises(ValueError, match=r"none of which is an anchor \(\['sound'\]\)"):
        BindObjective(anchors=["sound"]).prepare(space, alone)


def test_rows_with_a_single_item_are_left_out_uncounted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = write_bind(tmp_path, steps=None, epochs=1, batch_size=10)
    single = [row(f"single-{i}", [], f"a {WORDS[i]}", "what is this") for i in range(6)]  # texts alone
    write_manifest(tmp_path / "data", [*rows(24), *single])
    trainer = train(recipe, "--data.max_bad_share", "0")
    assert trainer.state.samples == 24
    logs = trainer.records.bad_samples, trainer.records.bad_evaluation_samples
    assert [(log.num_seen, log.num_bad, log.num_left_out) for log in logs] == [(24, 0, 6)] * 2
    assert not (tmp_path / "run/bad_samples.jsonl").exists()
    said = capfd.readouterr().err
    assert said.count("left out, and rows like it: single-") == 1
    assert "binding needs at least two" in said
    good = preflight(load_recipes(recipe), Console(file=(output := io.StringIO())))
    assert good, output.getvalue()
    assert "samples are left out, and not counted as bad, such as single-" in output.getvalue()


def test_a_run_over_rows_with_single_items_alone_trains_nothing_and_ends_with_an_error(tmp_path: Path) -> None:
    recipe = write_bind(tmp_path, steps=2)
    write_manifest(tmp_path / "data", [row(f"single-{i}", [], f"a {WORDS[i]}", "what is this") for i in range(8)])
    with pytest.raises(ValueError, match=r"nothing was trained: none of the 2 steps .* 24 samples were left out"):
        train(recipe)
    assert not (tmp_path / "run/best").exists()
    assert not preflight(load_recipes(recipe), Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--train.packing", "true"], "train.packing belongs to a model with an LLM"),
        (["--objective", "bound"], "'bound' is none of"),
        (["--objective", "language_model"], "a joint space is trained by"),
        (["--objective.init_args.anchors", "[depth]"], "the space has no modality 'depth'"),
        (["--objective.init_args.loss.class_path", "torch.nn.Linear"], "loss"),
        (["--joint_space.dim", "0"], "joint_space.dim is 0"),
        (["--train.batch_size", "1"], "compares the rows of a step, but a step has 1"),
        (["--add_lora.r", "4"], "add_lora belongs to a model with an LLM"),
    ],
)
def test_recipes_that_do_not_fit_a_space_are_refused(overrides: list[str], message: str, tmp_path: Path) -> None:
    recipe = write_bind(tmp_path, {"class_path": "train.objectives.BindObjective"})
    with pytest.raises(ValueError, match=message):
        Trainer(load_recipe(recipe, overrides))
