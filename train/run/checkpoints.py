"""Checkpoints of a run: a model folder with the state of training in it, written as one atomic step.

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

from omni.model.encoder_stack import EncoderStack
from omni.recipe.schema import Recipe
from omni.runtime.files import recover_directory, replace_directory
from train.data.packing import PACKS
from train.run.step import TrainingStep
from train.runtime.save_errors import SaveError, explain_failure

LAST, BEST = "last", "best"
_STATE = "trainer_state"

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
            trainer_state = temporary / _STATE
            trainer_state.mkdir()
            # Serialised in memory first: torch's own file writer turns a full disk into an obscure RuntimeError.
            buffer = io.BytesIO()
            torch.save([optimizer_state, training_step.objective_state()], buffer)
            (trainer_state / "weights.pt").write_bytes(buffer.getvalue())
            (trainer_state / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
    except (OSError, safetensors.SafetensorError) as error:
        raise _save_error(folder, error) from error


def save_model_only(folder: Path, model: EncoderStack) -> None:
    """Write the model to `folder`, as `save_checkpoint` does, without what only a continuation needs."""
    try:
        with replace_directory(folder) as temporary:
            model.write(temporary)
    except (OSError, safetensors.SafetensorError) as error:
        raise _save_error(folder, error) from error


def find_checkpoint(output_dir: Path, resume: str) -> Path | None:
    """Return the checkpoint that a run continues from, or None to begin anew.

    Raises:
        FileNotFoundError: `resume` is "must" and there is none.
        ValueError: what is there is no checkpoint of a run.
    """
    folder = output_dir / LAST
    recover_directory(folder)
    if resume == "never" or not folder.exists():
        if resume == "must":
            raise FileNotFoundError(f"train.resume is must, but there is no {folder}; use auto to begin a new run")
        return None
    if not (folder / _STATE / "state.json").is_file():
        raise ValueError(f"{folder} has no {_STATE}, so it cannot be continued; use it as init_from of another run")
    return folder


def read_state(folder: Path) -> dict[str, Any]:
    """Return the JSON values that `save_checkpoint` was given."""
    path = folder / _STATE / "state.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged ({error}); begin anew with --train.resume never") from error


def load_training_state(folder: Path, training_step: TrainingStep, optimizer: torch.optim.Optimizer) -> None:
    """Load the state of the optimiser and the weights of the objective."""
    optimizer_state, objective_state = torch.load(folder / _STATE / "weights.pt", map_location="cpu", weights_only=True)
    optimizer.load_state_dict(optimizer_state)
    training_step.load_objective_state(objective_state)


def check_same_run(recipe: Recipe, global_batch_size: int, state: dict[str, Any], folder: Path) -> None:
    """Refuse to continue a run with a recipe that would make it another run.

    Raises:
        ValueError: naming every key that differs.
    """
    before, now = _flatten(state["recipe"]), _flatten(asdict(recipe))
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
    for older in _step_folders(output_dir)[:-keep]:
        shutil.rmtree(older, ignore_errors=True)


def _step_folders(output_dir: Path) -> Sequence[Path]:
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
