"""Clip policies: the parts of a long sound, video or recording that an encoder is given, in one vocabulary for all.

A *clip* is what an encoder takes at once (2 s of ImageBind, 0.96 s of YAMNet, one frame of a video). Media shorter than
a clip are one clip, filled up, and the mask says what is real.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from omni.config import from_dict
from omni.media.errors import MediaError

MOST_CLIPS_OF_WHOLE = 256  # unless num_clips says otherwise: a limit is needed, because clips take memory


@dataclass(frozen=True)
class Clips:
    """Choose the parts of an item that an encoder is given: the key `clips` of an encoder.

    policy:
        "uniform": `num_clips` clips, evenly spread, the first at the beginning, the last ending with the end. They
            overlap where the media are shorter than all of them together.
        "dense": a clip every `stride_seconds` from the beginning to the end, the last one filled up; where that makes
            more than `num_clips`, that many of them are taken, evenly spread, first and last included.
        "whole": consecutive clips without a gap, the last one filled up; more than `num_clips` (256) are an error.
    num_clips: the most clips of one item; default: the encoder's own.
    stride_seconds: the time between the beginnings of clips of "dense"; default: the length of a clip.
    """

    policy: Literal["uniform", "dense", "whole"]
    num_clips: int | None = None
    stride_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.policy not in ("uniform", "dense", "whole"):
            raise ValueError(f"clips.policy is {self.policy!r}; allowed: uniform, dense, whole")
        if self.num_clips is not None and self.num_clips < 1:
            raise ValueError(f"clips.num_clips is {self.num_clips}; it must be at least 1")
        if self.stride_seconds is not None:
            if self.policy != "dense":
                raise ValueError(f"clips.stride_seconds is for the policy dense, not {self.policy}")
            if not 0 < self.stride_seconds < math.inf:
                raise ValueError(f"clips.stride_seconds is {self.stride_seconds}; it must be above 0")

    @classmethod
    def parse(cls, value: "Clips | Mapping[str, Any] | None", default: "Clips") -> "Clips":
        """Parse the key's value, taking a missing `num_clips` (or all) from the encoder's default.

        Raises ValueError for unknown keys and values.
        """
        if value is None:
            return default
        clips = value if isinstance(value, Clips) else from_dict(cls, value, "clips")
        if clips.num_clips is not None:
            return clips
        most = MOST_CLIPS_OF_WHOLE if clips.policy == "whole" else default.num_clips
        return cls(clips.policy, most, clips.stride_seconds)

    @property
    def most(self) -> int:
        """Return the most clips that one item can give."""
        return MOST_CLIPS_OF_WHOLE if self.num_clips is None else self.num_clips

    def starts(
        self, length: float, clip: float, units_per_second: float, name: str, shortest_tail: float = 1e-6
    ) -> list[float]:
        """Return where clips begin, for media of `length` and clips of `clip`.

        All are in a unit of which a second has `units_per_second` (1 for seconds, the sampling rate for samples).

        A tail of less than `shortest_tail` gets no clip of its own. `name` is for errors.

        Raises:
            MediaError: the policy is "whole" and there is more than `num_clips` allows.
        """
        if self.policy == "uniform":
            latest = length - clip
            return np.linspace(0, latest, self.most).tolist() if latest > 0 and self.most > 1 else [0.0]
        stride = clip if self.stride_seconds is None else self.stride_seconds * units_per_second
        beyond = length - max(clip, stride) - shortest_tail
        count = 1 if beyond < 0 else 2 + math.floor(beyond / stride)
        if count > self.most and self.policy == "whole":
            seconds = length / units_per_second
            problem = f"is {seconds:g} s long, {count} clips of {clip / units_per_second:g} s; at most {self.most}"
            raise MediaError(name, f"{problem} are taken whole: raise clips.num_clips, or choose uniform or dense")
        return [index * stride for index in spread_indices(count, self.most)]


def spread_indices(count: int, most: int) -> list[int]:
    """Return all of 0 .. count - 1 in order, or `most` of them evenly spread, first and last included."""
    if count <= most:
        return list(range(count))
    return np.linspace(0, count - 1, most).round().astype(int).tolist()
