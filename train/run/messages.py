"""The sentences that a run says to the person who waits for it, and the figures of packing in them."""

import math
from collections.abc import Sequence
from pathlib import Path

from train.data.bad_samples import BadSampleLog
from train.data.step_plan import StepPlan
from train.run.learner import Learner
from train.run.run_state import RunState


def greeting(learner: Learner, steps: StepPlan, first_step: int, num_processes: int) -> str:
    """Say what is about to be trained."""
    count = sum(weight.numel() for weight in learner.training_step.parameters() if weight.requires_grad)
    begins = f"continuing after step {first_step}" if first_step else "beginning"
    return "\n".join(["the model:", *learner.origin_lines]) + (
        f"\n{begins}: {steps.num_steps} steps of {steps.global_batch} on {num_processes} "
        f"process(es), {steps.plan.epoch_length:,} samples in the data, {count:,} parameters to train"
    )


def metrics_line(state: RunState, steps: StepPlan, figures: dict[str, float], packing: bool) -> str:
    """Say what the steps since the last line of metrics gave; `figures` are those of the last step."""
    packed = f", {_packed(state, steps)}" if packing else ""
    return (
        f"step {state.step} of {steps.num_steps}: loss {state.mean_loss:.4f}, "
        f"{figures['samples_per_second']:.1f} samples/s, data {figures['data_wait_share']:.0%}, "
        f"{state.samples:,} samples{packed}"
    )


def summary(state: RunState, steps: StepPlan, packing: bool, best: Path) -> str:
    """Say what was trained, and where it is."""
    loss = "" if state.best_loss is None else f", best evaluation loss {state.best_loss:.4f}"
    packed = f", {_packed(state, steps)}" if packing and state.padded_positions else ""
    return f"{state.step} steps, {state.samples:,} samples{packed}{loss}; the model is in {best}"


def nothing_trained(state: RunState, bad_samples: BadSampleLog, trained: Sequence[str]) -> str:
    """Say why none of the steps of a run trained anything; `trained` are the names of the weights that should be."""
    reasons: list[str] = []
    if bad_samples.num_left_out:
        reasons.append(f"{bad_samples.num_left_out:,} samples were left out, for the reason above")
    if bad_samples.num_bad:
        reasons.append(bad_samples.summary())
    if state.skipped_steps:
        reasons.append(f"{state.skipped_steps:,} steps were skipped, since their loss or gradient was not finite")
    if bad_samples.num_seen > bad_samples.num_bad and state.skipped_steps < state.step:
        parts = sorted({".".join(name.split(".")[:3]) for name in trained})
        shown = ", ".join(parts[:5]) + (" and others" if len(parts) > 5 else "")
        reasons.append(
            f"the loss does not depend on what is trained ({shown}): its gradient was zero in every step. Do the rows "
            "hold the media that these parts read (--dry_run shows), and are there at least two to compare in a step?"
        )
    return f"nothing was trained: none of the {state.step:,} steps changed a weight. " + "\n".join(reasons)


def how_to_resume(state: RunState, steps: StepPlan, last: Path) -> str:
    """Say it to someone who stopped the run."""
    return (
        f"stopped after step {state.step} of {steps.num_steps} and saved to {last}; the same command continues from "
        "there"
    )


def metrics_row(state: RunState, steps: StepPlan, figures: dict[str, float], packing: bool) -> dict[str, float | int]:
    """Return the line of metrics of the steps since the last one; `figures` are those of the last step."""
    loss = {} if math.isnan(state.mean_loss) else {"loss": state.mean_loss}
    counts = {"epoch": steps.epochs_until(state.step), "samples": state.samples, "answer_tokens": state.token_sum}
    return {**loss, **counts, **figures, **(packing_figures(state, steps) if packing else {})}


def packing_figures(state: RunState, steps: StepPlan) -> dict[str, float]:
    """Return the tokens of the run so far, the share of pads that packing saved, and how full the packs are."""
    figures: dict[str, float] = {"tokens": state.tokens}
    if state.padded_positions:
        figures["pad_share_saved"] = 1 - state.tokens / state.padded_positions
    if steps.packs is not None and state.pack_capacity:
        figures["pack_fill"] = state.tokens / state.pack_capacity
    return figures


def _packed(state: RunState, steps: StepPlan) -> str:
    figures = packing_figures(state, steps)
    fill = f"packs {figures['pack_fill']:.1%} full, " if "pack_fill" in figures else ""
    return f"{fill}{figures.get('pad_share_saved', 0.0):.1%} pads saved"
