"""Captions against `pycocoevalcap`: its words, and its figures on the same items (tests/golden/make_captions.py)."""

import gzip
import json
from typing import Any

import numpy as np
import pytest

from eval.items.item import Item
from eval.metrics.meteor import Meteor, why_not
from eval.metrics.penn_treebank import words_ptb
from eval.scorers import SCORERS, WrittenAnswer
from tests.golden_numbers import FOLDER

GOLDEN: dict[str, Any] = json.loads(gzip.decompress((FOLDER / "captions.json.gz").read_bytes()))


def test_words_are_those_of_the_java_tool() -> None:
    wrong = [
        (text, words, " ".join(words_ptb(text)))
        for text, words in zip(GOLDEN["texts"], GOLDEN["words"], strict=True)
        if " ".join(words_ptb(text)) != words
    ]
    assert len(GOLDEN["texts"]) == 3000
    assert wrong == []


def test_a_line_break_is_a_blank() -> None:
    assert words_ptb("a frog\r\nsits\u2028down\nhere") == ("a", "frog", "sits", "down", "here")


@pytest.fixture(scope="module")
def scores() -> Any:
    answers = [
        WrittenAnswer(Item(str(n), (), "", row["references"][0], n, references=tuple(row["references"])), row["text"])
        for n, row in enumerate(GOLDEN["items"])
    ]
    return SCORERS["caption-coco-v1"].score(answers, condition="own", seed=0)


def test_figures_are_those_of_the_package(scores: Any) -> None:
    whole = GOLDEN["scores"]["whole"]
    for name, value in whole.items():
        if name != "meteor":
            assert scores.estimates[name].value == pytest.approx(value, rel=1e-9), name
            assert scores.estimates[name].low < value < scores.estimates[name].high
    values = [item.value for item in scores.items]
    np.testing.assert_allclose(values, GOLDEN["scores"]["single"]["cider_d"], atol=1e-9)


def test_meteor_is_that_of_the_package_or_says_what_to_install(scores: Any) -> None:
    if why_not():
        assert "meteor" not in scores.estimates
        assert "pip install --no-deps pycocoevalcap" in scores.not_computed["METEOR"]
    else:
        assert scores.estimates["meteor"].value == pytest.approx(GOLDEN["scores"]["whole"]["meteor"], abs=1e-12)


def test_meteor_without_java_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ValueError, match=r"`java`.*default-jre-headless"), Meteor():
        pass


def test_spice_is_named_as_not_computed(scores: Any) -> None:
    assert "pycocoevalcap" in scores.not_computed["SPICE"]
