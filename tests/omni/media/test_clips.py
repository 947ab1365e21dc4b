"""Clip policies: which parts of long media are taken."""

import pytest

from omni.media.clips import Clips, spread_indices
from omni.media.errors import MediaError


def starts(clips: Clips, seconds: float, clip: float = 2.0) -> list[float]:
    return clips.starts(seconds, clip, 1, "a sound")


def test_uniform_clips_begin_with_the_media_and_end_with_them() -> None:
    assert starts(Clips("uniform", 3), 10.0) == [0.0, 4.0, 8.0]
    assert starts(Clips("uniform", 5), 4.0) == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_dense_clips_follow_at_the_stride_and_reach_the_end() -> None:
    assert starts(Clips("dense", 99, 1.0), 5.0) == [0.0, 1.0, 2.0, 3.0]
    assert starts(Clips("dense", 99, 1.0), 5.5) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert starts(Clips("dense", 99), 5.0) == [0.0, 2.0, 4.0]
    assert starts(Clips("dense", 99, 3.0), 6.5) == [0.0, 3.0, 6.0]
    assert starts(Clips("dense", 99, 3.0), 6.0) == [0.0, 3.0]
    assert starts(Clips("dense", 3, 1.0), 100.0) == [0.0, 49.0, 98.0]


def test_whole_is_every_clip_once_or_an_error_that_says_how_long_it_is() -> None:
    assert starts(Clips("whole"), 9.0) == [0.0, 2.0, 4.0, 6.0, 8.0]
    with pytest.raises(MediaError, match=r"a sound: is 9 s long, 5 clips of 2 s; at most 4 are taken whole"):
        starts(Clips("whole", 4), 9.0)
    with pytest.raises(MediaError, match="at most 256"):
        starts(Clips("whole"), 1000.0)


@pytest.mark.parametrize("policy", [Clips("uniform", 3), Clips("dense", 3, 0.5), Clips("whole")])
def test_media_up_to_one_clip_are_one_clip(policy: Clips) -> None:
    for seconds in (0.001, 1.0, 2.0):
        assert starts(policy, seconds) == [0.0]


def test_units_are_those_of_the_length() -> None:
    assert Clips("dense", 9, 0.5).starts(48000, 16000, 16000, "x") == [0, 8000, 16000, 24000, 32000]


def test_indices_are_spread_from_first_to_last() -> None:
    assert spread_indices(3, 5) == [0, 1, 2]
    assert spread_indices(9, 1) == [0]
    assert spread_indices(9, 3) == [0, 4, 8]


def test_a_missing_number_of_clips_is_the_encoders() -> None:
    default = Clips("uniform", 3)
    assert Clips.parse(None, default) == default
    assert Clips.parse({"policy": "dense", "stride_seconds": 1}, default) == Clips("dense", 3, 1.0)
    assert Clips.parse({"policy": "whole"}, default).most == 256
    assert Clips.parse({"policy": "whole", "num_clips": 7}, default).most == 7


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"policy": "all"}, "not one of"),
        ({"policy": "dense", "num_clips": 0}, "num_clips is 0"),
        ({"policy": "dense", "stride_seconds": 0.0}, "stride_seconds is 0"),
        ({"policy": "uniform", "stride_seconds": 1.0}, "for the policy dense, not uniform"),
        ({"policy": "dense", "stride": 1.0}, "did you mean 'stride_seconds'"),
    ],
)
def test_wrong_values_are_errors_that_name_them(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Clips.parse(values, Clips("uniform", 3))
