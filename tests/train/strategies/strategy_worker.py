"""What each process does in the tests of strategies: several runs in one launch, since starting costs most of the time.

`accelerate launch --config_file ... -m tests.train.strategies.strategy_worker FOLDER`; FOLDER holds recipe.yaml and
single/, a run of one process. The main process writes results.json.
"""

import json
import shutil
import sys
from itertools import product
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from tests.train.runs import SUBSETS
from train.recipe import load_recipe
from train.run.loop import Trainer
from train.runtime.processes import from_all
from train.runtime.seeding import seed_everything

NUM_ANSWER_TOKENS = 10  # by which the losses of pairs are divided; any number does
STOPPED_AFTER = 2


def train(recipe: Path, output_dir: Path) -> None:
    Trainer(load_recipe(recipe, ["--train.output_dir", str(output_dir)])).run()


def losses_of_pairs(trainer: Trainer) -> list[tuple[float, float]]:
    """Loss and gradient norm of steps in which one process meets one subset of modalities, the other another.

    The last "subset" is a micro-batch without a sample. On one process the two are accumulated.
    """
    dataset = trainer.data.train[0].dataset
    batches = [[trainer.model.prepare(dataset[row], answer=True)] for row in range(len(SUBSETS))]  # type: ignore[arg-type]
    batches.append([])
    processes, rank = trainer.accelerator.num_processes, trainer.accelerator.process_index
    found = []
    for pair in product(batches, repeat=2):
        mine = [pair[rank]] if processes == 2 else list(pair)
        losses = []
        for index, batch in enumerate(mine):
            seed_everything(0)
            loss, _ = trainer.runner.forward_backward(batch, NUM_ANSWER_TOKENS, is_last=index == len(mine) - 1)
            losses.append(float(loss))
        norm = trainer.runner.clip_gradients(1.0)
        trainer.runner.update()
        found.append((sum(map(sum, from_all(trainer.accelerator, losses))), norm))
    return found


def frozen_trainer(recipe: Path, output_dir: Path) -> Trainer:
    """Steps of rate 0 change nothing, so that every pair meets the same weights."""
    overrides = ["--train.output_dir", str(output_dir), "--train.lr", "0", "--train.resume", "never"]
    trainer = Trainer(load_recipe(recipe, overrides))
    for group in trainer.runner.optimizer.param_groups:
        group["lr"] = 0.0
    trainer.training_step.train()
    return trainer


def main(folder: Path) -> None:
    # as on GPUs, where accelerate looks at more, and refuses some of it
    Accelerator.multi_device = property(lambda self: self.use_distributed)  # type: ignore[misc]
    recipe = folder / "recipe.yaml"
    trainer = frozen_trainer(recipe, folder / "pairs")
    results: dict[str, Any] = {"pairs": losses_of_pairs(trainer), "processes": trainer.accelerator.num_processes}
    results["sharded_layers"] = trainer.learner.lockstep is not None
    is_main, processes = trainer.accelerator.is_main_process, trainer.accelerator
    train(recipe, folder / "whole")
    for whole, output_dir in (("whole", "resumed"), ("single", "converted")):
        if is_main:
            shutil.copytree(folder / whole / f"step-{STOPPED_AFTER:07d}", folder / output_dir / "last")
        processes.wait_for_everyone()
        train(recipe, folder / output_dir)
    if is_main:
        (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
