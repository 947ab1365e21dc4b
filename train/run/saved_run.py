"""The run that a checkpoint continues: what it holds besides the weights, and whether the recipe fits it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni.config import from_dict
from omni.model.card import ModelCard
from omni.recipe.schema import Recipe
from train.data.bad_samples import BadSampleLog
from train.data.step_plan import StepPlan
from train.run import checkpoints
from train.run.run_state import RunState


@dataclass(frozen=True)
class SavedRun:
    """A run to go on with, from the checkpoint in its output folder.

    Args:
        folder: the checkpoint.
        state: how far the run has come.
        streams: what it keeps of streams; see `train.data.streams`.
        card_before: the card of the model that the run began with.
        bad_samples, bad_evaluation_samples: what `BadSampleLog.state_dict` gave.
    """

    folder: Path
    state: RunState
    streams: dict[str, Any]
    card_before: ModelCard
    bad_samples: dict[str, Any]
    bad_evaluation_samples: dict[str, Any]

    def check_plan(self, steps: StepPlan, bad_samples: BadSampleLog) -> None:
        """Check that packs take as many samples as they did before.

        Raises:
            ValueError: the data has changed.
        """
        before, now = bad_samples.num_seen, steps.num_draws_until(self.state.step)
        if steps.packs is not None and before != now:
            raise ValueError(
                f"{self.folder.parent} holds a run whose first {self.state.step} steps took {before} samples; with the "
                f"data as they are now they would take {now}: data.train has changed. Choose another "
                "--train.output_dir, or begin anew in this one with --train.resume never (which deletes that run)"
            )


def find_saved_run(recipe: Recipe, global_batch_size: int) -> SavedRun | None:
    """Return the run that this one continues, or None to begin anew.

    Raises:
        FileNotFoundError, ValueError: there is none though there must be, it is damaged, or it has other settings.
    """
    folder = checkpoints.find_checkpoint(Path(recipe.train.output_dir), recipe.train.resume)
    if folder is None:
        return None
    saved = checkpoints.read_state(folder)
    checkpoints.check_same_run(recipe, global_batch_size, saved, folder)
    return SavedRun(
        folder,
        RunState(**saved["run"]),
        saved.get("streams", {}),
        from_dict(ModelCard, saved["card_before"], "card"),
        saved["bad_samples"],
        saved["bad_evaluation_samples"],
    )
