"""Which of two inputs an answer names: by place and by modality, with the faults of the published evaluation."""

import pytest

from eval.items.item import Item
from eval.scorers import SCORERS, WrittenAnswer
from omni.samples.messages import Media

SCORER = SCORERS["first-second-v1"]


def item(target: str, *modalities: str) -> Item:
    return Item("one", tuple(Media(one, path=f"{one}.x") for one in modalities or ("sound", "video")), "", target, 0)


def value(text: str, target: str, *modalities: str) -> float:
    return SCORER.score([WrittenAnswer(item(target, *modalities), text)], condition="own", seed=0).items[0].value


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("the first option.", 1, 0),
        ("The second one", 1, 1),  # `one` is 1
        ("Left", 1, 0),
        ("right", 0, 1),
        ("2nd", 0, 1),
        ("input 2", 0, 1),
        ("(b)", 0, 1),
        ("(a)", 0, 0),
        ("the audio", 1, 0),
        ("It is the video.", 0, 1),
        ("both", 0, 0),
        ("", 0, 0),
    ],
)
def test_places_and_modalities_are_read(text: str, first: int, second: int) -> None:
    assert (value(text, "first"), value(text, "1")) == (first, second)


def test_words_for_modalities_are_those_of_the_data_set() -> None:
    assert value("the rendering", "second", "image", "object") == 1
    assert value("the photo", "0", "image", "object") == 1
    assert value("a 3d model", "second", "image", "point_cloud") == 1


def test_both_and_neither_are_counted() -> None:
    answers = [WrittenAnswer(item("first"), text) for text in ("first or second", "no idea", "first", "left")]
    found = SCORER.score(answers, condition="own", seed=0).estimates
    assert (found["accuracy"].value, found["names_both"].value, found["unparsed"].value) == (0.75, 0.25, 0.25)


def test_items_that_ask_something_else_are_refused() -> None:
    assert SCORER.chance([item("first")]) == 0.5
    with pytest.raises(ValueError, match="item 'one' shows 1 media"):
        SCORER.chance([item("first", "image")])
    with pytest.raises(ValueError, match="must be first or second"):
        SCORER.chance([item("third")])
