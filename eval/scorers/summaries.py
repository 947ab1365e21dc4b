"""Scorers that add what a benchmark's own paper reports to the figures of another scorer.

- **mme** (Fu et al. 2023, arXiv:2306.13394): for each category accuracy + accuracy+, and the sums over the ten of
  perception (2,000 at most) and the four of cognition (800).
- **naturalbench** (Li et al. 2024, arXiv:2410.14669): of the four answers of a group, the share of questions that are
  right about both pictures (Q-Acc), and of pictures about which both questions are (I-Acc); `group_accuracy` is G-Acc.
- **categories**: the accuracy in each `category` of the rows, and the mean over categories (BLINK, Fu et al. 2024,
  arXiv:2404.12390). A category can have parts (`2D/COCO`), which count once together (CV-Bench, arXiv:2406.16860).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eval.items.item import Item
from eval.metrics.summaries import MME_PARTS, all_right_share, mme_shares, nested_weights
from eval.scorers.base import Scorer, Scores
from eval.scorers.derived import Derived
from eval.scorers.groups import GROUPS, GroupScorer, items_by_group
from eval.scorers.multiple_choice import MULTIPLE_CHOICE
from eval.scorers.yes_no import YES_NO
from eval.statistics.intervals import Estimate, mean_interval, stratified_interval


@dataclass(frozen=True)
class SummaryScorer(Derived):
    """What scorers with a summary share: all but the summary is as of `scorer`.

    Attributes:
        kind: the beginning of its name.
        scorer: gives the other figures, the primary one among them, and the values of items.
        single: scores single items; `scorer` itself, or what it groups.
    """

    kind: str
    scorer: Scorer
    single: Scorer
    own_version: int = 1
    percent = True

    @property
    def single_name(self) -> str:
        """That of the scorer of single items."""
        return self.single.name

    @property
    def metric(self) -> str:
        """See `Scorer`."""
        return self.scorer.metric

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return what guessing gives on the primary metric; see `Scorer`."""
        return self.scorer.chance(items)

    def score(self, answers: Sequence[Any], *, condition: str, seed: int) -> Scores:
        """Return the figures of the scorer, and the summary."""
        found = self.scorer.score(answers, condition=condition, seed=seed)
        single = self.single.score(answers, condition=condition, seed=seed)
        items = [answer.item for answer in answers]
        estimates, gaps = self.summary(items, np.array([one.value for one in single.items]))
        return replace(found, estimates={**found.estimates, **estimates}, not_computed={**found.not_computed, **gaps})

    def summary(self, items: Sequence[Item], values: np.ndarray) -> tuple[dict[str, Estimate], dict[str, str]]:
        """Return the figures of the summary, and those that could not be computed with the reasons.

        Args:
            items: those that were answered.
            values: [N], of each item on its own.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement summary(items, values)")


class MMEScorer(SummaryScorer):
    """Adds `score_CATEGORY`, `perception` and `cognition`; see the module's text."""

    def summary(self, items: Sequence[Item], values: np.ndarray) -> tuple[dict[str, Estimate], dict[str, str]]:
        """See `SummaryScorer`."""
        pictures = list(items_by_group(items).values())
        first = [items[members[0]] for members in pictures]
        categories = [str(item.meta.get("category")) for item in first]
        complete = [len(members) == item.meta.get("group_size") for members, item in zip(pictures, first, strict=True)]
        right, together = (np.array([of(values[members]) for members in pictures]) for of in (np.sum, np.prod))
        asked, together = np.array([len(members) for members in pictures]), together * complete
        shares = np.zeros(len(pictures))
        for name in {*categories}:
            own = [index for index, category in enumerate(categories) if category == name]
            shares[own] = mme_shares(right[own], asked[own], together[own])

        def score(names: Sequence[str]) -> Estimate:
            own = [index for index, category in enumerate(categories) if category in names]
            strata, clusters = ([of[index] for index in own] for of in (categories, [item.cluster for item in first]))
            bounds = (0.0, 200.0 * len(names))
            return stratified_interval(shares[own].tolist(), strata, dict.fromkeys(names, 1.0), clusters, bounds)

        there = list(dict.fromkeys(categories))
        estimates = {f"score_{name}": score([name]) for name in there}
        gaps = {}
        for part, names in MME_PARTS.items():
            missing = [name for name in names if name not in there]
            if missing:
                gaps[part] = f"it is the sum over {len(names)} categories, of which {', '.join(missing)} are not asked"
            else:
                estimates[part] = score(names)
        return estimates, gaps


class NaturalBenchScorer(SummaryScorer):
    """Adds `accuracy_by_question` (Q-Acc) and `accuracy_by_picture` (I-Acc); see the module's text."""

    def summary(self, items: Sequence[Item], values: np.ndarray) -> tuple[dict[str, Estimate], dict[str, str]]:
        """See `SummaryScorer`."""
        groups = list(items_by_group(items).values())
        clusters = [items[members[0]].cluster for members in groups]

        def share_by(key: str) -> Estimate:
            found = [
                all_right_share(values[members].tolist(), [items[index].meta[key] for index in members], 2, 2)
                for members in groups
            ]
            return mean_interval(found, clusters, bounds=(0.0, 1.0))

        return {
            "accuracy_by_question": share_by("question_number"),
            "accuracy_by_picture": share_by("picture_number"),
        }, {}


class CategoryScorer(SummaryScorer):
    """Adds `accuracy_by_category`, the mean over categories, and `accuracy_in_CATEGORY`; see the module's text."""

    def summary(self, items: Sequence[Item], values: np.ndarray) -> tuple[dict[str, Estimate], dict[str, str]]:
        """See `SummaryScorer`."""
        nameless = next((item for item in items if not isinstance(item.meta.get("category"), str)), None)
        if nameless is not None:
            return {}, {"accuracy_by_category": f"item {nameless.id!r} has no 'category' in its row"}
        paths = [tuple(item.meta["category"].split("/")) for item in items]
        clusters = [item.cluster for item in items]
        mean = stratified_interval(values.tolist(), paths, {**nested_weights(paths)}, clusters, (0.0, 1.0))
        estimates = {"accuracy_by_category": mean}
        for path in dict.fromkeys(paths):
            inside = [index for index, one in enumerate(paths) if one == path]
            own = [clusters[index] for index in inside]
            estimates[f"accuracy_in_{'/'.join(path)}"] = mean_interval(values[inside].tolist(), own, (0.0, 1.0))
        return estimates, {}


def _grouped(single: Scorer) -> GroupScorer:
    return next(scorer for scorer in GROUPS if scorer.scorer is single)


SUMMARIES: tuple[Scorer, ...] = (
    *(MMEScorer("mme", _grouped(single), single) for single in YES_NO),
    *(NaturalBenchScorer("naturalbench", _grouped(single), single) for single in MULTIPLE_CHOICE),
    *(CategoryScorer("categories", single, single) for single in MULTIPLE_CHOICE),
)
