"""Objectives of a user's own over all samples of a step: from a file of his own, over both kinds of model."""

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.numpy import load_file

from omni.config.components import build
from omni.readers import open_dataset
from tests.tiny import tiny_model
from tests.train.objectives.test_bind import write_bind
from tests.train.runs import WORDS, metrics, row, run, write_manifest, write_recipe
from train.objectives import WholeBatchObjective
from train.objectives.contract import ObjectiveContract
from train.preflight.checks import preflight
from train.recipe import load_recipe, load_recipes
from train.run.loop import Trainer

# what a user would write in a file of his own
USERS_FILE = '''
import torch
import torch.nn.functional as F
from torch import nn

from omni.joint_space.rows import items_of
from omni.model.batch import Example
from train.objectives import EmbeddedRows, WholeBatchObjective


def contrast(first, second, scale):
    """Symmetric InfoNCE of rows that belong together."""
    logits = scale * first @ second.T
    targets = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


class MediaAndWords(WholeBatchObjective):
    """Mean media tokens near the mean words of their answer, through a layer and a temperature of its own."""

    runs_llm = False

    def __init__(self, llm_dim):
        super().__init__()
        self.project = nn.Linear(llm_dim, 8)
        self.log_scale = nn.Parameter(torch.tensor(1.0))
        self.seen = []  # the embeddings of every pass

    def embed(self, model, batch):
        tokens = torch.stack([torch.cat(found).mean(0) for found in model.media_tokens(batch)])
        answers = [example.labels[example.labels >= 0] for example in batch]
        words = torch.stack([model.llm.embed(answer).mean(0) for answer in answers])
        media = F.normalize(self.project(tokens.float()), dim=-1)
        self.seen.append(media.detach())
        text = F.normalize(self.project(words.float()), dim=-1)
        every = [*range(len(batch))]
        return EmbeddedRows({"media": media, "text": text}, {}, {"media": every, "text": every},
                            [example.id for example in batch])

    def whole_batch_loss(self, model, rows):
        loss = contrast(rows.values["media"], rows.values["text"], self.log_scale.exp())
        return loss, {"scale": self.log_scale.exp().detach()}


class PicturesAndWords(WholeBatchObjective):
    """The same in a joint space, which it lays out the samples for."""

    trains = "joint_space"

    def prepare(self, model, sample):
        media = [model.prepare_media(item, sample.id, i) for i, item in enumerate(items_of(model, sample))]
        empty = torch.zeros(0, dtype=torch.long)
        return Example(sample.id, empty, torch.zeros(1, dtype=torch.long), media, 1)

    def embed(self, model, batch):
        found = EmbeddedRows(groups=[example.id for example in batch])
        for name in ("image", "text"):
            items = [[item for item in example.media if item.modality == name][0] for example in batch]
            found.values[name] = F.normalize(model.embed_features(name, model.encode_items(name, items)), dim=-1)
            found.rows[name] = [*range(len(batch))]
        return found

    def loss_parameters(self, model):
        return [model.log_logit_scale]

    def whole_batch_loss(self, model, rows):
        return contrast(rows.values["image"], rows.values["text"], model.logit_scale), {}


class NearTheMean:
    """Without any base class: media tokens near the mean of the step and of the steps before, which it remembers."""

    def __init__(self):
        self.memory = torch.zeros(())
        self.num_samples = 1

    def begin_step(self, num_samples):
        self.num_samples = num_samples

    def _means(self, model, batch):
        return [torch.cat(found).mean(0) for found in model.media_tokens(batch)]

    def plan_step(self, model, micro_batches, context):
        found = []
        with torch.no_grad(), context.autocast():
            for index, batch in enumerate(micro_batches):
                context.seed_pass(index)
                found.append(self._means(model, batch) if batch else [])
        of_all = context.gather(found)
        in_order = [row for parts in zip(*of_all) for part in parts for row in part]
        self.memory = self.memory / 2 + torch.stack(in_order).mean(0)
        return [*micro_batches]

    def __call__(self, model, batch, num_answer_tokens, *, packed):
        loss = sum((row - self.memory).pow(2).sum() for row in self._means(model, batch)) / self.num_samples
        return loss, {"distance": loss.detach()}

    def evaluate(self, model, batches, context):
        total, count = 0.0, 0
        for batch in batches:
            if batch.examples:
                total += float(sum((row - self.memory).pow(2).sum() for row in self._means(model, batch.examples)))
                count += len(batch.examples)
        return total, count

    def objective_state(self):
        return {"memory": self.memory}

    def load_objective_state(self, state):
        self.memory = state["memory"]
'''
CASES = ["MediaAndWords", "PicturesAndWords", "NearTheMean", "WeightedSum"]


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    file = tmp_path / "my_objectives.py"
    file.write_text(USERS_FILE)
    return file


def component(file: Path, case: str) -> dict[str, Any]:
    own = {"class_path": f"{file}:MediaAndWords", "init_args": {"llm_dim": 32}}
    if case == "MediaAndWords":
        return own
    if case == "WeightedSum":
        language = {"class_path": "train.objectives.LanguageModelObjective"}
        return {"class_path": "train.objectives.WeightedSum", "init_args": {"objectives": [language, own]}}
    return {"class_path": f"{file}:{case}"}


def write(folder: Path, file: Path, case: str, **train: Any) -> Path:
    """A recipe with dropout in what is trained, of 12 rows, of which 12 are also held out."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"batch_size": 2, "accumulation_steps": 2, "steps": 4, "evaluate_every": 2, "save_every": 1, "keep": 9}
    settings |= train
    rows = [row(f"row-{i}", [f"image:{i}.npy"], f"a {WORDS[i % 6]} {i % 2}") for i in range(12)]
    data = write_manifest(file.parent / "data", rows)
    if case == "PicturesAndWords":
        path = write_bind(folder, component(file, case), **settings)
        recipe = yaml.safe_load(path.read_text())
        recipe["data"] = {"train": [{"path": str(data)}], "evaluation": [{"path": str(data)}]}
        del recipe["joint_space"]["modalities"]["sound"]
        path.write_text(yaml.safe_dump(recipe))
        return path
    llm = file.parent / "llm"
    adapter = {"class_path": "adapters.MLP", "init_args": {"dropout": 0.3}}
    encoder = {"class_path": "tests.tiny.SensorEncoder", "init_args": {"seed": 0}}
    model = {"llm": {"name": str(llm)}, "modalities": {"image": {"encoder": encoder, "adapter": adapter}}}
    objective = component(file, case)
    return write_recipe(
        folder, llm, data, model=model, objective=objective, evaluation=[{"path": str(data)}], **settings
    )


def train(recipe: Path, *overrides: str) -> Trainer:
    trainer = Trainer(load_recipe(recipe, overrides))
    trainer.run()
    return trainer


def saved(folder: Path) -> dict[str, Any]:
    """The trained weights of a checkpoint."""
    file = folder / "adapter.safetensors"
    return load_file(str(file if file.exists() else folder / "joint_space.safetensors"))


def assert_close(first: Path, second: Path, tolerance: float) -> None:
    one, other = saved(first / "last"), saved(second / "last")
    assert one.keys() == other.keys()
    assert max(float(abs(one[name] - other[name]).max()) for name in one) <= tolerance


@pytest.fixture(autouse=True)
def llm_beside_the_file(tmp_path: Path, tiny_llm: Path) -> None:
    shutil.copytree(tiny_llm, tmp_path / "llm")


@pytest.mark.parametrize("case", CASES)
def test_trains_evaluates_dry_runs_and_resumes_bit_for_bit(case: str, tmp_path: Path, users_file: Path) -> None:
    recipe = write(tmp_path / "whole", users_file, case)
    output = io.StringIO()
    assert preflight(load_recipes(recipe), Console(file=output)), output.getvalue()
    whole = train(recipe).output_dir
    losses = metrics(whole, "evaluation_loss")
    assert sorted(losses) == [2, 4]
    resumed = tmp_path / "resumed"
    shutil.copytree(whole / "step-0000002", resumed / "last")
    train(recipe, "--train.output_dir", str(resumed))
    assert_close(whole, resumed, 0)
    assert metrics(resumed, "loss") == {step: loss for step, loss in metrics(whole, "loss").items() if step > 2}
    # another cut of the same step evaluates and trains as well, up to where dropout is drawn
    other = train(write(tmp_path / "other", users_file, case, batch_size=4, accumulation_steps=1, lr=0.0)).output_dir
    same = train(write(tmp_path / "same", users_file, case, batch_size=1, accumulation_steps=4, lr=0.0)).output_dir
    if case != "NearTheMean":  # whose memory is of media tokens after dropout
        expected = pytest.approx(metrics(other, "evaluation_loss"), rel=1e-5)
        assert metrics(same, "evaluation_loss") == expected


@pytest.mark.distributed
@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one_with_twice_the_accumulation(case: str, tmp_path: Path, users_file: Path) -> None:
    one = run(write(tmp_path / "one", users_file, case))
    two = run(write(tmp_path / "two", users_file, case, accumulation_steps=1), processes=2)
    assert one.returncode == 0, one.stderr
    assert two.returncode == 0, two.stderr
    assert "on 2 process(es)" in two.stderr
    for name in ("loss", "evaluation_loss"):
        values = [metrics(tmp_path / folder / "run", name) for folder in ("one", "two")]
        assert values[1] == pytest.approx(values[0], rel=1e-4), name
    assert_close(tmp_path / "one" / "run", tmp_path / "two" / "run", 1e-4)


def test_gradients_in_pieces_equal_those_of_the_plain_big_batch(
    tmp_path: Path, tiny_llm: Path, users_file: Path
) -> None:
    model = tiny_model(tiny_llm)
    objective = build(component(users_file, "MediaAndWords"), "objective")
    assert isinstance(objective, WholeBatchObjective)
    rows = [row(str(i), [f"image:{i}.npy"], f"a {WORDS[i % 6]}") for i in range(8)]
    samples = open_dataset(str(write_manifest(tmp_path / "samples", rows)))
    batch = [model.prepare(samples[i], answer=True) for i in range(8)]  # type: ignore[arg-type]
    trained = {**model.trainable_parameters(), **dict(objective.named_parameters())}
    plain, _ = objective(model, batch, sum(example.num_answer_tokens for example in batch), packed=False)
    plain.backward()
    expected = {name: weight.grad.clone() for name, weight in trained.items() if weight.grad is not None}
    assert {"project.weight", "log_scale"} < expected.keys()
    for weight in trained.values():
        weight.grad = None
    pieces = [batch[:3], batch[3:4], [], batch[4:]]
    with torch.no_grad():
        parts = [objective.embed(model, piece).detached() for piece in pieces if piece]
    objective.plan_rows(model, parts, [0, 1, 2])
    losses = [objective(model, piece, 1, packed=False)[0] for piece in pieces if piece]
    torch.stack(losses).sum().backward()
    assert sum(loss.item() for loss in losses) == pytest.approx(plain.item(), abs=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(trained[name].grad, gradient, atol=1e-5, rtol=0, msg=name)


def test_in_a_weighted_sum_the_second_pass_has_the_dropout_of_the_first(tmp_path: Path, users_file: Path) -> None:
    trainer = Trainer(load_recipe(write(tmp_path / "a", users_file, "WeightedSum", steps=1, accumulation_steps=1)))
    own = trainer.training_step.contract.parts[-1]
    trainer.run()
    first, second = own.seen[:2]  # type: ignore[attr-defined]
    assert torch.equal(first, second)
    state = trainer.training_step.objective_state()
    assert {"1.project.weight", "1.project.bias", "1.log_scale"} == state.keys()


def test_what_cannot_be_is_refused(tmp_path: Path, users_file: Path) -> None:
    both = [component(users_file, case) for case in ("MediaAndWords", "NearTheMean")]
    objective = build({"class_path": "train.objectives.WeightedSum", "init_args": {"objectives": both}}, "objective")
    with pytest.raises(ValueError, match=r"\['MediaAndWords', 'NearTheMean'\] each plan whole steps"):
        ObjectiveContract(objective)
    recipe = write(tmp_path / "a", users_file, "MediaAndWords")
    with pytest.raises(ValueError, match="PicturesAndWords trains a joint space"):
        Trainer(load_recipe(recipe, ["--objective", f"{{class_path: {users_file}:PicturesAndWords}}"]))
    with pytest.raises(ValueError, match="MediaAndWords compares the rows of a step, but a step has 1"):
        Trainer(load_recipe(recipe, ["--train.batch_size", "1", "--train.accumulation_steps", "1"]))
    space = write(tmp_path / "b", users_file, "PicturesAndWords")
    with pytest.raises(ValueError, match="NearTheMean is for a model with an LLM"):
        Trainer(load_recipe(space, ["--objective", f"{{class_path: {users_file}:NearTheMean}}"]))
