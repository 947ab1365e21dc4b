"""Raven-style matrices: one question for each candidate, of which the one with the likeliest yes is the answer."""

from pathlib import Path
from typing import Any

import pytest

from eval.data.opening import open_official
from eval.tasks import TASKS
from omni.model import OmniModel
from omni.samples.messages import Media, Sample
from tests.eval.data.official import check, decoding_model, picture, run, write_json


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "image")


def matrices(folder: Path, **changed: Any) -> Path:
    rows = [
        {"id": "m1", "images": ["1.png", "2.png", "3.png"], "candidates": ["4.png", "m/5.png", "6.png"], "answer": 2},
        {
            "id": "m2",
            "images": [f"{n}.png" for n in (1, 2, 3, 4, 6, 1, 2, 3)],
            "candidates": ["4.png", "6.png"],
            "answer": 0,
        },
    ]
    write_json(folder / "matrices.json", [rows[0] | changed, rows[1]])
    for n in (1, 2, 3, 4, 6):
        picture(folder / f"{n}.png", n)
    picture(folder / "m" / "5.png", 5)
    return folder


def test_each_candidate_is_asked_about_in_the_words_of_kosmos(model: OmniModel, tmp_path: Path) -> None:
    folder = matrices(tmp_path)
    second = open_official("official:raven-iq/test", folder)[1]
    assert isinstance(second, Sample)
    shown = [Path(str(part.path)).name if isinstance(part, Media) else part.text for part in second.messages[0].content]
    assert shown == [
        *("Here are three images:", "1.png", "2.png", "3.png"),
        *("The following image is:", "5.png", "Is it correct?"),
    ]
    result = run(TASKS["raven-iq"], folder, model)
    assert (result.status, result.num_items, result.bad) == ("computed", 5, [])
    assert [(item.id, item.target) for item in result.items] == [
        *(("m1/0", "No"), ("m1/1", "No"), ("m1/2", "Yes")),
        *(("m2/0", "Yes"), ("m2/1", "No")),
    ]
    assert result.chance == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert result.scores["own"]["accuracy"].num_items == 2
    assert check("raven-iq", folder).num_items == 5


def test_a_matrix_that_cannot_be_asked_is_named(model: OmniModel, tmp_path: Path) -> None:
    for number, (changed, reason) in enumerate(
        (
            ({"answer": 3}, "the right answer is number 3 from 0 on, and there are 3 options"),
            ({"images": ["1.png"]}, "'images' must hold 3 pictures (2 x 2) or 8 (3 x 3), without the last one; got 1"),
            ({"candidates": []}, "'candidates' must be a list that is not empty; got []"),
        )
    ):
        folder = matrices(tmp_path / str(number), **changed)
        found = check("raven-iq", folder)
        assert (found.num_items, found.bad[0].sample_id, found.bad[0].reason) == (2, "m1", reason)
        assert run(TASKS["raven-iq"], folder, model).num_items == 2  # the neighbour is unharmed
    folder = matrices(tmp_path / "lost")
    (folder / "6.png").unlink()
    result = run(TASKS["raven-iq"], folder, model)
    assert result.status == "not computed"
    assert "group 'm1' has 2 candidates of which 0 are right" in result.reason
