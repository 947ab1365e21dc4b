"""Choices by likelihood and what is made of them, restated: every order of tied options, one after another."""

import itertools
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from eval.items.item import Item
from eval.scorers.answers import ComparisonAnswer, ConflictAnswer
from tests.check_scorers.comparing import Outcome, chosen, compare, figures, item_values

_NAMES = ("sum", "mean", "bytes", "pmi")
_RULE = "all orders of tied options"


def _scores(total: Sequence[int], base: Sequence[int], tokens: Sequence[int], options: Sequence[str]) -> list[list]:
    """The four scores of the options, as fractions, so that a tie is a tie."""
    sizes = [len(option.encode()) for option in options]
    rows = list(zip(total, base, tokens, sizes, strict=True))
    return [
        [Fraction(one) for one in total],
        [Fraction(one, count) for one, _, count, _ in rows],
        [Fraction(one, size) for one, _, _, size in rows],
        [Fraction(one - less) for one, less, _, _ in rows],
    ]


def _places(scores: Sequence[Fraction], right: int) -> list[int]:
    """The place of the right option, from 1, in each order that the scores allow."""
    orders = itertools.permutations(range(len(scores)))
    return [
        order.index(right) + 1 for order in orders if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]


def _question(draw: random.Random, name: str) -> tuple[Item, list[int], list[int]]:
    options = tuple(f"{draw.choice(('x', 'é', 'ü€')) * draw.randint(1, 4)}{n}" for n in range(draw.randint(2, 5)))
    right = draw.randrange(len(options))
    base = [-draw.randint(1, 4) for _ in options]
    return Item(name, (), "", options[right], 0, options, right), base, [draw.randint(1, 3) for _ in options]


def _totals(draw: random.Random, item: Item) -> list[int]:
    return [-draw.randint(1, 4) for _ in item.options]


def choices(number: int) -> Iterator[Outcome]:
    """Accuracy under each of the four scores, and rank statistics under the primary one, ties and shuffles included."""
    draw = random.Random(7)
    accuracy: list[tuple[list[float], list[float]]] = []
    ranks: list[tuple[list[float], list[float]]] = []
    for case in range(number):
        item, base, tokens = _question(draw, str(case))
        showings = [_totals(draw, item) for _ in range(draw.choice((1, 1, 3)))]
        found = [figures(f"choice-{name}-v1", [chosen(item, *showings, base=base, tokens=tokens)]) for name in _NAMES]
        by_showing = [
            [_places(scores, item.right) for scores in _scores(one, base, tokens, item.options)] for one in showings
        ]
        theirs = [np.mean([np.mean([p == 1 for p in one[kind]]) for one in by_showing]) for kind in range(4)]
        accuracy.append(([found[kind][f"accuracy_{name}"] for kind, name in enumerate(_NAMES)], [*map(float, theirs)]))
        middle = [float(np.mean(by_showing[0][kind])) for kind in range(4)]
        own = [one[name] for name in ("reciprocal_rank", "recall_at_5") for one in found]
        ranks.append((own, [1 / rank for rank in middle] + [float(rank <= 5) for rank in middle]))
    yield compare("choice-*-v1", "accuracy", _RULE, accuracy)
    yield compare("choice-*-v1", "MRR, R@5", "mean place over these orders", ranks)


def conflicts(number: int) -> Iterator[Outcome]:
    """Whom an answer follows, by mutual information with the media."""
    draw = random.Random(10)
    pairs = []
    for case in range(number):
        item, base, tokens = _question(draw, str(case))
        total = _totals(draw, item)
        rival = draw.choice([index for index in range(len(item.options)) if index != item.right])
        found = figures("conflict-v1", [ConflictAnswer(item, [total], base, tokens, rival=rival)])
        scores = _scores(total, base, tokens, item.options)[3]
        best = [index for index, score in enumerate(scores) if score == max(scores)]
        first, second = (best.count(index) / len(best) for index in (item.right, rival))
        own = [found[f"follows_{whom}"] for whom in ("first", "second", "neither")]
        pairs.append((own, [first, second, 1 - first - second]))
    yield compare("conflict-v1", "follows first, second, neither", "argmax of PMI, restated", pairs)


def likeliest_yes(number: int) -> Iterator[Outcome]:
    """The candidate whose yes is likeliest, of groups that are asked in any order."""
    draw = random.Random(11)
    pairs = []
    for _ in range(number):
        answers, theirs = [], []
        for group in range(draw.randint(1, 4)):
            size, yes_first = draw.randint(2, 8), draw.random() < 0.5
            right, showings = draw.randrange(size), draw.choice((1, 1, 2))
            yes = [[-draw.randint(1, 6) / 4 for _ in range(showings)] for _ in range(size)]
            for place in range(size):
                options = ("Yes", "No") if yes_first else ("No", "Yes")
                said = options.index("Yes") if place == right else options.index("No")
                item = Item(f"{group}-{place}", (), "", options[said], group, options, said, group=str(group))
                rows = [(one, -draw.random()) if yes_first else (-draw.random(), one) for one in yes[place]]
                answers.append(chosen(item, *rows))
            tops = [[p for p in range(size) if yes[p][s] == max(one[s] for one in yes)] for s in range(showings)]
            theirs.append(np.mean([(right in top) / len(top) for top in tops]))
        draw.shuffle(answers)
        pairs.append((figures("likeliest-yes-v1", answers)["accuracy"], np.mean(theirs)))
    yield compare("likeliest-yes-v1", "accuracy", "argmax of yes, restated", pairs)


def comparisons(number: int) -> Iterator[Outcome]:
    """Wins against mismatched media, half of one for a tie."""
    draw = random.Random(12)
    pairs = []
    for case in range(number):
        gains = [draw.randint(-3, 3) / 2 for _ in range(draw.randint(1, 6))]
        own = item_values("match-v1", [ComparisonAnswer(Item(str(case), (), "", "x", 0), gains)])[0]
        pairs.append((own, np.mean([(np.sign(gain) + 1) / 2 for gain in gains])))
    yield compare("match-v1", "share of wins", "signs, restated", pairs)
