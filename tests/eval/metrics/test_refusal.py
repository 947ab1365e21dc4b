"""Refusals are told from answers that only sound like them."""

import pytest

from eval.items.item import Item
from eval.metrics import is_refusal
from eval.scorers import SCORERS, WrittenAnswer


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot assist with this request.",
        "I CANNOT ANSWER THAT",
        "Sorry, but the picture is private.",
        "As an AI language model, I have no eyes.",
        "I am unable to view images.",
        "I'm not able to identify people.",
        "I can't see the image you mention.",
        "I must decline.",
        "I apologize for the confusion, but no.",
        "It is against my guidelines.",
        "I\n  cannot\tprovide that",
    ],
)
def test_a_refusal(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A frog.",
        "No, I can't see a dog in the picture.",
        "I'm sorry I'm late",
        "He is sorry.",
        "A sign that says: no entry",
        "The man cannot help himself to the cake.",
        "Ich kann das nicht.",  # English only
        "She was an aide.",
        "as an aid to memory",
    ],
)
def test_an_answer(text: str) -> None:
    assert not is_refusal(text)


def test_the_scorer_gives_the_share_of_refusals() -> None:
    texts = ["I cannot help with that.", "a frog", "A toad", ""]
    answers = [WrittenAnswer(Item(str(number), (), "?", "frog", number), text) for number, text in enumerate(texts)]
    found = SCORERS["refusal-v1"].score(answers, condition="own", seed=0)
    assert found.estimates["refusal"].value == 0.25
