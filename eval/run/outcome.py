"""From a plan and its answers to the result of the task, which is built once, here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.items.conditions import OWN, SHUFFLED
from eval.items.item import BadItem, Item
from eval.run.answers import Answers
from eval.run.baselines.linear_map import LinearMapOutcome
from eval.run.described_media import describe_media
from eval.run.kinds import procedure_of
from eval.run.plan import Plan
from eval.run.results import ItemAnswer, TaskResult, not_computed
from eval.scorers import Answer, ChoiceAnswer, ItemScore, Scores, label_of
from eval.statistics.intervals import Estimate, paired_difference

LINEAR_MAP = "linear map"


@dataclass(frozen=True)
class ProbeOutcome:
    """The linear probe of a task: its accuracy and how it was trained, or why there is none."""

    estimate: Estimate | None = None
    description: str = ""
    reason: str = ""


def answered_items(plan: Plan, answers: Answers) -> list[int]:
    """Return the indices of the items whose own media the model could take."""
    return [index for index in range(len(plan.items)) if _reason(plan, answers, index) is None]


def task_result(plan: Plan, answers: Answers, probe: ProbeOutcome, linear_map: LinearMapOutcome) -> TaskResult:
    """Return the result of a task; it is `not computed`, with the reason, if no item could be answered."""
    kept = answered_items(plan, answers)
    bad = [{"id": item.id, "reason": item.reason} for item in (*plan.bad, *_unanswered(plan, answers))]
    if not kept:
        return _nothing(plan, bad, f"no item could be answered; the first: {bad[0]['id']}: {bad[0]['reason']}")
    collected = procedure_of(plan.task.kind).collect(plan, kept, answers)
    missing = {condition: "no answers" for condition, found in collected.answers.items() if not found}
    if OWN in missing or OWN not in collected.answers:
        reason = "the questions could be put, but no answer to one could be compared with another"
        return _nothing(plan, bad, collected.not_computed.get(OWN, reason))
    answered = {condition: found for condition, found in collected.answers.items() if found}
    scores = {condition: _score(plan, condition, found) for condition, found in answered.items()}
    fewer = {
        condition: f"for {len(kept) - len(found)} of {len(kept)} items, whose media here could not be read"
        for condition, found in answered.items()
        if len(found) < len(kept)
    }
    if plan.scorer.metric in scores[OWN].not_computed:
        return _nothing(plan, bad, scores[OWN].not_computed[plan.scorer.metric])
    gaps = {**plan.not_computed, **missing, **fewer, **collected.not_computed, **scores[OWN].not_computed}
    gaps |= {name: "this kind of task does not ask in it" for name in plan.further if name not in collected.answers}
    mapped = _mapped(plan, linear_map)
    if mapped:
        scores[LINEAR_MAP], answered[LINEAR_MAP] = _score(plan, LINEAR_MAP, mapped), mapped
    else:
        gaps[LINEAR_MAP] = linear_map.reason or "no item's features could be read"
    map_difference = _difference(plan, answered, scores, LINEAR_MAP)
    map_scores = scores.pop(LINEAR_MAP, None)
    settings = dict(plan.settings)
    settings |= {"probe": probe.description} if probe.estimate else {}
    settings |= {"linear_map": linear_map.description} if map_scores else {}
    return TaskResult(
        name=plan.task.name,
        version=plan.task.version,
        description=plan.task.description,
        scorer=label_of(plan.scorer),
        metric=plan.scorer.metric,
        percent=plan.scorer.percent,
        chance=plan.chance,
        scores={condition: dict(found.estimates) for condition, found in scores.items()},
        control_metric={condition: found.headline for condition, found in scores.items() if found.headline},
        difference=_difference(plan, answered, scores, SHUFFLED),
        drops={name: drop for name in plan.further if (drop := _difference(plan, answered, scores, name)) is not None},
        probe=probe.estimate,
        not_computed=gaps if probe.estimate else gaps | {"probe": probe.reason},
        num_items=len(kept),
        num_rows=plan.num_rows,
        bad=bad,
        has_item_values=bool(scores[OWN].items),
        items=_item_answers(answered[OWN], scores[OWN]),
        confusion=scores[OWN].confusion,
        settings=settings | dict(scores[OWN].settings),
        linear_map=map_scores.estimates[plan.scorer.metric] if map_scores else None,
        linear_map_difference=map_difference,
        linear_map_seconds=linear_map.seconds if map_scores else None,
        num_empty=sum(not answer.text.strip() for answer in answered[OWN].values()),
        origin=plan.origin,
    )


def _reason(plan: Plan, answers: Answers, index: int) -> str | None:
    """Return why the model could not take an item's own media; None if it could."""
    keys = [prefix.key for prefix in plan.conditions[OWN][index]]
    return next((answers.failed[key] for key in keys if key in answers.failed), None)


def _unanswered(plan: Plan, answers: Answers) -> list[BadItem]:
    reasons = [_reason(plan, answers, index) for index in range(len(plan.items))]
    return [BadItem(item.id, why) for item, why in zip(plan.items, reasons, strict=True) if why is not None]


def _nothing(plan: Plan, bad: list[dict[str, str]], reason: str) -> TaskResult:
    task = plan.task
    result = not_computed(task.name, task.version, task.description, label_of(plan.scorer), reason)
    result.bad, result.num_rows, result.origin = bad, plan.num_rows, plan.origin
    return result


def _score(plan: Plan, condition: str, found: Mapping[int, Answer]) -> Scores:
    answers = list(found.values())
    scores = plan.scorer.score(answers, condition=condition, seed=plan.seed)
    label = label_of(plan.scorer)
    if condition == OWN and plan.scorer.metric not in {*scores.estimates, *scores.not_computed}:
        raise ValueError(f"scorer {label} gives no {plan.scorer.metric!r}, its primary metric; see eval.scorers.Scorer")
    if len(scores.items) not in (0, len(answers)):
        raise ValueError(f"scorer {label} gives {len(scores.items)} items for {len(answers)} answers")
    return scores


def _mapped(plan: Plan, linear_map: LinearMapOutcome) -> dict[int, ChoiceAnswer]:
    """The linear map's cosines as answers, for the scorer of the task."""
    found = {}
    for index, cosines in linear_map.similarities.items():
        nothing = [0.0] * len(cosines)
        item = plan.items[index]
        found[index] = ChoiceAnswer(item, [cosines], nothing, [1] * len(cosines), are_likelihoods=False)
    return found


def _difference(
    plan: Plan, answered: Mapping[str, Mapping[int, Answer]], scores: Mapping[str, Scores], other: str
) -> Estimate | None:
    """Return own minus another condition, over the items that have a value in both."""
    if other not in scores:
        return None
    left, right = (_values(answered[condition], scores[condition]) for condition in (OWN, other))
    both = [index for index in left if index in right]
    if len(both) < 2:
        return None
    clusters = [plan.items[index].cluster for index in both]
    return paired_difference([left[index] for index in both], [right[index] for index in both], clusters)


def _values(found: Mapping[int, Answer], scores: Scores) -> dict[int, float]:
    values = zip(found, (item.value for item in scores.items), strict=False)  # empty where items have no value
    return {index: value for index, value in values if not math.isnan(value)}


def _item_answers(found: Mapping[int, Answer], scores: Scores) -> list[ItemAnswer]:
    items: Sequence[ItemScore] = scores.items or [ItemScore(0.0) for _ in found]
    return [_item_answer(answer, score) for answer, score in zip(found.values(), items, strict=True)]


def _item_answer(answer: Answer, score: ItemScore) -> ItemAnswer:
    item: Item = answer.item
    return ItemAnswer(
        id=item.id,
        media=[describe_media(part) for part in item.media],
        question=item.question,
        target=answer.target,
        answer=answer.text if score.text is None else score.text,
        right=score.value,
        top=list(score.top),
        note=score.note,
        cluster=item.cluster,
    )
