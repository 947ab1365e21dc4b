"""Which columns of a table are times, accelerometer and gyroscope, by their names; and the units in these names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omni.media.errors import MediaError
from omni.media.imu_units import parse_unit, unit_or_text

CHANNELS = ("accelerometer x", "accelerometer y", "accelerometer z", "gyroscope x", "gyroscope y", "gyroscope z")

_ACCELEROMETER = re.compile(r"(.*acc.*|a|a[ _].*|g ?f(orce)?)")
_GYROSCOPE = re.compile(r"(.*(gyr|angular|rotation ?rate|omega).*|g|w|w[ _].*)")
_GRAVITY = re.compile(r"gravity|grav|.*[ _]gravity")
_OTHERS = re.compile(r".*(grav|angular ?acc|magn|quat|euler|attitude).*")
_WITHOUT_GRAVITY = re.compile(r".*(user|linear|lin) ?acc.*")
_TIME = re.compile(
    r"(t|time|.*timestamp.*|.*time|.*time (since|in|elapsed|stamp).*|seconds|sec|elapsed.*|epoch.*|seconds elapsed)"
    r"([ _](s|ms|us|ns|sec|seconds|epoch|elapsed))?"
)
_TIME_WORDS = (
    "ms",
    "us",
    "ns",
    "sec",
    "secs",
    "seconds",
    "msec",
    "millis",
    "milliseconds",
    "microseconds",
    "nanoseconds",
)


@dataclass(frozen=True)
class Chosen:
    """Columns by index: `times`, the best first; `channels`, in the order of CHANNELS; `gravity`, three to be added to
    the accelerometer, or none. `units` of all columns as their names say, None where they do not."""

    times: tuple[int, ...]
    channels: tuple[int, ...]
    gravity: tuple[int, ...]
    units: tuple[str | None, ...]

    @property
    def all(self) -> list[int]:
        """Return all columns in one list."""
        return [*self.times, *self.channels, *self.gravity]


def choose_columns(names: list[str], columns: Any, time_column: Any, name: str) -> Chosen:
    """Return the columns that are called `columns` and `time_column`, or, where these are None, that are named like it.

    Raises:
        MediaError: there are none.
    """
    given: list[Any] = [time_column, *(columns or ())]
    missing = [text for text in given if text is not None and text not in names]
    if missing:
        raise MediaError(name, f"has no column {missing[0]!r}; its columns are {shown(names)}")
    times = _time_columns(names) if time_column is None else (names.index(time_column),)
    units = tuple(_unit_of(text, index in times) for index, text in enumerate(names))
    if columns is not None:
        return Chosen(times, tuple(names.index(text) for text in columns), (), units)
    found = [_channel(text) for text in names]
    acceleration = _best_group(found, "accelerometer", names, name)
    rotation = _best_group(found, "gyroscope", names, name)
    gravity: tuple[int, ...] = ()
    if _WITHOUT_GRAVITY.fullmatch(_sensor(names[acceleration[0]])):
        groups = _groups(found, "gravity")
        gravity = next((group for group in groups.values() if len(group) == 3), ())
    return Chosen(times, acceleration + rotation, gravity, units)


def shown(names: Sequence[str]) -> str:
    """Return names as an error shows them, cut short."""
    text = ", ".join(names)
    return text if len(text) <= 200 else text[:197] + "..."


def _groups(found: list[tuple[str, str, str] | None], kind: str) -> dict[str, tuple[int, ...]]:
    """Return the columns of each sensor of a kind, x y z; fewer where an axis is missing."""
    groups: dict[str, dict[str, int]] = {}
    for index, channel in enumerate(found):
        if channel is not None and channel[0] == kind:
            groups.setdefault(channel[1], {}).setdefault(channel[2], index)
    return {sensor: tuple(axes[axis] for axis in "xyz" if axis in axes) for sensor, axes in groups.items()}


def _best_group(found: list, kind: str, names: list[str], name: str) -> tuple[int, ...]:
    groups = _groups(found, kind)
    complete = [sensor for sensor, group in groups.items() if len(group) == 3]
    if not complete:
        axes = {channel[2] for channel in found if channel is not None and channel[0] == kind}
        axis = next((axis for axis in "xyz" if axis not in axes), "x")
        problem = f"has no column that is named like {kind} {axis}; its columns are {shown(names)}"
        raise MediaError(name, f"{problem}. Name them, accelerometer x y z first, in the option 'columns'")
    # Measured with gravity, and calibrated, is what is wanted.
    return groups[
        min(complete, key=lambda one: (bool(_WITHOUT_GRAVITY.fullmatch(one)), "uncal" in one or "raw" in one))
    ]


def _plain(text: str) -> str:
    """Return a column's name in lower case without unit and punctuation: `AccX (g)` -> `accx`, `acc.x` -> `acc x`."""
    return re.sub(r"[._\-/ ]+", " ", re.sub(r"[\[(].*", "", text)).strip(" #\"'").lower()


def _channel(text: str) -> tuple[str, str, str] | None:
    """Return the kind of sensor, its name and the axis."""
    plain = _without_unit(_plain(text))[0]
    match = re.fullmatch(r"(?P<rest>.*?) ?(?P<axis>[xyz])", plain) or re.fullmatch(
        r"(?P<axis>[xyz]) (?P<rest>.+)", plain
    )
    if match is None:
        return None
    sensor, axis = match["rest"], match["axis"]
    if _GRAVITY.fullmatch(sensor):
        return "gravity", sensor, axis
    if _OTHERS.fullmatch(sensor):
        return None
    if _GYROSCOPE.fullmatch(sensor):
        return "gyroscope", sensor, axis
    return ("accelerometer", sensor, axis) if _ACCELEROMETER.fullmatch(sensor) else None


def _sensor(text: str) -> str:
    channel = _channel(text)
    return "" if channel is None else channel[1]


def _without_unit(plain: str) -> tuple[str, str | None]:
    """Return a plain name without the unit behind its axis, and the unit: `acc x mg` -> `acc x`, `mg`."""
    match = re.fullmatch(r"(.*?[ ]?[xyz]) (\S+|\S+ \S+)", plain)
    unit = None if match is None else parse_unit(match[2]) or parse_unit(match[2].replace(" ", "/"))
    return (plain, None) if match is None or unit is None else (match[1], unit)


def _unit_of(text: str, is_time: bool) -> str | None:
    """Return the unit in brackets at the end of a column's name, or that in its words; None where there is none."""
    match = re.search(r"[\[(](.*)[\])]\s*[\"']?\s*$", text)
    if match:
        return unit_or_text(match[1]) if match[1].strip() else None
    plain = _plain(text)
    if is_time:
        words = plain.split(" ")
        found = next((word for word in words if word in _TIME_WORDS), words[-1])
        return parse_unit(found) if found in ("s", "min", *_TIME_WORDS) else None
    if re.fullmatch(r"g ?f(orce)? ?[xyz]", plain):
        return "g"
    return _without_unit(plain)[1]


def _time_columns(names: list[str]) -> tuple[int, ...]:
    """Return the columns of times, the best first: one time for all parts of a recording, then known units."""

    def rank(index: int) -> tuple[bool, bool, bool, int]:
        plain = _plain(names[index])
        # Ego4D's component times begin anew in every component; the canonical ones go on.
        return "component" in plain, "canonical" not in plain, not _says_its_unit(names[index]), index

    return tuple(sorted((i for i, text in enumerate(names) if _TIME.fullmatch(_plain(text))), key=rank))


def _says_its_unit(text: str) -> bool:
    unit = _unit_of(text, is_time=True)
    return unit is not None and parse_unit(unit) is not None
