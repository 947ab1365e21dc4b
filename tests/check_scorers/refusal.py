"""Refusals: sentences that are put together from parts, so that it is known which of them decline to answer."""

import random
from collections.abc import Iterator

from tests.check_scorers.comparing import Outcome, compare, item_values, written

_I = ("I", "Unfortunately, I", "i", "Well, I", "I'm afraid that I")
_CANNOT = (
    "cannot",
    "can't",
    "can’t",
    "can not",
    "won't",
    "will not",
    "am unable to",
    "am not able to",
    "'m not allowed to",
)
_DECLINED = (
    *("help with that", "assist you", "provide this", "answer the question", "comply", "fulfil the request"),
    *(
        "identify people",
        "do that",
        "view images",
        "see the image",
        "hear any audio",
        "process this file",
        "analyze it",
    ),
    *("watch the video", "see your photo", "engage in this", "create such things", "respond"),
)
# What is seen or not is an answer, and so is what others cannot do.
_SAID = ("see a dog", "find a frog in it", "hear a bird", "count more than two", "read the second word", "tell")
_OTHERS = ("The man", "She", "A child", "They", "The robot")
_WHOLE = (
    *(
        "As an AI language model, I have no eyes.",
        "I am just an AI.",
        "I must decline.",
        "I must respectfully decline.",
    ),
    *("This is against my guidelines.", "I'm sorry, but the picture is private.", "I apologize, but no."),
    *("My apologies, I cannot say.", "As a language model I do not know.", "I am an AI", "Sorry but no."),
)
_ANSWERS = (
    *(
        "a frog",
        "Two.",
        "yes",
        "No, there is none.",
        "",
        "The sign says sorry.",
        "I'm sorry I'm late",
        "An AI conference.",
    ),
    *(
        "as an aid to memory",
        "A decline of prices.",
        "guidelines on a wall",
        "He is sorry.",
        "I see a model of a house.",
    ),
)
_CASES = (str, str.upper, str.lower, str.capitalize)
_ENDS = ("", ".", "!", " \n", " today.", "  (sic)")


def refusals(number: int) -> Iterator[Outcome]:
    """Refusals and answers by construction."""
    draw = random.Random(8)

    def one() -> tuple[str, bool]:
        kind = draw.randrange(6)
        cannot = f"{draw.choice(_I)} {draw.choice(_CANNOT)}".replace(" '", "'")
        if kind == 0:
            return f"{cannot} {draw.choice(_DECLINED)}", True
        if kind == 1:
            return draw.choice(_WHOLE), True
        if kind == 2:
            return f"{draw.choice(_ANSWERS)} {cannot} {draw.choice(_DECLINED)}", True
        if kind == 3:
            return f"{cannot} {draw.choice(_SAID)}", False
        if kind == 4:
            return f"{draw.choice(_OTHERS)} cannot {draw.choice(_DECLINED)}", False
        return draw.choice(_ANSWERS), False

    pairs = []
    for _ in range(number):
        text, refuses = one()
        text = draw.choice(_CASES)(text + draw.choice(_ENDS)).replace(" ", draw.choice((" ", "  ", "\n")))
        pairs.append((item_values("refusal-v1", [written(text, "a frog")])[0], float(refuses)))
    yield compare("refusal-v1", "refusal or not", "sentences made so", pairs)
