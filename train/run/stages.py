"""The stages of a recipe, one run after the other."""

from collections.abc import Sequence
from pathlib import Path

from omni.recipe.schema import Recipe
from train.run.loop import Trainer
from train.runtime.processes import from_main
from train.runtime.save_errors import prepare_output
from train.strategies import make_accelerator


def run_stages(recipes: Sequence[Recipe]) -> None:
    """Run the stages in turn; each trainer, with its model, is gone before the next is made.

    The folder of the last stage, in which those of the others are, is this command's from the first stage on.

    Raises: what `Trainer` and its `run` raise.
    """
    if len(recipes) == 1:
        Trainer(recipes[0]).run()
        return
    locks = []
    accelerator = make_accelerator(recipes[0].train.precision)
    from_main(accelerator, lambda: locks.append(prepare_output(Path(recipes[-1].train.output_dir))))
    try:
        for recipe in recipes:
            Trainer(recipe).run()
    finally:
        for lock in locks:
            lock.release()
