"""Train each adapter as any recipe is trained, from features that all of them share, and score it on held-out items."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omni.commands.cache_building import build_cache
from omni.commands.cache_plan import plan_cache
from omni.feature_cache.opening import open_cache
from omni.model import OmniModel
from omni.recipe.schema import Recipe
from omni.runtime.device import default_device
from omni.runtime.memory import PeakMemory
from train.compare_adapters.contenders import Comparison
from train.compare_adapters.held_out import CaptionedItem, caption_scores, count_correct, make_choices, question
from train.compare_adapters.results import AdapterResult
from train.compare_adapters.time_limit import run_for
from train.run.loop import Trainer


def measure_adapters(
    contenders: Mapping[str, Mapping[str, Any]],
    comparison: Comparison,
    held_out: Sequence[CaptionedItem],
    progress: Callable[[str], None] = lambda text: None,
) -> list[AdapterResult]:
    """Train and score each adapter (class name in `adapters` -> its arguments).

    Raises:
        ValueError: the held-out items have too few different captions to choose from, or an adapter cannot be trained.
        FileNotFoundError: data or weights are missing.
    """
    budget = comparison.budget
    choices = make_choices(held_out, budget.seed)
    results: list[AdapterResult] = []
    prior: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for adapter, arguments in contenders.items():
            recipe = comparison.recipe(adapter, arguments, Path(folder) / adapter, Path(folder) / "features")
            if not results:
                progress("encoding")
                for stage in plan_cache([recipe]):
                    build_cache(stage, batch_size=budget.batch_size, num_workers=0)
            peak_bytes = _train(recipe, budget.seconds)
            model = _load(recipe)
            prior = prior or caption_scores(model, sorted({item.caption for item in held_out}))
            correct = count_correct(model, choices, prior, budget.batch_size)
            results.append(_result(adapter, recipe, model, comparison.modality, held_out, peak_bytes, correct))
            progress(results[-1].line())
    return results


def _train(recipe: Recipe, seconds: float | None) -> int:
    """Train, and return the peak memory in bytes."""
    trainer = Trainer(recipe)
    with PeakMemory(trainer.accelerator.device) as memory:
        run_for(trainer, seconds)
    return memory.bytes


def _load(recipe: Recipe) -> OmniModel:
    output = Path(recipe.train.output_dir)
    folder = output / "best"
    model = OmniModel.load(folder if folder.is_dir() else output / "last", device=default_device())  # last: out of time
    model.feature_cache = open_cache(recipe.train)
    return model


def _result(
    adapter: str,
    recipe: Recipe,
    model: OmniModel,
    modality: str,
    held_out: Sequence[CaptionedItem],
    peak_bytes: int,
    correct: int,
) -> AdapterResult:
    part = model.modality(modality)
    lines = (Path(recipe.train.output_dir) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    losses = [row["loss"] for row in rows if "loss" in row]
    last = losses[-max(1, len(losses) // 4) :]
    return AdapterResult(
        adapter=adapter,
        parameters=sum(weight.numel() for weight in part.adapter.parameters()),
        media_tokens=part.num_tokens(model.prepare(question(held_out[0].media)).media[0]),
        steps=len(losses),
        seconds=sum(recipe.train.batch_size / row["samples_per_second"] for row in rows if "loss" in row),
        peak_bytes=peak_bytes,
        loss=sum(last) / len(last),
        correct=correct,
        num_items=len(held_out),
    )
