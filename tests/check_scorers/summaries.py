"""What benchmarks' papers sum up, from tables of the single answers; WUPS by NLTK's WordNet, where both are there."""

import random
from collections.abc import Iterator
from typing import Any

import pandas as pd

from eval.metrics.summaries import MME_PARTS
from eval.metrics.wordnet import find_wordnet, open_wordnet
from eval.metrics.wups import wups
from eval.scorers import SCORERS
from tests.check_scorers.comparing import Outcome, compare, figures, item_values, written
from tests.check_scorers.option_letters import OPTIONS, any_answer

_CATEGORIES = ("color", "count", "existence", "2D/COCO", "2D/ADE20K", "3D/Omni3D")
_WORDS = (
    *("dog", "puppy", "cat", "car", "truck", "run", "walk", "sing", "table", "chair"),
    *("bird", "robin", "boat", "river", "red", "blue", "happy", "two", "zzqx"),
)


def summaries(number: int) -> Iterator[Outcome]:
    """MME by category and summed, NaturalBench by question and picture, means over categories."""
    yield from _mme(random.Random(31), number)
    yield from _naturalbench(random.Random(32), number)
    yield from _categories(random.Random(33), number)


def _named(kind: str) -> list[str]:
    return sorted(name for name in SCORERS if name.startswith(f"{kind}-"))


def _mme(draw: random.Random, number: int) -> Iterator[Outcome]:
    names, parts = _named("mme"), [name for part in MME_PARTS.values() for name in part]
    pairs = []
    for case in range(number):
        categories = parts if case % 10 == 0 else draw.sample(parts, draw.randint(1, 4))
        answers: list[Any] = []
        for category in categories:
            for picture in range(draw.randint(1, 3)):
                for right in ("yes", "no"):
                    meta = {"category": category, "group_size": 2}
                    fields = {"id": f"{len(answers)}", "group": f"{category}{picture}", "meta": meta}
                    answers.append(written(draw.choice(("Yes", "No", "no.", "unclear")), right, **fields))
        name = names[case % len(names)]
        table = pd.DataFrame(
            {
                "category": [one.item.meta["category"] for one in answers],
                "picture": [one.item.group for one in answers],
                "right": item_values(name.removeprefix("mme-"), answers),
            }
        )
        both = table.groupby(["category", "picture"]).right.min().groupby("category").mean()
        scores = 100 * (table.groupby("category").right.mean() + both)
        found = figures(name, answers)
        own = [found[f"score_{category}"] for category in scores.index]
        theirs = scores.tolist()
        for part, inside in MME_PARTS.items():
            own.append(found.get(part, float("nan")))
            theirs.append(sum(scores[name] for name in inside) if {*inside} <= {*categories} else float("nan"))
        pairs.append((own, theirs))
    yield compare("mme-*-v1", "score of each category, perception, cognition", "tables of pandas", pairs)


def _naturalbench(draw: random.Random, number: int) -> Iterator[Outcome]:
    names, pairs = _named("naturalbench"), []
    for case in range(number):
        answers: list[Any] = []
        for group in range(draw.randint(1, 4)):
            for question in range(2):
                for picture in range(2):
                    options = tuple(draw.sample(OPTIONS, 2))
                    right = draw.randrange(2)
                    meta = {"group_size": 4, "question_number": question, "picture_number": picture}
                    fields = {"id": f"{len(answers)}", "group": str(group), "meta": meta}
                    fields |= {"options": options, "right": right}
                    text = draw.choice(("AB"[right], any_answer(draw, options)))
                    answers.append(written(text, options[right], **fields))
        name = names[case % len(names)]
        table = pd.DataFrame(
            {
                "group": [one.item.group for one in answers],
                "question": [one.item.meta["question_number"] for one in answers],
                "picture": [one.item.meta["picture_number"] for one in answers],
                "right": item_values(name.removeprefix("naturalbench-"), answers),
            }
        )
        found = figures(name, answers)
        own = [found["accuracy_by_question"], found["accuracy_by_picture"]]
        pairs.append((own, [table.groupby(["group", key]).right.prod().mean() for key in ("question", "picture")]))
    yield compare("naturalbench-*-v1", "Q-Acc, I-Acc", "tables of pandas", pairs)


def _categories(draw: random.Random, number: int) -> Iterator[Outcome]:
    names, pairs = _named("categories"), []
    for case in range(number):
        answers: list[Any] = []
        for place in range(draw.randint(1, 12)):
            options = tuple(draw.sample(OPTIONS, draw.randint(2, 4)))
            right = draw.randrange(len(options))
            fields = {"id": str(place), "options": options, "right": right}
            fields["meta"] = {"category": draw.choice(_CATEGORIES)}
            answers.append(written(draw.choice(("ABCD"[right], any_answer(draw, options))), options[right], **fields))
        name = names[case % len(names)]
        right_ones = item_values(name.removeprefix("categories-"), answers)
        paths = [one.item.meta["category"] for one in answers]
        table = pd.DataFrame({"path": paths, "outer": [path.split("/")[0] for path in paths], "right": right_ones})
        inside = table.groupby(["outer", "path"]).right.mean()
        found = figures(name, answers)
        own = [found["accuracy_by_category"], *(found[f"accuracy_in_{path}"] for _, path in inside.index)]
        pairs.append((own, [inside.groupby("outer").mean().mean(), *inside.tolist()]))
    yield compare("categories-*-v1", "mean over categories, each category", "tables of pandas", pairs)


def by_wordnet(number: int) -> Iterator[Outcome]:
    """WUPS with the similarities of NLTK; nothing where its data or WordNet's own files are not there."""
    folder = find_wordnet()
    try:
        from nltk.corpus import wordnet as theirs

        theirs.ensure_loaded()
    except (ImportError, LookupError):
        return
    if folder is None:
        return
    own = open_wordnet(folder)
    draw, pairs = random.Random(34), []

    def likeness(left: str, right: str, threshold: float) -> float:
        if left == right:
            return 1.0
        senses = [theirs.synsets(word)[:1] for word in (left, right)]
        if not all(senses):
            return 0.0
        value = senses[0][0].wup_similarity(senses[1][0]) or 0.0
        return value if value >= threshold else 0.1 * value

    def one_way(words: list[str], others: list[str], threshold: float) -> float:
        values = [value for word in words if (value := max(likeness(word, one, threshold) for one in others)) > 0]
        product = 1.0
        for value in values:
            product *= value
        return product if values else 0.0

    for _ in range(number):
        left, right = (draw.sample(_WORDS, draw.randint(1, 4)) for _ in range(2))
        threshold = draw.choice((0.0, 0.9))
        expected = min(one_way(left, right, threshold), one_way(right, left, threshold))
        pairs.append((wups(left, right, threshold, own), expected))
    yield compare("wups-v1", "WUPS at 0 and 0.9 of words", "NLTK's WordNet", pairs)
