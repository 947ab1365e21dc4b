"""The model card states the licence that binds the whole, and what is known of the training."""

from pathlib import Path

import pytest

from omni.model.card import ModelCard, TrainingData
from omni.model.card_rendering import model_licence, render_card
from omni.runtime.licences import effective_licence, in_plain_words, licence_class
from tests.tiny import MLP, tiny_model


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC-BY-NC-4.0", "non-commercial"),
        ("cc-by-nc-sa-4.0", "non-commercial"),
        ("GPL-2.0-or-later", "copyleft"),
        ("LGPL-3.0", "copyleft"),
        ("CC-BY-SA-4.0", "copyleft"),
        ("llama3.2", "custom terms"),
        ("Gemma Terms of Use", "custom terms"),
        ("CC-BY-4.0", "attribution"),
        ("Apache-2.0", "permissive"),
        ("MIT", "permissive"),
        ("CC0-1.0", "permissive"),
        ("Public Domain", "permissive"),
        ("proprietary", "unknown"),
        ("permitted for research", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_licences_are_told_apart(licence: str | None, expected: str) -> None:
    assert licence_class(licence) == expected


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["Apache-2.0", "CC-BY-NC-4.0", "GPL-3.0"], "CC-BY-NC-4.0"),
        (["Apache-2.0", None, "CC-BY-NC-4.0"], "CC-BY-NC-4.0"),
        (["Apache-2.0", "GPL-3.0", "CC-BY-4.0"], "GPL-3.0"),
        (["MIT", "CC-BY-4.0"], "CC-BY-4.0"),
        (["MIT", "Apache-2.0"], "MIT"),
        ([], "unknown"),
    ],
)
def test_the_strictest_licence_binds_the_whole(licences: list[str | None], expected: str) -> None:
    assert effective_licence(licences) == expected


def test_a_part_without_a_licence_makes_the_whole_unknown() -> None:
    found = effective_licence(["Apache-2.0", None])
    assert found.startswith("unknown")
    assert "Apache-2.0" in found


def test_the_card_names_parts_data_and_figures(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm, adapters={"image": MLP})
    model.llm.config.licence = "Apache-2.0"
    model.card = ModelCard([TrainingData("stamps", 1234, "CC-BY-NC-4.0")], {"accuracy": 0.51234}, ["300 steps"])
    text = render_card(model)
    for expected in ("stamps: 1,234 samples, licence CC-BY-NC-4.0", "accuracy: 0.5123", "300 steps", "SensorEncoder"):
        assert expected in text
    assert model_licence(model) == "CC-BY-NC-4.0"
    assert "Effective licence: **CC-BY-NC-4.0**" in text
    assert "It may not be used commercially." in text
    assert "base_model" not in text  # a folder of this machine, which a hub would refuse


def test_the_card_says_which_encoders_were_trained_and_what_starter_weights_are(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    model.unfrozen = {"modalities.sound.encoder.scale"}
    model.llm.config.name = "starter:smollm2"
    text = render_card(model)
    assert "| image | SensorEncoder, frozen |" in text
    assert "| sound | SensorEncoder, trained |" in text
    assert "\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct\n" in text
    assert "- LLM: starter:smollm2, which is HuggingFaceTB/SmolLM2-135M-Instruct" in text


@pytest.mark.parametrize(
    ("licence", "words"),
    [
        ("GPL-3.0", "only be passed on under the same licence"),
        ("llama3.2", "as the owner's terms say"),
        ("CC-BY-4.0", "if the authors are named"),
        ("MIT", "freely, also commercially"),
        (effective_licence(["MIT", None]), "is not known"),
    ],
)
def test_licences_are_put_in_plain_words(licence: str, words: str) -> None:
    assert words in in_plain_words(licence)


def test_merged_cards_list_each_thing_once() -> None:
    first = ModelCard([TrainingData("a", 1)], {"x": 1.0}, ["one"])
    second = ModelCard([TrainingData("a", 1), TrainingData("b", 2)], {"y": 2.0}, ["one", "two"])
    merged = ModelCard.merge([first, second])
    assert merged == ModelCard([TrainingData("a", 1), TrainingData("b", 2)], {"x": 1.0, "y": 2.0}, ["one", "two"])
    assert first == ModelCard([TrainingData("a", 1)], {"x": 1.0}, ["one"])
