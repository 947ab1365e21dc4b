"""Checkpoints of a run: a model folder with the state of training in it, written as one atomic step.

The checksums of all files are written last (`omni.runtime.checksums`), so that `train.run.resuming` finds damage.

No state of random generators is kept: every forward pass is seeded by its place in the run
(see `train.runtime.seeding`).
"""

import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import torch

from omni.config import from_dict
from omni.model.encoder_stack import EncoderStack
from omni.recipe.schema import Recipe
from omni.runtime.checksums import write_checksums
from omni.runtime.files import replace_directory
from train.data.packing import PACKS
from train.run.step import TrainingStep
from train.runtime.save_errors import SaveError, explain_failure

LAST, BEST = "last", "best"
_STATE = "trainer_state"
STATE_FILE, WEIGHTS_FILE = f"{_STATE}/state.json", f"{_STATE}/weights.pt"

# What may differ between a run and its continuation, because it does not change what is computed.
_FREE_TO_CHANGE = {
    "trust_code",
    "train.output_dir",
    "train.batch_size",  # the global batch is compared instead
    "train.accumulation_steps",
    "train.num_workers",
    "train.feature_cache",
    "train.feature_cache_max_gb",
    "train.activation_checkpointing",
    "train.offload_activations",
    "train.log_every",
    "train.evaluate_every",
    "train.save_every",
    "train.keep",
    "train.resume",
    "train.non_finite",
    "train.max_non_finite",
    "data.max_bad_share",
}


def save_checkpoint(
    folder: Path, training_step: TrainingStep, optimizer_state: dict[str, Any], state: dict[str, Any]
) -> None:
    """Write model, optimiser, weights of the objective (if it has any) and `state` (JSON values) to `folder`.

    The old content stays whole until then.

    Raises:
        SaveError: the disk is full or not writable.
    """
    try:
        with replace_directory(folder) as temporary:
            training_step.model.write(temporary)
            (temporary / _STATE).mkdir()
            # Serialised in memory first: torch's own file writer turns a full disk into an obscure RuntimeError.
            buffer = io.BytesIO()
            torch.save([optimizer_state, training_step.objective_state()], buffer)
            (temporary / WEIGHTS_FILE).write_bytes(buffer.getvalue())
            (temporary / STATE_FILE).write_text(json.dumps(state, indent=1), encoding="utf-8")
            write_checksums(temporary)
    except (OSError, safetensors.SafetensorError) as error:
        raise _save_error(folder, error) from error


def save_model_only(folder: Path, model: EncoderStack) -> None:
    """Write the model to `folder`, as `save_checkpoint` does, without what only a continuation needs."""
    try:
        with replace_directory(folder) as temporary:
            model.write(temporary)
            write_checksums(temporary)
    except (OSError, safetensors.SafetensorError) as error:
        raise _save_error(folder, error) from error


def read_state(folder: Path) -> dict[str, Any]:
    """Return the JSON values that `save_checkpoint` was given. Raises ValueError if they are damaged."""
    path = folder / STATE_FILE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or no text
        raise ValueError(f"{path} is damaged ({error}); begin anew with --train.resume never") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} is damaged (it holds a {type(state).__name__}); begin anew with --train.resume never")
    return state


def load_training_state(folder: Path, training_step: TrainingStep, optimizer: torch.optim.Optimizer) -> None:
    """Load the state of the optimiser and the weights of the objective. Raises ValueError if they are damaged."""
    try:
        optimizer_state, objective_state = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load's errors for a damaged file are of a dozen types
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{folder / WEIGHTS_FILE} is damaged ({reason}); begin anew with --train.resume never"
        ) from error
    optimizer.load_state_dict(optimizer_state)
    training_step.load_objective_state(objective_state)


def check_same_run(recipe: Recipe, global_batch_size: int, state: dict[str, Any], folder: Path) -> None:
    """Refuse to continue a run with a recipe that would make it another run.

    Raises:
        ValueError: naming every key that differs.
    """
    before, now = _flatten(_in_full(state["recipe"])), _flatten(asdict(recipe))
    if before.get("data.held_out_share") == now["data.held_out_share"] == 0:
        before["data.held_out_by"] = now["data.held_out_by"]  # says how to do nothing
    problems = [
        f"{key}: {before.get(key)!r} before, {now.get(key)!r} now"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in _FREE_TO_CHANGE
    ]
    if state["global_batch_size"] != global_batch_size:
        problems.append(f"{_global_batch(recipe)}: {state['global_batch_size']} before, {global_batch_size} now")
    if problems:
        raise ValueError(
            f"{folder} holds a run with other settings:\n  " + "\n  ".join(problems) + "\nChoose another "
            "--train.output_dir, or begin anew in this one with --train.resume never (which deletes that run)"
        )


def _in_full(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a saved recipe with the keys that did not exist yet when it was saved."""
    data = {"held_out_by": "answers", **recipe["data"]}  # the only way that there was
    try:
        return asdict(from_dict(Recipe, {**recipe, "data": data}, "recipe"))
    except ValueError:  # it has keys that do not exist any more, which are named as a difference
        return {**recipe, "data": data}


def _global_batch(recipe: Recipe) -> str:
    if recipe.train.pack_tokens is not None:
        return "packs of one step (accumulation_steps x processes)"
    return "samples of one step (batch_size x accumulation_steps x processes)"


def clear_run(output_dir: Path) -> None:
    """Remove what an earlier run left, before a new one begins in the same folder."""
    for name in (LAST, BEST, "tensorboard"):
        shutil.rmtree(output_dir / name, ignore_errors=True)
    for folder in output_dir.glob("step-*"):
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("metrics.jsonl", "bad_samples.jsonl", "non_finite.jsonl", "loss.png", PACKS):
        (output_dir / name).unlink(missing_ok=True)


def keep_step(output_dir: Path, step: int, keep: int) -> None:
    """Copy last to step-NUMBER and remove all but the newest `keep` of these copies."""
    if keep == 0:
        return
    folder = output_dir / f"step-{step:07d}"
    with explain_failure(folder), replace_directory(folder) as temporary:
        shutil.copytree(output_dir / LAST, temporary, dirs_exist_ok=True)
    for older in step_folders(output_dir)[:-keep]:
        shutil.rmtree(older, ignore_errors=True)


def step_folders(output_dir: Path) -> Sequence[Path]:
    """Return the copies of earlier checkpoints, the oldest first."""
    return sorted(folder for folder in output_dir.glob("step-*") if folder.is_dir())


def _save_error(folder: Path, error: Exception) -> SaveError:
    there = "The checkpoint that was there before is whole" if folder.exists() else "Nothing was there before"
    return SaveError(f"could not save to {folder}: {error}. {there}; make room or fix the permissions and run again")


def _flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries and lists as one dictionary with dotted keys; JSON turns tuples to lists, so do we."""
    if isinstance(values, list | tuple):
        values = {str(index): item for index, item in enumerate(values)}
    if not isinstance(values, dict):
        return {prefix: values}
    flat: dict[str, Any] = {}
    for name, item in values.items():
        flat |= _flatten(item, f"{prefix}.{name}" if prefix else str(name))
    return flat
