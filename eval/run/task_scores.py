"""From answers to a task's figures: one function for each kind of task.

The three functions share a shape: they take the plan of a task and the answers, and fill in a `TaskResult`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from eval.run.ask import Answers
from eval.run.conditions import BLANK, MISMATCHED, OWN, REFERENCE, SHUFFLED, SHUFFLED_MISMATCHED, Condition
from eval.run.items import Item
from eval.run.requests import Prefix, digest
from eval.run.results import ItemAnswer, TaskResult
from eval.scorers.scorers import (
    NORMALIZATIONS,
    ChoiceScorer,
    TextScorer,
    choice_scores,
    credit,
    expected_rank,
    get_scorer,
    softmax,
)
from eval.statistics.intervals import Estimate, mean_interval, paired_difference
from eval.task import Generate, Task
from omni.samples.messages import Media

NUM_TOP = 3


@dataclass
class Plan:
    """A task made concrete: its items, conditions and candidates.

    Attributes:
        candidates: for each item its candidate texts; empty lists where nothing is chosen.
        right: for each item the index of the right candidate.
    """

    task: Task
    items: list[Item]
    conditions: dict[str, Condition]
    candidates: list[list[str]]
    right: list[int]
    seed: int
    result: TaskResult
    kept: list[int] = field(default_factory=list)


def keep_answered(plan: Plan, answers: Answers) -> None:
    """Sort out the items whose own media the model could not take; they are counted and named in the result."""
    for index, item in enumerate(plan.items):
        reasons = [answers.failed[prefix.key] for prefix in plan.conditions[OWN][index] if prefix.key in answers.failed]
        if reasons:
            plan.result.bad.append({"id": item.id, "reason": reasons[0]})
        else:
            plan.kept.append(index)


def score_choice(plan: Plan, answers: Answers, count_tokens: Callable[[str], int]) -> None:
    """Accuracy under each normalisation in each condition, and rank statistics for the item's own media."""
    scorer = get_scorer(plan.task.scorer)
    assert isinstance(scorer, ChoiceScorer)
    primary = scorer.normalization
    tables = {
        condition: _choice_table(plan, answers, count_tokens, prefixes)
        for condition, prefixes in plan.conditions.items()
        if condition != REFERENCE
    }
    for condition, table in tables.items():
        scores: dict[str, Estimate] = {}
        for normalization in NORMALIZATIONS:
            pairs = [
                (float(np.mean([credit(one[normalization], plan.right[index]) for one in found])), index)
                for index, found in table.items()
            ]
            if pairs:
                scores[f"accuracy_{normalization}"] = _mean(plan, pairs)
        plan.result.scores[condition] = scores
    own = tables[OWN]
    ranks = {index: expected_rank(found[0][primary], plan.right[index]) for index, found in own.items()}
    if ranks:
        plan.result.scores[OWN] |= {
            "reciprocal_rank": _mean(plan, [(1 / rank, index) for index, rank in ranks.items()]),
            "recall_at_5": _mean(plan, [(float(rank <= 5), index) for index, rank in ranks.items()]),
        }
    plan.result.metric = f"accuracy_{primary}"
    if primary == "pmi" and REFERENCE not in plan.conditions:
        # Of a blank prompt with itself it is 0 for every candidate; what the LLM believes without media is the sum.
        plan.result.control_metric[BLANK] = "accuracy_sum"
    plan.result.difference = _difference(
        plan,
        {index: credit(found[0][primary], plan.right[index]) for index, found in own.items()},
        {
            index: float(np.mean([credit(one[primary], plan.right[index]) for one in found]))
            for index, found in tables.get(SHUFFLED, {}).items()
        },
    )
    for index, found in own.items():
        plan.result.items.append(_choice_answer(plan, index, found[0], primary))


def _choice_table(
    plan: Plan, answers: Answers, count_tokens: Callable[[str], int], condition: Condition
) -> dict[int, list[dict[str, np.ndarray]]]:
    """For each kept item the scores of its candidates, once for each prefix of the condition that was answered."""
    table: dict[int, list[dict[str, np.ndarray]]] = {}
    for index in plan.kept:
        candidates = plan.candidates[index]
        base = _pmi_base(plan, answers, index)
        num_tokens = [count_tokens(candidate) for candidate in candidates]
        found = [_scores(answers, prefix, candidates) for prefix in condition[index]]
        answered = [choice_scores(candidates, one, base, num_tokens) for one in found if one is not None]
        if answered and base is not None:
            table[index] = answered
    return table


def _pmi_base(plan: Plan, answers: Answers, index: int) -> list[float] | None:
    """log p(c | prompt) of an item's candidates: the mean over reference media if there are any, else without."""
    candidates = plan.candidates[index]
    if REFERENCE not in plan.conditions:
        return _scores(answers, plan.conditions[BLANK][index][0], candidates)
    found = [_scores(answers, prefix, candidates) for prefix in plan.conditions[REFERENCE][index]]
    answered = np.asarray([one for one in found if one is not None])
    if not len(answered):
        failed = plan.conditions[REFERENCE][index][0].key
        plan.result.not_computed[REFERENCE] = f"measured against no media instead: {answers.failed[failed]}"
        return _scores(answers, plan.conditions[BLANK][index][0], candidates)
    return (np.logaddexp.reduce(answered, axis=0) - np.log(len(answered))).tolist()


def _scores(answers: Answers, prefix: Prefix, candidates: Sequence[str]) -> list[float] | None:
    if prefix.key in answers.failed:
        return None
    return [answers.scores[prefix.key, candidate] for candidate in candidates]


def _choice_answer(plan: Plan, index: int, scores: dict[str, np.ndarray], primary: str) -> ItemAnswer:
    item, candidates = plan.items[index], plan.candidates[index]
    probabilities = softmax(scores[primary])
    order = np.argsort(-probabilities, kind="stable")[:NUM_TOP]
    return ItemAnswer(
        id=item.id,
        media=[describe_media(part) for part in item.media],
        question=item.prompt,
        target=candidates[plan.right[index]],
        answer=candidates[int(order[0])],
        right=credit(scores[primary], plan.right[index]),
        top=[(candidates[int(best)], round(float(probabilities[best]), 6)) for best in order],
    )


def score_match(plan: Plan, answers: Answers) -> None:
    """Share of comparisons in which the right answer is likelier with its own media than with mismatched ones."""
    plan.result.metric = "preference"
    wins = _wins(plan, answers, plan.conditions[OWN], plan.conditions[MISMATCHED])
    control = _wins(plan, answers, plan.conditions[SHUFFLED], plan.conditions[SHUFFLED_MISMATCHED])
    for condition, values in ((OWN, wins), (SHUFFLED, control)):
        if values:
            means = [(float(np.mean([gain_credit(gain) for gain in gains])), index) for index, gains in values.items()]
            plan.result.scores[condition] = {
                "preference": _mean(plan, means),
                "log_likelihood_gain": _mean(
                    plan, [(float(np.mean(gains)), index) for index, gains in values.items()], bounds=None
                ),
            }
    plan.result.not_computed[BLANK] = (
        "without media there is nothing to mismatch: both sides are equal, 50 % by construction"
    )
    plan.result.difference = _difference(
        plan,
        {index: float(np.mean([gain_credit(gain) for gain in gains])) for index, gains in wins.items()},
        {index: float(np.mean([gain_credit(gain) for gain in gains])) for index, gains in control.items()},
    )
    for index, gains in wins.items():
        item = plan.items[index]
        share = float(np.mean([gain_credit(gain) for gain in gains]))
        note = f"log-likelihood {np.mean(gains):+.2f} against {len(gains)} mismatched; likelier in {share:.0%}"
        media = [describe_media(part) for part in item.media]
        plan.result.items.append(
            ItemAnswer(item.id, media, item.prompt, item.target, f"likelier in {share:.0%}", share, note=note)
        )


def gain_credit(gain: float) -> float:
    """1 for a gain in log-likelihood, half for none, 0 for a loss."""
    return 0.5 if abs(gain) <= 1e-9 else float(gain > 0)


def _wins(plan: Plan, answers: Answers, left: Condition, right: Condition) -> dict[int, list[float]]:
    """For each item the gains in log-likelihood of its right answer, left over right, for each prefix on the right."""
    gains: dict[int, list[float]] = {}
    for index in plan.kept:
        base = _scores(answers, left[index][0], [plan.items[index].target])
        others = [_scores(answers, prefix, [plan.items[index].target]) for prefix in right[index]]
        found = [base[0] - other[0] for other in others if base is not None and other is not None]
        if found:
            gains[index] = found
    return gains


def score_texts(plan: Plan, answers: Answers) -> None:
    """Metrics of generated texts in each condition."""
    task = plan.task
    scorer = get_scorer(task.scorer)
    assert isinstance(scorer, TextScorer)
    assert isinstance(task.kind, Generate)
    settings_key = digest(task.kind.settings)
    plan.result.metric = next(iter(scorer.metrics))
    plan.result.percent = scorer.percent
    per_item: dict[str, dict[int, float]] = {}
    for condition, prefixes in plan.conditions.items():
        # A corpus metric takes one text an item, so of several shuffles the first stands for all.
        found = {i: answers.texts.get((settings_key, prefixes[i][0].key)) for i in plan.kept}
        texts = {index: text for index, text in found.items() if text is not None}
        if not texts:
            plan.result.not_computed[condition] = "no answers"
            continue
        plan.result.scores[condition] = {}
        for name, metric in scorer.metrics.items():
            references = [plan.items[index].target for index in texts]
            clusters = [plan.items[index].cluster for index in texts]
            estimate, values = metric(list(texts.values()), references, clusters, plan.seed)
            plan.result.scores[condition][name] = estimate
            if name == plan.result.metric:
                per_item[condition] = dict(zip(texts, values, strict=False))
        if condition == OWN:
            for index, text in texts.items():
                item = plan.items[index]
                media = [describe_media(part) for part in item.media]
                right = per_item[OWN].get(index, 0.0)
                note = f"{plan.result.metric} {right:.2f}"
                plan.result.items.append(ItemAnswer(item.id, media, item.prompt, item.target, text, right, note=note))
    plan.result.difference = _difference(plan, per_item.get(OWN, {}), per_item.get(SHUFFLED, {}))


def _mean(plan: Plan, pairs: Sequence[tuple[float, int]], bounds: tuple[float, float] | None = (0.0, 1.0)) -> Estimate:
    clusters = [plan.items[index].cluster for _, index in pairs]
    limits = (-np.inf, np.inf) if bounds is None else bounds
    return mean_interval([value for value, _ in pairs], clusters, bounds=limits)


def _difference(plan: Plan, left: dict[int, float], right: dict[int, float]) -> Estimate | None:
    both = [index for index in left if index in right]
    if len(both) < 2:
        return None
    return paired_difference(
        [left[index] for index in both], [right[index] for index in both], [plan.items[index].cluster for index in both]
    )


def describe_media(media: Media) -> dict[str, object]:
    """A media item as a JSON part, as far as it is a file; else its modality and what it is."""
    if media.path is not None:
        return {"type": media.modality, "path": media.path}
    return {"type": media.modality, "description": media.describe()}
