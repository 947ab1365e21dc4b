"""Cut a sound of any length into windows of one length.

Shapes: T samples, C windows.
"""

import numpy as np

from omni.media.clips import Clips


def spread_windows(
    samples: np.ndarray, length: int, clips: Clips, rate: float, name: str, shortest_tail: int = 1
) -> list[np.ndarray]:
    """Return windows of `length` samples (at `rate` a second) by the policy `clips`; the last ones may be shorter.

    A tail of less than `shortest_tail` samples gets no window of its own. Raises MediaError as `Clips.starts` does.
    """
    starts = clips.starts(len(samples), length, rate, name, shortest_tail)
    return [samples[round(start) : round(start) + length] for start in starts]


def overlapping_windows(
    samples: np.ndarray, length: int, clips: Clips, rate: float, name: str
) -> tuple[np.ndarray, list[int]]:
    """Cut windows as `spread_windows` does, but begin one at the end earlier instead of making it short.

    So nothing is padded. Returns the windows [C, min(T, length)], and for each how many of its first samples lie before
    its planned beginning, so that another window holds them already.
    """
    if len(samples) <= length:
        return samples[None], [0]
    planned = [round(start) for start in clips.starts(len(samples), length, rate, name, 1)]
    starts = [min(start, len(samples) - length) for start in planned]
    earlier = [plan - start for plan, start in zip(planned, starts, strict=True)]
    return np.stack([samples[start : start + length] for start in starts]), earlier
