"""A few cases of each comparison of `python -m tests.check_scorers`, which has a thousand."""

from tests.check_scorers.command import outcomes, without_reference
from tests.check_scorers.comparing import TOLERANCE, Outcome, compare
from tests.check_scorers.wheels import Wheels

# Their references are packages, of which the wheels are not here, or NLTK and WordNet's files.
BY_WHEELS = {"multiple-choice-vlmevalkit-v1", "multiple-choice-lmms-eval-random-v1"} | {
    f"mmmu{way}-v1" for way in ("", "-vlmevalkit", "-lmms-eval-random")
}


def test_scorers_equal_their_references_and_every_one_has_one() -> None:
    found = [*outcomes(20, Wheels(None))]
    assert [one for one in found if one.largest > TOLERANCE] == []
    java = Outcome("caption-coco-v1", "", "", 0, 0.0)  # compared in tests/eval/metrics/test_coco_captions.py
    assert without_reference([*found, java]) - {"wups-v1"} == BY_WHEELS


def test_a_difference_is_found_and_a_missing_figure_is_infinitely_far() -> None:
    nan = float("nan")
    assert compare("x", "", "", [(1, 1), ([0, 2], [0, 2.5]), (nan, nan)])[3:] == (3, 0.5)
    assert compare("x", "", "", [(nan, 1)]).largest == float("inf")
