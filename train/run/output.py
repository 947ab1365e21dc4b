"""What a run writes: lines of metrics, checkpoints with their model cards, and sentences for the person who waits."""

import math
from dataclasses import asdict

from omni.config import to_dict
from omni.model.card import ModelCard
from train.data.streams import streams_state
from train.run import checkpoints
from train.run.model_card import training_card
from train.run.setup import Run


def write_metrics(run: Run, figures: dict[str, float]) -> str:
    """Write the line of metrics of the steps since the last one, and return the same for people to read."""
    state = run.state
    loss = state.loss_sum / state.token_sum if state.token_sum else math.nan
    epoch = run.num_draws_until(state.step) / run.plan.epoch_length
    values = {"epoch": epoch, "samples": state.samples, "answer_tokens": state.token_sum, **figures}
    if state.token_sum:
        values = {"loss": loss, **values}
    if run.config.packing:
        values |= _packing_figures(run)
    if run.metrics is not None:
        run.metrics.write(state.step, values)
    state.loss_sum, state.token_sum = 0.0, 0
    packed = f", {_packed(run)}" if run.config.packing else ""
    return (
        f"step {state.step} of {run.num_steps}: loss {loss:.4f}, {figures['samples_per_second']:.1f} samples/s, "
        f"data {figures['data_wait_share']:.0%}, {state.samples:,} samples{packed}"
    )


def save(run: Run) -> None:
    """Write last/: model, optimiser and state, from which the run can continue.

    Raises:
        SaveError: the disk is full or not writable.
    """
    optimizer_state = run.strategy.optimizer_state()  # which all processes may have a part of
    if run.is_main:
        run.model.card = _card(run)
        state = {
            "run": asdict(run.state),
            "recipe": asdict(run.recipe),
            "global_batch_size": run.global_batch_size,
            "card_before": to_dict(run.card_before),
            "streams": streams_state(run.train_sources, run.plan.streams),
            "bad_samples": run.bad_samples.state_dict(),
            "bad_evaluation_samples": run.bad_evaluation_samples.state_dict(),
        }
        checkpoints.save_checkpoint(run.output_dir / checkpoints.LAST, run.training_step, optimizer_state, state)
        checkpoints.keep_step(run.output_dir, run.state.step, run.config.keep)
        if run.metrics is not None:
            run.metrics.draw_loss()
    run.accelerator.wait_for_everyone()


def save_best(run: Run) -> None:
    """Write best/: the model alone.

    Raises:
        SaveError: the disk is full or not writable.
    """
    if run.is_main:
        run.model.card = _card(run)
        checkpoints.save_model_only(run.output_dir / checkpoints.BEST, run.model)
    run.accelerator.wait_for_everyone()


def greeting(run: Run) -> str:
    """What is about to be trained."""
    count = sum(parameter.numel() for parameter in run.trainable)
    begins = f"continuing after step {run.state.step}" if run.state.step else "beginning"
    return "\n".join(["the model:", *run.origin_lines]) + (
        f"\n{begins}: {run.num_steps} steps of {run.global_batch} on {run.accelerator.num_processes} "
        f"process(es), {run.plan.epoch_length:,} samples in the data, {count:,} parameters to train"
    )


def summary(run: Run) -> str:
    """What was trained, and where it is."""
    best = "" if run.state.best_loss is None else f", best evaluation loss {run.state.best_loss:.4f}"
    packed = f", {_packed(run)}" if run.config.packing and run.state.padded_positions else ""
    done = f"{run.state.step} steps, {run.state.samples:,} samples{packed}{best}"
    return f"{done}; the model is in {run.output_dir / checkpoints.BEST}"


def how_to_resume(run: Run) -> str:
    """For someone who stopped the run."""
    return (
        f"stopped after step {run.state.step} of {run.num_steps} and saved to "
        f"{run.output_dir / checkpoints.LAST}; the same command continues from there"
    )


def _packing_figures(run: Run) -> dict[str, float]:
    """Of the run so far: tokens of the samples, the share of padded batches that would have been pads, and the fill."""
    state = run.state
    figures: dict[str, float] = {"tokens": state.tokens}
    if state.padded_positions:
        figures["pad_share_saved"] = 1 - state.tokens / state.padded_positions
    if run.packs is not None and state.pack_capacity:
        figures["pack_fill"] = state.tokens / state.pack_capacity
    return figures


def _packed(run: Run) -> str:
    figures = _packing_figures(run)
    fill = f"packs {figures['pack_fill']:.1%} full, " if "pack_fill" in figures else ""
    return f"{fill}{figures.get('pad_share_saved', 0.0):.1%} pads saved"


def _card(run: Run) -> ModelCard:
    return training_card(
        run.card_before,
        run.train_sources,
        run.config,
        step=run.state.step,
        global_batch=run.global_batch,
        evaluation_loss=run.state.evaluation_loss,
    )
