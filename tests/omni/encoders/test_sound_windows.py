import numpy as np

from omni.encoders.sound_windows import overlapping_windows, spread_indices, spread_windows


def test_windows_hold_every_sample_once_in_order() -> None:
    samples = np.arange(25)
    assert np.concatenate(spread_windows(samples, 10, most=5)).tolist() == samples.tolist()


def test_a_short_tail_is_left_out_unless_it_is_all() -> None:
    assert [len(part) for part in spread_windows(np.arange(22), 10, most=5, shortest_tail=3)] == [10, 10]
    assert [len(part) for part in spread_windows(np.arange(23), 10, most=5, shortest_tail=3)] == [10, 10, 3]
    assert [len(part) for part in spread_windows(np.arange(2), 10, most=5, shortest_tail=3)] == [2]


def test_too_many_windows_are_thinned_evenly_from_first_to_last() -> None:
    assert [part[0] for part in spread_windows(np.arange(100), 10, most=4)] == [0, 30, 60, 90]
    assert spread_indices(3, 5) == [0, 1, 2]
    assert spread_indices(9, 1) == [0]


def test_overlapping_windows_are_full_and_say_what_they_repeat() -> None:
    windows, repeated = overlapping_windows(np.arange(25), 10, most=5)
    assert windows.shape == (3, 10)
    fresh = [window[overlap:] for window, overlap in zip(windows, repeated, strict=True)]
    assert np.concatenate(fresh).tolist() == list(range(25))
    windows, repeated = overlapping_windows(np.arange(7), 10, most=5)
    assert (windows.tolist(), list(repeated)) == ([list(range(7))], [0])
