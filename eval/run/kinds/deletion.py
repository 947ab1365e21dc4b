"""`Deletion`: the deletion test of explanations; the model is asked about media with parts hidden."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from tqdm import tqdm

from eval.items.controls import derangement
from eval.items.item import BadItem, Item
from eval.items.loading import load_items
from eval.kinds import Deletion
from eval.run.answering import ITEM_ERRORS
from eval.run.cache import AnswerCache
from eval.run.described_media import describe_media
from eval.run.kinds.base import Procedure
from eval.run.results import ItemAnswer, TaskResult
from eval.run.space import Respondent
from eval.scorers import WrittenAnswer
from eval.statistics.intervals import Estimate, mean_interval, paired_difference
from eval.task import Task
from omni.explaining.correlation import is_even, spearman
from omni.explaining.deletion import deletion_area, deletion_masks, order_of
from omni.explaining.words import Word
from omni.model import OmniModel
from omni.model.attention import media_attention
from omni.model.explaining import AnsweredConversation

SCORER = "deletion-v1"
PRIMARY = "gain_occlusion"
_CONTROL = "the order of another item's map by occlusion, derangement-v1"


@dataclass(frozen=True)
class DeletionProcedure(Procedure):
    """Hides parts in the order of maps; see `Procedure`."""

    kind: Deletion
    answer_type: ClassVar[type] = WrittenAnswer
    reads_features: ClassVar[bool] = True  # reads the model itself: `measure` does it all

    def measure(
        self, model: Respondent, task: Task, cache: AnswerCache, *, limit: int | None, seed: int, progress: bool
    ) -> TaskResult:
        """Explain the right answer of each item, and hide parts in the order of the maps.

        Raises:
            ValueError: the model has no LLM, or no item could be explained.
            FileNotFoundError: the data are not there.
        """
        if model.language_model is None:
            raise ValueError(
                f"task {task.name} explains answers, and a joint space gives none; name a model with an LLM"
            )
        limits = [number for number in (limit, task.limit) if number is not None]
        loaded = load_items(task, task.data, min(limits) if limits else None, seed)
        test = _Test(self.kind, cast(OmniModel, model), cache, seed)
        with tqdm(total=2 * len(loaded.items), unit="map", desc=f"explaining {task.name}", disable=not progress) as bar:
            mapped: list[tuple[Item, _Maps | str]] = []
            for item in loaded.items:
                mapped.append((item, test.maps(item)))
                bar.update()
            kept = [(item, found) for item, found in mapped if isinstance(found, _Maps)]
            bad = [BadItem(item.id, found) for item, found in mapped if isinstance(found, str)]
            if not kept:
                reasons = "; ".join(f"{one.id}: {one.reason}" for one in [*loaded.bad, *bad][:3]) or "there are no rows"
                raise ValueError(f"task {task.name!r}: no item of {task.data} could be explained ({reasons})")
            others = derangement([item.target for item, _ in kept], seed)
            figures = []
            for index, (item, maps) in enumerate(kept):
                other = None if others is None else kept[others[index]][1].occlusion
                figures.append(test.figures(item, maps, other))
                bar.update()
        return self._result(task, [item for item, _ in kept], figures, [*loaded.bad, *bad], loaded.num_rows, seed)

    def _result(
        self,
        task: Task,
        items: Sequence[Item],
        figures: Sequence[dict[str, float]],
        bad: Sequence[BadItem],
        num_rows: int,
        seed: int,
    ) -> TaskResult:
        clusters = [item.cluster for item in items]
        own = {name: _estimate(figures, name, clusters) for name in _FIGURES}
        shuffled = _estimate(figures, "gain_shuffled", clusters)
        both = [index for index, one in enumerate(figures) if not math.isnan(one["gain_shuffled"])]
        left, right = ([figures[index][name] for index in both] for name in (PRIMARY, "gain_shuffled"))
        reasons = {name: _REASONS[name] for name, found in own.items() if found is None}
        if shuffled is None:
            reasons["shuffled"] = "no other item has a map of the same parts and another answer"
        return TaskResult(
            name=task.name,
            version=task.version,
            description=task.description,
            scorer=SCORER,
            metric=PRIMARY,
            percent=False,
            chance=0.0,
            scores={
                "own": {name: found for name, found in own.items() if found is not None},
                **({} if shuffled is None else {"shuffled": {PRIMARY: shuffled}}),
            },
            difference=paired_difference(left, right, [clusters[index] for index in both]) if len(both) > 1 else None,
            not_computed={"blank": "there are no parts to hide", "probe": "an explanation is no choice", **reasons},
            num_items=len(items),
            num_rows=num_rows,
            bad=[{"id": one.id, "reason": one.reason} for one in bad],
            items=[_answer(item, one) for item, one in zip(items, figures, strict=True)],
            settings={
                "data": task.data,
                "prompt": task.prompt,
                "modalities": list(task.modalities),
                "kind": "deletion",
                "seed": seed,
                "items_used": f"{len(items)} of {num_rows}",
                "shuffled": _CONTROL,
                "parts": self.kind.parts,
                "steps": self.kind.num_steps,
                "random_orders": self.kind.num_random,
                "unit": "nats a token: the mean drop of the right answer's log-likelihood over the steps; a gain is "
                "that drop less the one of random orders",
            },
        )


_FIGURES = (PRIMARY, "gain_attention", "area_occlusion", "area_attention", "area_random", "correlation")
_REASONS = {
    "gain_attention": "no item has a map by attention, or all are the same everywhere",
    "area_attention": "no item has a map by attention, or all are the same everywhere",
    "correlation": "no item has two maps that differ from part to part",
    PRIMARY: "no medium has two parts",
    "area_occlusion": "no medium has two parts",
    "area_random": "no medium has two parts",
}


@dataclass(frozen=True)
class _Maps:
    """The maps of an item's first medium that could be cut, for the whole answer."""

    told: AnsweredConversation
    index: int
    words: Sequence[Word]
    occlusion: np.ndarray
    attention: np.ndarray | None


@dataclass
class _Test:
    kind: Deletion
    model: OmniModel
    cache: AnswerCache
    seed: int

    def maps(self, item: Item) -> _Maps | str:
        """The maps of an item; why there are none."""
        try:
            messages = item.prefix(item.media).messages
            told = AnsweredConversation(self.model, messages, item.target, parts=self.kind.parts)
            index = next(i for i, parts in enumerate(told.parts) if parts is not None)
            parts = told.parts[index]
            assert parts is not None
            if math.prod(axis.size for axis in parts.axes) < self.kind.num_steps:
                return f"is cut into fewer parts than the {self.kind.num_steps} steps"
            words = told.words([0.0] * len(told.answer_ids))
            looked, _ = media_attention(self.model, told.example, told.media, told.parts, words)[index]
            needed = self._occlusion(item, told, index, words)
        except ITEM_ERRORS as error:
            return f"{type(error).__name__}: {error}"
        attention = None if looked is None else looked.mean(0)
        return _Maps(told, index, words, needed, None if attention is None or is_even(attention) else attention)

    def _occlusion(self, item: Item, told: AnsweredConversation, index: int, words: Sequence[Word]) -> np.ndarray:
        key = self.cache.key("occlusion", item.prefix(item.media).key, item.target, self.kind.parts, index)
        kept = self.cache.get(key)
        if kept is None:
            found = told.occlusion(index, words)
            assert found is not None
            kept = found.sum(0).tolist()
            self.cache.put({key: kept})
        return np.asarray(kept)

    def figures(self, item: Item, maps: _Maps, other: np.ndarray | None) -> dict[str, float]:
        """The areas of an item in the order of its maps, of random ones, and of another item's map."""
        orders = {"occlusion": order_of(maps.occlusion, self.seed)}
        if maps.attention is not None:
            orders["attention"] = order_of(maps.attention, self.seed)
        if other is not None and other.shape == maps.occlusion.shape:
            orders["shuffled"] = order_of(other, self.seed)
        for draw in range(self.kind.num_random):
            generator = np.random.default_rng([self.seed, draw, item.cluster])
            orders[f"random {draw}"] = generator.permutation(maps.occlusion.size).tolist()
        key = self.cache.key("deletion", item.prefix(item.media).key, item.target, self.kind.num_steps, orders)
        areas = self.cache.get(key)
        if areas is None:
            areas = self._areas(maps, orders)
            self.cache.put({key: areas})
        random = float(np.mean([area for name, area in areas.items() if name.startswith("random")]))
        return {
            **{f"area_{name}": areas.get(name, math.nan) for name in ("occlusion", "attention")},
            **{f"gain_{name}": areas.get(name, math.nan) - random for name in ("occlusion", "attention", "shuffled")},
            "area_random": random,
            "correlation": math.nan if maps.attention is None else spearman(maps.attention, maps.occlusion),
        }

    def _areas(self, maps: _Maps, orders: dict[str, list[int]]) -> dict[str, float]:
        shape = maps.occlusion.shape
        steps = {name: deletion_masks(order, shape, self.kind.num_steps) for name, order in orders.items()}
        nothing, everything = np.zeros(shape, dtype=bool), np.ones(shape, dtype=bool)
        between = [mask for masks in steps.values() for mask in masks[:-1]]  # the last step is the same for all
        scores = maps.told.without(maps.index, [nothing, everything, *between])
        start, end = maps.words[0].start, maps.words[-1].end
        values = scores[:, start:end].mean(1)
        curves = values[2:].reshape(len(steps), -1)
        return {name: deletion_area([values[0], *curve, values[1]]) for name, curve in zip(steps, curves, strict=True)}


def _estimate(figures: Sequence[dict[str, float]], name: str, clusters: Sequence[int]) -> Estimate | None:
    found = [(one[name], cluster) for one, cluster in zip(figures, clusters, strict=True) if not math.isnan(one[name])]
    return mean_interval([value for value, _ in found], [cluster for _, cluster in found]) if found else None


def _answer(item: Item, figures: dict[str, float]) -> ItemAnswer:
    media = [describe_media(part) for part in item.media]
    shown = ", ".join(f"{name} {value:+.3f}" for name, value in figures.items() if not math.isnan(value))
    return ItemAnswer(item.id, media, item.question, item.target, shown, figures[PRIMARY], cluster=item.cluster)
