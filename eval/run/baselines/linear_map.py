"""The linear map: what a ridge regression from the frozen features to a sentence encoder makes of the same candidates.

It is fitted in seconds on the training split that a task names, and has neither adapter nor LLM: a trained adapter that
does not clear it has not earned its training. Features of several media of a modality are averaged, those of several
modalities stand next to each other, each with an equal say.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from eval.items.item import Item
from eval.items.loading import load_items
from eval.run.answering import ITEM_ERRORS
from eval.run.baselines.ridge import cosine, fit_ridge
from eval.run.baselines.sentences import SentenceEncoder
from eval.run.cache import AnswerCache
from eval.run.kinds import procedure_of
from eval.run.plan import Plan
from eval.run.pooled import cached_features
from eval.run.space import Respondent
from eval.task import Task

NO_SPLIT = "the task names no training split (`train`)"
NO_CANDIDATES = "only a choice among candidates has one"


@dataclass(frozen=True)
class LinearMapOutcome:
    """What the linear map gives for a task, or why there is none.

    Attributes:
        similarities: index of the item -> the cosine of each of its options with what its features are mapped to.
        description: how it was fitted.
        seconds: what fitting took, the texts' embeddings included; features, which are kept, are apart.
        reason: why there is none.
    """

    similarities: Mapping[int, list[float]] = field(default_factory=dict)
    description: str = ""
    seconds: float = 0.0
    reason: str = ""


def run_linear_map(
    model: Respondent,
    plan: Plan,
    kept: Sequence[int],
    cache: AnswerCache,
    sentences: SentenceEncoder,
    *,
    progress: bool,
) -> LinearMapOutcome:
    """Fit the linear map of a task, and rank the options of the items with the indices `kept` by it.

    Raises:
        ValueError: the task has no linear map, or its training split gives none.
        FileNotFoundError: the training split or the sentence encoder is not there.
    """
    task = plan.task
    if not procedure_of(task.kind).ranks_candidates:
        raise ValueError(NO_CANDIDATES)
    if task.training_split is None:
        raise ValueError(NO_SPLIT)
    training, texts = training_pairs(task, [plan.items[index] for index in kept], plan.seed)
    features = _Features(model, task, cache)
    with tqdm(
        total=len(training) + len(kept), unit="item", desc=f"linear map of {task.name}", disable=not progress
    ) as bar:
        train_rows = features.rows(training, bar)
        test_rows = features.rows([plan.items[index] for index in kept], bar)
    usable = [index for index, row in enumerate(train_rows) if row is not None]
    readable = {index: row for index, row in zip(kept, test_rows, strict=True) if row is not None}
    if not usable or not readable:
        raise ValueError(f"no item of {'the task' if usable else task.training_split} has readable features")
    started = time.perf_counter()
    x = np.stack([row for row in train_rows if row is not None])
    x, scales = _with_equal_say(x, features.widths)
    targets = sentences.embed([texts[index] for index in usable])
    ridge = fit_ridge(x, targets, [training[index].cluster for index in usable], seed=plan.seed)
    options = list(dict.fromkeys(option for index in readable for option in plan.items[index].options))
    places = {option: place for place, option in enumerate(options)}
    candidates = sentences.embed(options) - ridge.target_mean
    similarities: dict[int, list[float]] = {}
    for index, row in readable.items():
        mapped = ridge.centred((row / scales)[None])
        own = candidates[[places[option] for option in plan.items[index].options]]
        similarities[index] = cosine(mapped, own).tolist()
    unread = "" if len(usable) == len(training) else f", {len(training) - len(usable)} unreadable"
    learned = f" ({task.train_target})" if task.train_target else ""
    return LinearMapOutcome(
        similarities,
        f"ridge regression from {x.shape[1]} frozen features to {sentences.name}, strength {ridge.strength:g} of the "
        f"mean kernel diagonal by cross-validation, on {len(usable)} items of {task.training_split}{learned}{unread}",
        round(time.perf_counter() - started, 2),
    )


def training_pairs(task: Task, asked: Sequence[Item], seed: int) -> tuple[list[Item], list[str]]:
    """Return the items that the map is fitted on, with the text of each; none shows a medium that is asked about.

    Raises:
        ValueError: there are none.
        FileNotFoundError: the training split is not there.
    """
    assert task.training_split is not None
    if task.train_target is None:
        loaded = load_items(task, task.training_split, task.train_limit, seed)
        items = procedure_of(task.kind).prepare(task, loaded, seed).items
        pairs = [(item, item.options[item.right]) for item in items]
    else:
        learned = replace(task, target=task.train_target)
        loaded = load_items(learned, task.training_split, task.train_limit, seed)
        pairs = [(item, item.target) for item in loaded.items]
    shown = {part.content_hash() for item in asked for part in item.media}
    apart = [(item, text) for item, text in pairs if not _shows_one_of(item, shown)]
    if not apart:
        reason = f"the first: {loaded.bad[0].id}: {loaded.bad[0].reason}" if loaded.bad else "it has no others"
        if pairs:
            reason = "all of them show media that are asked about"
        raise ValueError(f"no item of {task.training_split} can be learned from; {reason}")
    return [item for item, _ in apart], [text for _, text in apart]


def _shows_one_of(item: Item, shown: set[str]) -> bool:
    try:
        return any(part.content_hash() in shown for part in item.media)
    except OSError:
        return False  # a missing file is dropped where it is read


@dataclass
class _Features:
    """Mean features of items: `[D]`, those of each modality in the order of the task."""

    model: Respondent
    task: Task
    cache: AnswerCache

    @property
    def widths(self) -> list[int]:
        """D of each modality."""
        return [self.model.modality(name).encoder.dim for name in self.task.modalities]

    def rows(self, items: Sequence[Item], bar: "tqdm[Any]") -> list[np.ndarray | None]:
        """Return the features of each item; None where one of its media cannot be read."""
        found: list[np.ndarray | None] = []
        for item in items:
            try:
                found.append(np.concatenate([self._mean(item, name) for name in self.task.modalities]))
            except ITEM_ERRORS:
                found.append(None)
            bar.update()
        return found

    def _mean(self, item: Item, modality: str) -> np.ndarray:
        encoder = self.model.modality(modality).encoder
        media = [part for part in item.media if part.modality == modality]
        return np.mean([cached_features(encoder, part, self.cache) for part in media], axis=0)


def _with_equal_say(features: np.ndarray, widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return features `[N, D]` in which each modality varies by as much, and what they were divided by: `[D]`."""
    ends = np.cumsum(widths)[:-1]
    spreads = [np.sqrt(np.square(part - part.mean(0)).sum() / len(part)) for part in np.split(features, ends, axis=1)]
    scales = np.concatenate([np.full(width, spread or 1.0) for width, spread in zip(widths, spreads, strict=True)])
    return features / scales, scales
