"""`--dry_run`: everything that can go wrong before the first step, checked and shown, without training or writing."""

import math
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import torch
from rich.console import Console

from omni.config.components import build
from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.readers.held_out import hold_out
from omni.readers.sources import Source
from omni.recipe.schema import Recipe, SourceConfig, TrainConfig
from train.data.bad_samples import BadSample, BadSampleKind
from train.data.mixing import Draw, MixingPlan, mixing_shares
from train.data.packing import describe_global_batch, global_batch_size
from train.data.prepared import PreparedSamples, split_bad
from train.data.run_data import data_fingerprints
from train.data.sources import open_sources
from train.data.streams import refuse_packs_of_streams
from train.objectives.contract import ObjectiveContract
from train.preflight.memory_estimate import activation_bytes, estimate_memory
from train.preflight.rows import check_rows
from train.preflight.view import Report, render_prompt
from train.run import checkpoints
from train.run.initialisation import make_model
from train.run.resuming import find_checkpoint
from train.run.saved_run import SavedRun, read_saved_run
from train.run.step import TrainingStep

_SAMPLES = 16  # of each data set
_REFUSALS = (FileNotFoundError, ValueError, OSError, ImportError, RuntimeError)


def preflight(recipes: Sequence[Recipe], console: Console | None = None) -> bool:
    """Check the stages of a recipe and show what they would do; whether all would work.

    The models are built on the CPU. Under a launcher only the main process does it.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        return True
    report = Report(console)
    model, made = None, ""
    for index, recipe in enumerate(recipes):
        if len(recipes) > 1:
            report.title(f"stage {index + 1} of {len(recipes)}: {recipe.train.output_dir}")
        model = _check_stage(recipe, report, model if recipe.init_from == made else None)
        made = f"{recipe.train.output_dir}/{checkpoints.BEST}"
    report.verdict()
    return not report.problems


def _check_stage(recipe: Recipe, report: Report, from_stage: EncoderStack | None) -> EncoderStack | None:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    config = recipe.train
    batch_size = global_batch_size(config, processes)
    sources, saved = check_data(recipe, report)
    model = _make_model(recipe, report, from_stage, None if saved is None else saved.folder)
    objective = _make_objective(recipe, report)
    if model is None or objective is None:
        return model
    try:
        objective.check_batch(batch_size)
        TrainingStep(model, objective.objective, False)
    except ValueError as error:
        report.problem("objective", str(error))
        return model
    _show_parameters(model, report)
    examples: list[Example] = []
    for source in sources:
        modalities = [] if model.language_model is None else [*model.modalities]
        check_rows(source, modalities, _SAMPLES, recipe.data.max_bad_share, report)
        examples += _check_samples(source, model, objective, recipe, report)
    if examples and model.language_model is not None:
        _show_memory(model, objective, examples, config, processes, report)
    return model


def check_data(recipe: Recipe, report: Report) -> tuple[list[Source], SavedRun | None]:
    """Check the output folder, the data sets and the plan of a stage, all that needs no model.

    Returns:
        The data sets that can be opened, those of training first, and the run that is continued, if there is one.
    """
    batch_size = global_batch_size(recipe.train, int(os.environ.get("WORLD_SIZE", "1")))
    saved = _check_output(recipe, batch_size, report)
    train = [_open(source, "data.train", report) for source in recipe.data.train]
    evaluation = [_open(source, "data.evaluation", report) for source in recipe.data.evaluation]
    train, evaluation = _hold_out(recipe, train, evaluation, report)
    _show_data(recipe, train, evaluation, batch_size, report)
    if saved is not None:
        _check_same_data(saved, train, evaluation, report)
    return [source for source in [*train, *evaluation] if source is not None], saved


def _check_output(recipe: Recipe, batch_size: int, report: Report) -> SavedRun | None:
    """Return the run that is continued, if there is one."""
    folder = Path(recipe.train.output_dir)
    existing = folder
    try:
        existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:  # a name that is too long too
        report.problem("output", f"train.output_dir {folder}: {existing} cannot be written to ({error.strerror})")
        return None
    try:
        found = find_checkpoint(folder, recipe.train.resume)
        if found is None:
            deletes = " after DELETING the run that is there" if (folder / checkpoints.LAST).exists() else ""
            report.good("output", f"{folder}: a new run begins{deletes}")
            return None
        for note in found.notes:
            report.warning("output", note)
        saved = read_saved_run(recipe, batch_size, found.folder)
        report.good("output", f"{folder}: continues after step {saved.state.step}")
        return saved
    except _REFUSALS as error:
        report.problem("output", str(error))
        return None


_Sources = list[Source | None]


def _hold_out(recipe: Recipe, train: _Sources, evaluation: _Sources, report: Report) -> tuple[_Sources, _Sources]:
    """Return the data sets as `data.held_out_share` divides them; None stands for one that cannot be opened."""
    data = recipe.data
    opened = [source for source in train if source is not None]
    if len(opened) < len(train):
        return train, evaluation
    try:
        split = hold_out(opened, data.held_out_share, data.held_out_by)
    except ValueError as error:
        report.problem("held out", str(error))
        return train, evaluation
    if split.held_out:
        report.good("held out", split.describe())
    return [*split.train], [*evaluation, *split.held_out]


def _check_same_data(saved: SavedRun, train: _Sources, evaluation: _Sources, report: Report) -> None:
    opened = [[source for source in part if source is not None] for part in (train, evaluation)]
    if [len(part) for part in opened] != [len(train), len(evaluation)]:
        return
    try:
        saved.check_data(data_fingerprints(*opened))
    except ValueError as error:
        report.problem("data", str(error))


def _open(config: SourceConfig, key: str, report: Report) -> Source | None:
    try:
        return open_sources([config])[0]
    except _REFUSALS as error:
        report.problem("data", f"{key}: {error}")
        return None


def _show_data(
    recipe: Recipe,
    train: Sequence[Source | None],
    evaluation: Sequence[Source | None],
    batch_size: int,
    report: Report,
) -> None:
    sources = [source for source in train if source is not None]
    if not sources:
        return
    sizes, weights = [source.size for source in sources], [source.weight for source in sources]
    rows = [
        (source.name, f"{source.size:,}", f"{share:.0%}", "" if source.dataset.stream is None else "shards")
        for source, share in zip(sources, mixing_shares(sizes, weights), strict=True)
    ]
    rows += [(source.name, f"{source.size:,}", "evaluation", "") for source in evaluation if source is not None]
    report.table("data", ("", "samples", "share", ""), rows)
    epoch = MixingPlan(sizes, weights, 0).epoch_length
    report.good("plan", _describe_plan(recipe.train, batch_size, epoch))
    try:
        refuse_packs_of_streams(sources, recipe.train)
    except ValueError as error:
        report.problem("plan", str(error))


def _describe_plan(config: TrainConfig, batch_size: int, epoch_length: int) -> str:
    batch = describe_global_batch(config, batch_size)
    if config.pack_tokens is not None:  # how many samples a pack has is known when all have been measured
        return (
            f"{config.epochs:g} epochs in steps of {batch}" if config.epochs else f"{config.steps:,} steps of {batch}"
        )
    steps = config.steps or math.ceil(max(1, round((config.epochs or 0) * epoch_length)) / batch_size)
    return f"{steps:,} steps of {batch}: {steps * batch_size / epoch_length:.2f} epochs"


def _make_model(
    recipe: Recipe, report: Report, from_stage: EncoderStack | None, checkpoint: Path | None
) -> EncoderStack | None:
    device = torch.device("cpu")
    try:
        if checkpoint is not None:
            return make_model(recipe, checkpoint, device)[0]
        if from_stage is not None and recipe.init_from is not None and not Path(recipe.init_from).exists():
            report.good("model", f"begins with {recipe.init_from}, which the stage before will write")
            return _go_on_with(from_stage, recipe, device)
        if recipe.init_from is not None:
            report.good("model", f"begins with {recipe.init_from}")
        return make_model(recipe, None, device)[0]
    except _REFUSALS as error:
        report.problem("model", str(error))
        return None


def _go_on_with(from_stage: EncoderStack, recipe: Recipe, device: torch.device) -> EncoderStack:
    """What the stage makes of the model that the one before it will have written: read again, since that unfreezes."""
    with tempfile.TemporaryDirectory(prefix="omni-dry-run-") as folder:
        from_stage.write(Path(folder))
        return make_model(replace(recipe, init_from=folder), None, device)[0]


def _make_objective(recipe: Recipe, report: Report) -> ObjectiveContract | None:
    try:
        return ObjectiveContract(build(recipe.objective, "objective"))
    except _REFUSALS as error:
        report.problem("objective", str(error))
        return None


def _show_parameters(model: EncoderStack, report: Report) -> None:
    modules: dict[str, torch.nn.Module] = {} if model.language_model is None else {"llm": model.language_model}
    for name in model.modalities:
        modality = model.modality(name)
        modules |= {f"{name} encoder": modality.encoder, f"{name} {modality.trained_part_name}": modality.trained_part}
    counts = {
        name: [sum(p.numel() for p in module.parameters() if p.requires_grad is kind) for kind in (True, False)]
        for name, module in modules.items()
    }
    counts["together"] = [sum(found[i] for found in counts.values()) for i in (0, 1)]
    rows = [(name, f"{trained:,}", f"{frozen:,}") for name, (trained, frozen) in counts.items()]
    report.table("parameters", ("", "trained", "frozen"), rows)
    if counts["together"][0] == 0:
        report.problem("model", "nothing to train: there is no modality with an adapter, trainable encoder or LoRA")


def _check_samples(
    source: Source, model: EncoderStack, objective: ObjectiveContract, recipe: Recipe, report: Report
) -> list[Example]:
    """Prepare some samples of a data set as training would; the good ones."""
    count = min(_SAMPLES, source.size)
    # Shards are read from the front; of other data sets rows all over are taken.
    step = 1 if source.dataset.stream is not None else source.size / count
    prepared = PreparedSamples([source], model, recipe.train.seed, None, objective.prepare)
    good, bad = split_bad(prepared[Draw(0, int(index * step), 0)] for index in range(count))
    llm = model.language_model
    context = sys.maxsize if llm is None else llm.context_length
    limit = recipe.train.max_length or context
    too_long = [item for item in good if max(item.lengths) > limit]
    bad += [
        BadSample(item.id, source.name, f"{max(item.lengths)} tokens; {limit} are allowed", BadSampleKind.TOO_LONG)
        for item in too_long
    ]
    left_out = [item for item in bad if item.kind is BadSampleKind.LEFT_OUT]
    bad = [item for item in bad if item.kind is not BadSampleKind.LEFT_OUT]
    if left_out:
        what = f"{source.name}: {len(left_out)} of {count} samples are left out, and not counted as bad"
        line = f"{what}, such as {left_out[0].id}: {left_out[0].reason}"
        (report.problem if len(left_out) == count else report.warning)("samples", line)
    too_long_share = sum(item.kind is BadSampleKind.TOO_LONG for item in bad) / count
    if bad:
        what = f"{source.name}: {len(bad)} of {count} samples cannot be used"
        lines = [what, *(f"  {item.id}: {item.reason}" for item in bad)]
        stops = len(bad) == count or len(bad) / count > recipe.data.max_bad_share
        (report.problem if stops else report.warning)("samples", "\n".join(lines))
    if good:
        if llm is None:
            report.good("samples", f"{source.name}: {len(good)} of {count} good, with {_modalities_of(good)}")
            return good
        lengths = sorted(item.length for item in good)
        answers = sum(item.num_answer_tokens for item in good) / len(good)
        report.good(
            "samples",
            f"{source.name}: {len(good)} of {count} good; tokens {lengths[0]} to {lengths[-1]}, median "
            f"{lengths[len(lengths) // 2]}, answers {answers:.1f}; {too_long_share:.0%} longer than {limit}",
        )
        report.prompt(good[0].id, render_prompt(model, good[0]))
    return [item for item in good if max(item.lengths) <= limit]


def _modalities_of(examples: Sequence[Example]) -> str:
    """How many of the rows have which modalities."""
    counts = Counter(" + ".join(sorted(example.modalities)) for example in examples)
    return ", ".join(f"{names} ({count})" for names, count in counts.most_common())


def _show_memory(
    model: EncoderStack,
    objective: ObjectiveContract,
    examples: Sequence[Example],
    config: TrainConfig,
    processes: int,
    report: Report,
) -> None:
    longest = max(example.length for example in examples)
    answers = [example.num_answer_tokens for example in examples]
    if config.pack_tokens is None:
        num_tokens, num_answers = longest * config.batch_size, sum(answers) / len(examples) * config.batch_size
        batch = f"{config.batch_size} samples of {longest} tokens (the longest seen)"
    else:
        num_tokens = max(longest, config.pack_tokens)
        num_answers = sum(answers) / sum(sum(example.lengths) for example in examples) * num_tokens
        batch = f"packs of {num_tokens:,} tokens"
    if objective.runs_llm:
        kept = "h" if config.activation_checkpointing else "(4 h + 2 kv + 3 f)"
        activations = activation_bytes(model, num_tokens, round(num_answers), config.activation_checkpointing)
        what = f"{batch} x layers x {kept} numbers, and the logits of the answers"
    else:
        activations, what = 0.0, "none of the LLM, which this objective does not run"
    num_here = max(1, torch.accelerator.device_count()) if torch.accelerator.is_available() else 1
    counts = [processes] if processes > 1 or num_here == 1 else [1, num_here]
    estimates = [estimate_memory(model, count, activations) for count in counts]
    rows = []
    for index, first in enumerate(estimates[0]):
        shown = estimates[-1][index]
        parts = (shown.weights, shown.gradients, shown.optimizer, shown.activations, shown.host)
        totals = [one[index].total for one in estimates]
        rows.append((first.strategy, *map(_size, [*totals, *parts])))
    names = [f"{count} device{'s' if count > 1 else ''}" for count in counts]
    parts = ("weights", "gradients", "optimizer", "activations", "on the host")
    report.table("memory of each device, estimated", ("", *names, *parts), rows)
    report.note(f"Parts are for {names[-1]}. Activations: {what}; encoders, adapters and the allocator come on top.")
    report.note(_this_machine(num_here))


def _this_machine(num_devices: int) -> str:
    memory = _size(psutil.virtual_memory().total)
    if not torch.cuda.is_available():
        return f"This machine has {memory} of memory for {num_devices} device{'s' if num_devices > 1 else ''}."
    devices = " and ".join(
        _size(torch.cuda.get_device_properties(index).total_memory) for index in range(torch.cuda.device_count())
    )
    return f"This machine has {memory} of memory, and on its devices {devices}."


def _size(number: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return "0" if number == 0 else f"{number:.0f} B"
