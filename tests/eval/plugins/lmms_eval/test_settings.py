from typing import Any

import pytest

from eval.plugins.lmms_eval.settings import read_settings


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, {"max_new_tokens": 1024}),
        ({"max_new_tokens": 8, "num_beams": 5, "length_penalty": -1.0}, {"num_beams": 5, "length_penalty": -1.0}),
        ({"temperature": 0.0, "top_p": 0.9, "do_sample": True, "seed": 0}, {}),  # greedy: nothing is drawn
        ({"temperature": 1.0, "do_sample": False}, {}),
        ({"temperature": None, "top_p": None, "do_sample": False, "num_beams": None}, {}),
        ({"temperature": 0.7, "top_k": 5}, {"do_sample": True, "temperature": 0.7, "top_k": 5}),
        ({"do_sample": True}, {"do_sample": True}),
        ({"until": ["\n\n", "Q:"]}, {"stop_strings": ["\n\n", "Q:"]}),
        ({"until": "."}, {"stop_strings": ["."]}),
        ({"until": []}, {}),
    ],
)
def test_settings_become_options_of_generate(given: dict[str, Any], options: dict[str, Any]) -> None:
    found = read_settings(given, 1024, "t").options
    assert found == {"max_new_tokens": given.get("max_new_tokens", 1024), **options}


def test_an_answer_ends_before_the_first_stop() -> None:
    settings = read_settings({"until": ["Q:", "\n\n"]}, 8, "t")
    assert settings.cut("a frog \n\nor not Q: what") == "a frog"
    assert settings.cut("a frog") == "a frog"


def test_what_has_no_effect_is_said() -> None:
    (note,) = read_settings({"image_aspect_ratio": "pad"}, 8, "mme").notes
    assert "'mme'" in note
    assert "image_aspect_ratio has no effect" in note


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"visual_cot": True}, r"task 'mme': generation_kwargs has visual_cot, which omni does not know"),
        ({"temperature": 1.0, "seed": 3}, "a seed for each request cannot be kept"),
        ({"temperature": -1}, "temperature must be a number from 0 on, not -1"),
        ({"temperature": "warm"}, "temperature must be a number"),
        ({"until": [""]}, "until must be a text or a list of texts"),
        ({"until": 3}, "until must be a text"),
    ],
)
def test_other_settings_are_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_settings(given, 8, "mme")
