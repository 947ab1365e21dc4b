"""Which of two inputs an answer names, by the rule of DisCRn's evaluation in salesforce/LAVIS, restated.

`lavis/datasets/datasets/discriminatory_reasoning_datasets.py` lists the right answers, and `DisCRNTask` of
`lavis/tasks/vqa.py` compares: after the VQA processing an answer is right if one of its words is on the list, or all of
it is.
"""

import random
from collections.abc import Iterator

from eval.items.item import Item
from eval.scorers import WrittenAnswer
from omni.samples.messages import Media
from tests.check_scorers.comparing import Outcome, compare, item_values
from tests.check_scorers.short_answers import official_vqa

_FIRST = """the first option.|the first|left one|(a) left|(a) left one|(a)|a.|A.|a)|(A)|Input A|Entity 1|Object 1
Entity A|Object A|left|first|1st|input 1|1|a|input a|the left one"""
_SECOND = """the second option.|the second.|second option|the second option|second option.|right one|(b) right
(b) right one|(b)|b)|Input B|right|second|2nd|input 2|2|b|input b|Object 2|Entity B|Object B|the second|the right one
the second one"""
_PLACES = tuple({*text.replace("\n", "|").split("|")} for text in (_FIRST, _SECOND))
# LAVIS's name of a modality -> what else stands for it; the names here -> LAVIS's.
_FURTHER = {
    "pc": {"3d", "3d model", "model", "rendering", "a 3d", "a 3d model"},
    "image": {"photo", "picture"},
    "audio": {"sound"},
    "video": set[str](),
}
_NAMES = {"point_cloud": "pc", "image": "image", "sound": "audio", "video": "video"}
_OTHERS = "it is the one of option object entity input both neither none I think not sure"
_WORDS = [*sorted(_PLACES[0] | _PLACES[1]), *sorted({word for words in _FURTHER.values() for word in words})]
_WORDS += [*_FURTHER, *_OTHERS.split()]


def is_right(answer: str, index: int, modality: str) -> bool:
    """Return whether the published rule takes an answer for right."""
    name = _NAMES[modality]
    right = {name} | _PLACES[index] | _FURTHER[name]
    said = official_vqa(answer)
    return bool({*said.strip().split(" ")} & right) or said in right


def two_media(number: int) -> Iterator[Outcome]:
    """The rule restated."""
    draw = random.Random(9)
    pairs = []
    for case in range(3 * number):
        words = draw.choices(_WORDS, k=draw.randint(0, 4))
        text = draw.choice((str, str.title, str.upper))(" ".join(words)) + draw.choice(("", ".", "!", ","))
        modalities, index = draw.choices([*_NAMES], k=2), draw.randrange(2)
        media = tuple(Media(modality, path="x") for modality in modalities)
        target = draw.choice((("first", "0"), ("second", "1"))[index])
        own = item_values("first-second-v1", [WrittenAnswer(Item(str(case), media, "", target, 0), text)])[0]
        pairs.append((own, float(is_right(text, index, modalities[index]))))
    yield compare("first-second-v1", "right or not", "rule of LAVIS for DisCRn, restated", pairs)
