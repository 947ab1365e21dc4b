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

DataFingerprints = dict[str, list[dict[str, Any]]]  # see `train.data.run_data.RunData.fingerprints`


@dataclass(frozen=True)
class SavedRun:
    """A run to go on with, from the checkpoint in its output folder.

    Args:
        folder: the checkpoint.
        state: how far the run has come.
        streams: what it keeps of streams; see `train.data.streams`.
        card_before: the card of the model that the run began with.
        bad_samples, bad_evaluation_samples: what `BadSampleLog.state_dict` gave.
        data: fingerprints of the data sets (`RunData.fingerprints`); None = an earlier version wrote the checkpoint.
    """

    folder: Path
    state: RunState
    streams: dict[str, Any]
    card_before: ModelCard
    bad_samples: dict[str, Any]
    bad_evaluation_samples: dict[str, Any]
    data: dict[str, Any] | None

    def check_data(self, now: DataFingerprints) -> None:
        """Check that the data sets hold what they held when the run began.

        Raises:
            ValueError: naming those that have changed.
        """
        changed = [] if self.data is None else _changes(self.data, now)
        if changed:
            raise ValueError(
                f"{self.folder.parent} holds a run over other data:\n  " + "\n  ".join(changed) + "\nIts order of "
                "samples would no longer be the one that it began with. Bring the data back; or train on from these "
                f"weights in a run of its own (another --train.output_dir, and init_from: {self.folder}); or begin "
                "anew in this folder with --train.resume never (which deletes that run)"
            )

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


def read_saved_run(recipe: Recipe, global_batch_size: int, folder: Path) -> SavedRun:
    """Return the run that this one continues from the checkpoint in `folder`.

    Raises:
        ValueError: it is damaged, or has other settings.
    """
    saved = checkpoints.read_state(folder)
    try:
        checkpoints.check_same_run(recipe, global_batch_size, saved, folder)
        return SavedRun(
            folder,
            # versions before the count stopped no run that trained nothing
            RunState(**{"trained_steps": saved["run"]["step"], **saved["run"]}),
            saved.get("streams", {}),
            from_dict(ModelCard, saved["card_before"], "card"),
            saved["bad_samples"],
            saved["bad_evaluation_samples"],
            saved.get("data"),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / checkpoints.STATE_FILE} is damaged ({type(error).__name__}: {error}); begin anew with "
            "--train.resume never"
        ) from error


def _changes(before: DataFingerprints, now: DataFingerprints) -> list[str]:
    """Return for each data set that has changed what it held and what it holds."""
    found = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key, []), now.get(key, [])
        if len(old) != len(new):
            found.append(f"{key}: {len(old)} data sets before, {len(new)} now")
        for was, is_now in zip(old, new, strict=False):
            if was != is_now:
                rows = f"{was['rows']:,} rows before, {is_now['rows']:,} now"
                same = f"still {was['rows']:,} rows, but not the same ones or not in the same order"
                found.append(f"{key}: {is_now['name']}: {rows if was['rows'] != is_now['rows'] else same}")
    return found
