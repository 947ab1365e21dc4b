"""Whether results of one task may be compared, and the items that they share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.items.clusters import connected
from eval.run.results import ItemAnswer, TaskResult

# Settings that say how many items there are, or how a figure next to the score was made: not what an item is asked.
_ASIDE = {"items_used", "official_items", "data", "probe", "linear_map", "bridge", "blank", "shuffled"}


@dataclass(frozen=True)
class Paired:
    """The items that all results of a task have, in the order of the first.

    Attributes:
        items: for each item, one answer of each result.
        clusters: the cluster of each item.
        missing: for each result, the ids of items that another one has and it has not.
        notes: what a reader should know of them.
    """

    items: list[tuple[ItemAnswer, ...]]
    clusters: list[int]
    missing: list[list[str]]
    notes: list[str]


def asked_alike(task: TaskResult) -> dict[str, Any]:
    """Return everything that must be the same in results that are compared."""
    settings = {name: value for name, value in task.settings.items() if name not in _ASIDE}
    return {"version": task.version, "scorer": task.scorer, "metric": task.metric, **settings}


def first_difference(left: Mapping[str, Any], right: Mapping[str, Any]) -> str | None:
    """Return the name of the first entry of `asked_alike` that differs; None if all are the same."""
    names = dict.fromkeys((*left, *right))
    return next((name for name in names if left.get(name) != right.get(name)), None)


def pair(names: Sequence[str], results: Sequence[TaskResult]) -> Paired:
    """Return the items that results of one task share.

    Args:
        names: what the results are called.
        results: computed ones of one task.

    Raises:
        ValueError: they cannot be compared, with the reason.
    """
    for name, result in zip(names, results, strict=True):
        if not _has_item_values(result):
            raise ValueError(f"{result.metric} of {name} has no value for a single item, so that none can be paired")
    first = asked_alike(results[0])
    for name, result in zip(names[1:], results[1:], strict=True):
        other = asked_alike(result)
        if (what := first_difference(first, other)) is not None:
            raise ValueError(
                f"{names[0]} and {name} were asked differently: {what.replace('_', ' ')} is {first.get(what)!r} and "
                f"{other.get(what)!r}; evaluate one of them again as the other was"
            )
    keyed = [_by_key(result.items) for result in results]
    common = [key for key in keyed[0] if all(key in other for other in keyed[1:])]
    if not common:
        raise ValueError("they share no item")
    every = list(dict.fromkeys(key for one in keyed for key in one))
    _check_same_questions(names, keyed)
    items = [tuple(one[key] for one in keyed) for key in common]
    return Paired(
        items, _clusters(items), [[key[0] for key in every if key not in one] for one in keyed], _notes(names, results)
    )


def _has_item_values(result: TaskResult) -> bool:
    """Whether items have values; in results from before it was written, an error rate of the whole left them 0."""
    silent = not any(item.right for item in result.items) and result.primary is not None and result.primary.value != 0
    return result.has_item_values and not silent


def _by_key(items: Sequence[ItemAnswer]) -> dict[tuple[str, int], ItemAnswer]:
    """The items by id, and by the how manieth of that id they are."""
    seen: Counter[str] = Counter()
    found = {}
    for item in items:
        found[item.id, seen[item.id]] = item
        seen[item.id] += 1
    return found


def _check_same_questions(names: Sequence[str], keyed: Sequence[Mapping[tuple[str, int], ItemAnswer]]) -> None:
    for name, other in zip(names[1:], keyed[1:], strict=True):
        for key, item in other.items():
            own = keyed[0].get(key)
            if own is not None and _asked(own) != _asked(item):
                raise ValueError(
                    f"item {item.id!r} is not the same: {names[0]} was asked {_asked(own)}, {name} {_asked(item)}"
                )


def _asked(item: ItemAnswer) -> str:
    """The question, the right answer and the names of the media, which may lie in another folder."""
    media = ", ".join(_file_names(part) for part in item.media)
    return f"{item.question!r} of {media or 'no media'} with the answer {item.target!r}"


def _file_names(part: Mapping[str, Any]) -> str:
    path = part.get("path") or part.get("description", "")
    return " ".join(Path(one).name for one in (path if isinstance(path, list) else [str(path)]))


def _clusters(items: Sequence[tuple[ItemAnswer, ...]]) -> list[int]:
    """The clusters of items that belong together in any of the results; each result numbers its own."""
    return connected(
        [
            [f"{place}:{answer.cluster}" for place, answer in enumerate(answers) if answer.cluster is not None]
            or [f"item {index}"]
            for index, answers in enumerate(items)
        ]
    )


def _notes(names: Sequence[str], results: Sequence[TaskResult]) -> list[str]:
    notes = []
    sources = list(dict.fromkeys(str(result.settings.get("data")) for result in results))
    if len(sources) > 1:
        notes.append(f"The items were read from different places ({', '.join(sources)}); ids and questions agree.")
    old = [
        name for name, result in zip(names, results, strict=True) if any(item.cluster is None for item in result.items)
    ]
    if old:
        notes.append(
            f"The results of {', '.join(old)} do not say which items belong together; where no other does, items count "
            "as independent."
        )
    return notes
