"""Objectives inside the loop: without the LLM, with weights of their own, and from a file of the user's own."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from omni.model import OmniModel
from omni.model.batch import Example
from tests.train.runs import metrics, mixed_rows, row, weights, write_manifest, write_recipe
from train.recipe import load_recipe
from train.run.loop import Trainer

ALIGN = {"class_path": "train.objectives.AlignObjective", "init_args": {}}


class Regression(nn.Module):
    """Predicts the number of answer tokens from the mean media token, through a layer of its own."""

    def __init__(self, llm_dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(llm_dim, 1)

    def forward(
        self, model: OmniModel, batch: Sequence[Example], num_answer_tokens: int, *, packed: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        media = torch.stack([torch.cat(tokens).mean(dim=0) for tokens in model.media_tokens(batch)])
        targets = torch.tensor([float(example.num_answer_tokens) for example in batch])
        loss = (self.head(media).squeeze(1) - targets).pow(2).sum() / num_answer_tokens
        return loss, {"error": loss.detach()}


def test_alignment_trains_the_adapter_without_the_llm(tiny_llm: Path, tmp_path: Path) -> None:
    rows = [row(str(i), [f"image:{i}.npy"], f"a {word}") for i, word in enumerate(["frog", "drum", "bell", "picture"])]
    data = write_manifest(tmp_path / "data", rows)
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, objective=ALIGN, batch_size=4, steps=25, lr=1e-2)
    trainer = Trainer(load_recipe(recipe))
    llm_calls = 0

    def count(*_: object) -> None:
        nonlocal llm_calls
        llm_calls += 1

    trainer.model.llm.register_forward_hook(count)
    trainer.run()
    losses = metrics(trainer.output_dir, "align_loss")
    assert losses[25] < 0.3 * losses[1]
    assert llm_calls == 0


def test_a_run_of_text_alone_has_nothing_to_align_and_says_so(tiny_llm: Path, tmp_path: Path) -> None:
    data = write_manifest(tmp_path / "data", [row(str(i), [], "a frog", "what is this") for i in range(4)])
    trainer = Trainer(load_recipe(write_recipe(tmp_path / "a", tiny_llm, data, objective=ALIGN, steps=2)))
    with pytest.raises(ValueError, match="nothing was trained: none of the 2 steps changed a weight"):
        trainer.run()
    assert metrics(trainer.output_dir, "loss") == {1: 0.0, 2: 0.0}  # such a batch alone is no error


def test_objective_with_weights_of_its_own_resumes_exactly(tiny_llm: Path, tmp_path: Path) -> None:
    rows = [found for found in mixed_rows(16) if found["messages"][0]["content"][0]["type"] != "text"]
    data = write_manifest(tmp_path / "data", rows)
    objective = {"class_path": f"{__file__}:Regression", "init_args": {"llm_dim": 32}}
    recipe = write_recipe(tmp_path / "a", tiny_llm, data, objective=objective, steps=6, save_every=1, keep=9)
    trainer = Trainer(load_recipe(recipe))
    start = trainer.training_step.objective_state()["head.weight"].clone()
    trainer.run()
    assert not torch.equal(start, trainer.training_step.objective_state()["head.weight"])
    resumed = tmp_path / "resumed"
    shutil.copytree(trainer.output_dir / "step-0000003", resumed / "last")
    Trainer(load_recipe(recipe, ["--train.output_dir", str(resumed)])).run()
    ends = [(folder / "last/adapter.safetensors").read_bytes() for folder in (trainer.output_dir, resumed)]
    assert ends[0] == ends[1]
    assert not any("head" in name for name in weights(resumed / "last"))
