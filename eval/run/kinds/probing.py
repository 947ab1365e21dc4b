"""`Probing`: classifiers on frozen features, trained here in seconds; no language model and no space is asked."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from tqdm import tqdm

from eval.items.item import BadItem, Item
from eval.items.loading import LoadedItems, load_items
from eval.kinds import Probing
from eval.run.cache import AnswerCache
from eval.run.described_media import describe_media
from eval.run.kinds.base import Procedure
from eval.run.probing.classifiers import NUM_STEPS, Fitted, fit
from eval.run.probing.features import Probed, ProbedEncoder, probe_features
from eval.run.probing.splits import neighbours, stratified
from eval.run.results import ItemAnswer, TaskResult
from eval.run.space import Respondent
from eval.scorers import ChoiceAnswer
from eval.statistics.intervals import Estimate, mean_interval, paired_difference
from eval.task import Task

SCORER = "probing-v1"


@dataclass(frozen=True)
class ProbingProcedure(Procedure):
    """Trains probes; see `Procedure`."""

    kind: Probing
    answer_type: ClassVar[type] = ChoiceAnswer
    reads_features: ClassVar[bool] = True

    def measure(
        self,
        model: Respondent,
        task: Task,
        cache: AnswerCache,
        *,
        limit: int | None,
        seed: int,
        progress: bool,
    ) -> TaskResult:
        """Train the probes of the task and return their accuracy on its items.

        Raises:
            ValueError: the training split has fewer than two labels, or no item can be read.
            FileNotFoundError: the data are not there.
        """
        limits = [number for number in (limit, task.limit) if number is not None]
        test = load_items(task, task.data, min(limits) if limits else None, seed)
        train = load_items(task, self.kind.train, self.kind.limit, seed)
        encoders = {
            name: ProbedEncoder.of(model.modality(name).encoder, self.kind.layers == "all", self.kind.most_layers)
            for name in task.modalities
        }
        positions = self.kind.num_positions if "attentive" in self.kind.classifiers else 1
        total = (len(train.items) + len(test.items)) * len(encoders)
        with tqdm(total=total, unit="item", desc=f"features of {task.name}", disable=not progress) as bar:
            known, asked = (probe_features(encoders, one.items, positions, cache, bar) for one in (train, test))
        return _Probes(self.kind, task, encoders, known, asked, seed).result(test, len(train.bad))


class _Probes:
    """The features of both splits, and the probes that are trained on them."""

    def __init__(
        self,
        kind: Probing,
        task: Task,
        encoders: dict[str, ProbedEncoder],
        train: Probed,
        test: Probed,
        seed: int,
    ) -> None:
        self.kind, self.task, self.encoders, self.seed = kind, task, encoders, seed
        self.train = train
        labels = [item.target for item in train.items]
        self.classes = sorted({*labels})
        if len(self.classes) < 2:
            reasons = "; ".join(f"{item.id}: {item.reason}" for item in train.bad[:3])
            raise ValueError(
                f"task {task.name!r}: a probe needs training items of at least two labels; {kind.train} has "
                f"{self.classes}{f' ({reasons})' if reasons else ''}"
            )
        known = [index for index, item in enumerate(test.items) if item.target in self.classes]
        self.unknown = [
            BadItem(item.id, f"has the label {item.target!r}, which no training item has")
            for item in test.items
            if item.target not in self.classes
        ]
        self.bad = (*test.bad, *self.unknown)
        if not known:
            reasons = "; ".join(f"{item.id}: {item.reason}" for item in self.bad[:3]) or "the data has no rows"
            raise ValueError(f"task {task.name!r}: no usable item in {task.data} ({reasons})")
        self.items = [test.items[index] for index in known]
        self.test = Probed(tuple(self.items), *_rows(test, known), ())
        self.labels = torch.tensor([self.classes.index(label) for label in labels])
        self.truth = torch.tensor([self.classes.index(item.target) for item in self.items])
        self.clusters = [item.cluster for item in self.items]

    def result(self, loaded: LoadedItems, num_bad_training: int) -> TaskResult:
        """Train all probes and return their figures."""
        estimates: dict[str, Estimate] = {}
        used: dict[str, str] = {}
        weights: dict[str, Any] = {}
        primary = Fitted(self.truth, {})
        names = [item.target for item in self.train.items]
        for classifier in self.kind.classifiers:
            for share in sorted(self.kind.shares, reverse=True):
                chosen = stratified(names, share, self.seed)
                fitted = self._fit(classifier, chosen, self.labels)
                metric = _metric(classifier, share)
                estimates[metric] = self._accuracy(fitted)
                used[f"{100 * share:g} %"] = f"{len(chosen)} of {len(names)} training items"
                if len(estimates) == 1:
                    primary = fitted
                if share == max(self.kind.shares):
                    weights[classifier] = self._layer_weights(fitted)
        chosen = stratified(names, max(self.kind.shares), self.seed)
        control = self._fit(self.kind.classifiers[0], chosen, self._permuted(chosen))
        if self.kind.neighbours:
            estimates |= self._neighbours()
        first = next(iter(estimates))
        right, shuffled = ([float(one) for one in fitted.predicted == self.truth] for fitted in (primary, control))
        majority = max(names.count(label) for label in self.classes) / len(names)
        all_bad = (*loaded.bad, *self.bad)
        return TaskResult(
            name=self.task.name,
            version=self.task.version,
            description=self.task.description,
            scorer=SCORER,
            metric=first,
            chance=1 / len(self.classes),
            scores={"own": estimates, "shuffled": {first: self._accuracy(control)}},
            difference=paired_difference(right, shuffled, self.clusters) if len(right) > 1 else None,
            not_computed={"blank": "a probe sees features only", "probe": "the task itself is one"},
            num_items=len(self.items),
            num_rows=loaded.num_rows,
            origin=loaded.origin,
            bad=[{"id": one.id, "reason": one.reason} for one in all_bad],
            items=[
                _answer(*one, self.classes) for one in zip(self.items, primary.predicted.tolist(), right, strict=True)
            ],
            settings={
                "data": self.task.data,
                "training": self.kind.train,
                "modalities": list(self.task.modalities),
                "kind": "probing",
                "seed": self.seed,
                "items_used": f"{len(self.items)} of {loaded.num_rows}",
                "shuffled": "a probe that was trained on the labels of other items",
                "training_items": used,
                "training_items_unreadable": num_bad_training + len(self.train.bad),
                "classes": f"{len(self.classes)}; the most frequent has {majority:.1%} of the training items",
                "layers": {name: list(one.layers) or "the encoder's own" for name, one in self.encoders.items()},
                "layer_weights": weights,
                "training_of_probes": f"AdamW, {NUM_STEPS} steps of at most 64 items",
                **({"neighbour_chance": round(self.neighbour_chance, 5)} if self.kind.neighbours else {}),
            },
        )

    neighbour_chance = 0.0

    def _fit(self, classifier: str, chosen: Sequence[int], labels: Tensor) -> Fitted:
        rows = list(chosen)
        train = {
            name: (values[rows], mask[rows]) for name, (values, mask) in self._inputs(classifier, self.train).items()
        }
        widths = {name: one.widths for name, one in self.encoders.items()}
        test = self._inputs(classifier, self.test)
        return fit(classifier, train, labels[rows], test, widths, len(self.classes), self.seed)

    def _inputs(self, classifier: str, split: Probed) -> dict[str, tuple[Tensor, Tensor]]:
        if classifier == "attentive":
            return dict(split.positions)
        return {
            name: (values[:, None], torch.ones(len(values), 1, dtype=torch.bool))
            for name, values in split.pooled.items()
        }

    def _permuted(self, chosen: Sequence[int]) -> Tensor:
        """The labels, exchanged among the chosen items."""
        order = list(chosen)
        random.Random(self.seed).shuffle(order)
        labels = self.labels.clone()
        labels[list(chosen)] = self.labels[order]
        return labels

    def _accuracy(self, fitted: Fitted) -> Estimate:
        return mean_interval([float(one) for one in fitted.predicted == self.truth], self.clusters)

    def _layer_weights(self, fitted: Fitted) -> dict[str, dict[str, float]]:
        return {
            name: {str(layer): round(weight, 3) for layer, weight in zip(self.encoders[name].layers, own, strict=True)}
            for name, own in fitted.layer_weights.items()
            if self.encoders[name].layers
        }

    def _neighbours(self) -> dict[str, Estimate]:
        last = {name: values[:, -self.encoders[name].widths[-1] :] for name, values in self.test.pooled.items()}
        targets = [item.target for item in self.items]
        kept, precisions, firsts, self.neighbour_chance = neighbours(last, targets, self.clusters)
        if not kept:
            return {}
        clusters = [self.clusters[index] for index in kept]
        return {
            "recall_at_1_neighbours": mean_interval(firsts, clusters, (0.0, 1.0)),
            "precision_neighbours": mean_interval(precisions, clusters, (0.0, 1.0)),
        }


def _metric(classifier: str, share: float) -> str:
    return f"accuracy_{classifier}_{100 * share:g}"


def _rows(probed: Probed, kept: Sequence[int]) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
    rows = list(kept)
    pooled = {name: values[rows] for name, values in probed.pooled.items()}
    return pooled, {name: (values[rows], mask[rows]) for name, (values, mask) in probed.positions.items()}


def _answer(item: Item, predicted: int, right: float, classes: Sequence[str]) -> ItemAnswer:
    media = [describe_media(part) for part in item.media]
    return ItemAnswer(item.id, media, "", item.target, classes[predicted], right)
