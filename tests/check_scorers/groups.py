"""Groups of items: pairs, rotations and groups of any size, restated, and against the code of two packages."""

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from eval.data.letters import LETTERS
from eval.items.item import Item
from eval.scorers import SCORERS
from tests.check_scorers.comparing import Outcome, chosen, compare, figures, item_values, written
from tests.check_scorers.option_letters import OPTIONS, any_answer
from tests.check_scorers.published_groups import PublishedGroups, Way
from tests.check_scorers.wheels import Wheels

Rows = Sequence[dict[str, Any]]
_KINDS = ("pairs", "circular", "groups")
# An answer, and the option that it means.
_MMVP_ANSWERS = (
    ("(a)", 0),
    ("(b)", 1),
    ("A", 0),
    ("B.", 1),
    ("Option A", 0),
    ("The answer is B.", 1),
    ("who knows", None),
)


def restated(number: int) -> Iterator[Outcome]:
    """Every scorer of groups: the product over a complete group of what its single scorer gives."""
    draw = random.Random(16)
    for kind in _KINDS:
        names = sorted(name for name in SCORERS if name.startswith(f"{kind}-"))
        pairs = []
        for case in range(number):
            name = names[case % len(names)]
            answers = [one for group in range(draw.randint(1, 5)) for one in _group(draw, kind, name, str(group))]
            draw.shuffle(answers)
            own = figures(name, answers)
            pairs.append(([own["group_accuracy"], own["incomplete"]], _expected(kind, name, answers)))
        yield compare(f"{kind}-*-v1", "groups right, incomplete", "products over groups, restated", pairs)


def _group(draw: random.Random, kind: str, name: str, group: str) -> list[Any]:
    options = tuple(draw.sample(OPTIONS, draw.randint(2, 4)))
    size = {"pairs": 2, "circular": len(options), "groups": draw.randint(1, 5)}[kind]
    present = size if draw.random() < 0.85 else draw.randint(1, size)
    return [_answer(draw, name, options, group, place, size) for place in range(present)]


def _answer(draw: random.Random, name: str, options: tuple[str, ...], group: str, place: int, size: int) -> Any:
    shared: dict[str, Any] = {"id": f"{group}-{place}", "group": group, "meta": {"group_size": size}}
    if "yes-no" in name:
        return written(draw.choice(("Yes", "No", "no.", "yes, it is", "maybe")), draw.choice(("yes", "no")), **shared)
    right = draw.randrange(len(options))
    fields = {**shared, "options": options, "right": right}
    if "choice" in name and "multiple" not in name:
        item = Item(fields.pop("id"), (), "", options[right], 0, **fields)
        showings = [[-draw.randint(1, 3) for _ in options] for _ in range(draw.choice((1, 2)))]
        return chosen(item, *showings, tokens=[draw.randint(1, 3) for _ in options])
    return written(draw.choice((LETTERS[right], any_answer(draw, options))), options[right], **fields)


def _expected(kind: str, name: str, answers: Sequence[Any]) -> list[float]:
    single = name.removeprefix(f"{kind}-")
    values = item_values(single, answers)
    groups: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, int] = {}
    for answer, value in zip(answers, values, strict=True):
        groups[answer.item.group].append(value)
        sizes[answer.item.group] = {"pairs": 2, "circular": len(answer.item.options)}.get(
            kind, answer.item.meta["group_size"]
        )
    complete = {group: len(own) == sizes[group] for group, own in groups.items()}
    right = [math.prod(own) if complete[group] else 0.0 for group, own in groups.items()]
    return [sum(right) / len(right), 1 - sum(complete.values()) / len(complete)]


def published(number: int, wheels: Wheels) -> Iterator[Outcome]:
    """MMVP, MMBench, MME, NaturalBench and HallusionBench as lmms-eval and VLMEvalKit score them."""
    code = PublishedGroups(wheels)
    draw = random.Random(17)
    yield from _by(code.mmvp(), "pairs-multiple-choice-v1", "MMVP, pairs right", [_mmvp(draw) for _ in range(number)])
    circular = [_rotations(draw) for _ in range(number)]
    yield from _by(code.circular(), "circular-multiple-choice-vlmevalkit-v1", "MMBench, circular", circular)
    for benchmark, ways in (
        ("MME", code.mme()),
        ("NaturalBench", code.naturalbench()),
        ("HallusionBench", code.hallusion()),
    ):
        make = {"MME": _mme, "NaturalBench": _naturalbench, "HallusionBench": _hallusion}[benchmark]
        yield from _by(ways, "groups-yes-no-v1", f"{benchmark}, groups right", [make(draw) for _ in range(number)])


def _by(ways: Iterable[tuple[str, Way]], scorer: str, figure: str, sets: Sequence[Rows]) -> Iterator[Outcome]:
    own = _own(scorer, sets)
    for package, theirs in ways:
        pairs = [theirs(pd.DataFrame(rows), one) for rows, one in zip(sets, own, strict=True)]
        yield compare(scorer, figure, f"{package} (its code)", pairs)


def _own(scorer: str, sets: Sequence[Rows]) -> list[dict[str, list[float]]]:
    """Return for each set, by the name of each way to group its rows, [groups right, items right]."""
    found: list[dict[str, list[float]]] = [{} for _ in sets]
    for key in [name for name in sets[0][0] if name.startswith("group:")]:
        names = [(number, row[key]) for number, rows in enumerate(sets) for row in rows]
        sizes = Counter(names)
        answers = []
        for name, row in zip(names, itertools.chain.from_iterable(sets), strict=True):
            fields = {"group": str(name), "meta": {"group_size": sizes[name]}, **row.get("fields", {})}
            answers.append(written(row["text"], row["right"], id=str(len(answers)), cluster=name[0], **fields))
        groups: list[dict[Any, float]] = [{} for _ in sets]
        for name, value in zip(names, item_values(scorer, answers), strict=True):
            groups[name[0]][name] = value
        items: list[list[float]] = [[] for _ in sets]
        for name, value in zip(names, item_values(scorer.partition("-")[2], answers), strict=True):
            items[name[0]].append(value)
        for one, together, single in zip(found, groups, items, strict=True):
            one[key.removeprefix("group:")] = [float(np.mean([*together.values()])), float(np.mean(single))]
    return found


def _mmvp(draw: random.Random) -> list[dict[str, Any]]:
    rows = []
    for pair in range(draw.randint(1, 6)):
        options = tuple(draw.sample(OPTIONS, 2))
        for place in range(2):
            fields = {"options": options, "right": place}
            text, said = draw.choice(_MMVP_ANSWERS)
            rows.append({"group:pair": str(pair), "right": options[place], "text": text, "fields": fields})
            rows[-1] |= {"place": place, "said": said}
    return rows


def _rotations(draw: random.Random) -> list[dict[str, Any]]:
    options = draw.sample(OPTIONS, draw.randint(2, 4))
    right = draw.choice(options)
    rows = []
    for turn in range(len(options)):
        own = tuple(options[turn:] + options[:turn])
        index = own.index(right)
        text = LETTERS[index] if draw.random() < 0.9 else any_answer(draw, own)
        fields = {"options": own, "right": index}
        rows.append(
            {"group:question": "q", "right": right, "text": text, "fields": fields}
            | dict(zip(LETTERS, own, strict=False))
        )
    return rows


def _yes_no(draw: random.Random, right: str) -> dict[str, Any]:
    text = draw.choice((right, right, right, "Yes", "No", "unclear"))
    return {"right": right, "text": text}


def _mme(draw: random.Random) -> list[dict[str, Any]]:
    pictures = range(draw.randint(1, 6))
    return [
        {"group:picture": f"{picture}.png", **_yes_no(draw, right)} for picture in pictures for right in ("Yes", "No")
    ]


def _naturalbench(draw: random.Random) -> list[dict[str, Any]]:
    return [
        {"group:all": str(one), "group:question": f"{one}q{question}", "group:picture": f"{one}i{picture}"}
        | _yes_no(draw, "Yes" if question == picture else "No")
        for one in range(draw.randint(1, 4))
        for question in range(2)
        for picture in range(2)
    ]


def _hallusion(draw: random.Random) -> list[dict[str, Any]]:
    return [
        {"group:question": f"{one}q{question}", "group:picture": f"{one}f{figure}", "set": one, "figure": figure}
        | {"question": question, **_yes_no(draw, draw.choice(("Yes", "No")))}
        for one in range(draw.randint(1, 3))
        for figure in range(1, draw.randint(2, 4))
        for question in range(draw.randint(1, 3))
    ]
