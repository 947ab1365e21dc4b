import numpy as np

from omni.encoders.sound_windows import overlapping_windows, spread_windows
from omni.media.clips import Clips

FIVE = Clips("dense", 5)


def test_windows_hold_every_sample_once_in_order() -> None:
    samples = np.arange(25)
    for clips in (FIVE, Clips("whole")):
        windows = spread_windows(samples, 10, clips, 10, "ramp")
        assert np.concatenate(windows).tolist() == samples.tolist()


def test_a_short_tail_is_left_out_unless_it_is_all() -> None:
    def lengths(count: int) -> list[int]:
        return [len(part) for part in spread_windows(np.arange(count), 10, FIVE, 10, "ramp", shortest_tail=3)]

    assert lengths(22) == [10, 10]
    assert lengths(23) == [10, 10, 3]
    assert lengths(2) == [2]


def test_too_many_windows_are_thinned_evenly_from_first_to_last() -> None:
    windows = spread_windows(np.arange(100), 10, Clips("dense", 4), 10, "ramp")
    assert [part[0] for part in windows] == [0, 30, 60, 90]


def test_overlapping_windows_are_full_and_say_what_they_repeat() -> None:
    windows, repeated = overlapping_windows(np.arange(25), 10, FIVE, 10, "ramp")
    assert windows.shape == (3, 10)
    fresh = [window[overlap:] for window, overlap in zip(windows, repeated, strict=True)]
    assert np.concatenate(fresh).tolist() == list(range(25))
    windows, repeated = overlapping_windows(np.arange(7), 10, FIVE, 10, "ramp")
    assert (windows.tolist(), repeated) == ([list(range(7))], [0])
