"""Figures over parts of a benchmark, as their papers sum them up: MME, NaturalBench, means over categories."""

from collections.abc import Iterable, Sequence

import numpy as np

Path = tuple[str, ...]

# The categories of MME (Fu et al. 2023, arXiv:2306.13394, section 2.1) by what they ask for.
MME_PARTS: dict[str, tuple[str, ...]] = {
    "perception": (
        *("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"),
    ),
    "cognition": ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"),
}


def mme_shares(right: np.ndarray, asked: np.ndarray, together: np.ndarray) -> np.ndarray:
    """Return what each picture gives to MME's score of its category: accuracy + accuracy+ out of 100 each is the mean.

    Shapes: P pictures of one category.

    Args:
        right: [P], the right answers to the questions about each picture.
        asked: [P], how many questions there were; both in all of the official files.
        together: [P], 1 where all answers about the picture are right, else 0.
    """
    return 100 * (right * len(right) / asked.sum() + together)


def all_right_share(values: Sequence[float], parts: Sequence[int], num_parts: int, part_size: int) -> float:
    """Return the share of a group's parts of which all answers are right.

    Args:
        values: of each answer, 1 where it is right; shares of 1 count as chances that do not depend on each other.
        parts: the number of the part of each answer, from 0 on.
        num_parts: how many parts the group has.
        part_size: how many answers a part has; one that lacks some is wrong.
    """
    answers = [*zip(values, parts, strict=True)]
    found = [[value for value, part in answers if part == number] for number in range(num_parts)]
    return sum(float(np.prod(one)) for one in found if len(one) == part_size) / num_parts


def nested_weights(paths: Iterable[Path]) -> dict[Path, float]:
    """Return the weight of each category in a mean in which those with a common beginning count once together.

    With the paths `2D/ADE20K`, `2D/COCO` and `3D/Omni3D` the mean is ((ADE20K + COCO) / 2 + Omni3D) / 2.

    Args:
        paths: of categories, from the outermost on.
    """
    by_first: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(paths):
        by_first.setdefault(path[:1], []).append(path[1:])
    if [*by_first] == [()]:
        return {(): 1.0}
    return {
        (*first, *rest): weight / len(by_first)
        for first, inside in by_first.items()
        for rest, weight in nested_weights(inside).items()
    }
