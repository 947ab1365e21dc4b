"""Inertial recordings: accelerometer and gyroscope from CSV, Parquet, NPY or arrays, at one rate.

Channels are always accelerometer x, y, z (m/s2), then gyroscope x, y, z (rad/s). T: number of samples.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from omni.media.errors import MediaError
from omni.media.imu_columns import CHANNELS
from omni.media.imu_table import Table, read_table
from omni.media.imu_units import ACCELERATION_UNITS, ROTATION_UNITS, TIME_UNITS
from omni.media.item import Media
from omni.media.loading import loader
from omni.media.source import Source, check_options, choice_option, describe_source, number_option, option

IMU_EXTENSIONS = (".csv", ".tsv", ".txt", ".npy", ".parquet")
SAMPLING_RATE = 400  # Hz, as ImageBind takes them: 2000 samples are 5 s

_OPTIONS = (
    "sampling_rate",
    "acceleration_unit",
    "rotation_unit",
    "time_unit",
    "columns",
    "time_column",
    "start",
    "end",
)
_MOST_SAMPLES = 4_000_000  # in a result: 2.8 hours at 400 Hz; two rows a year apart must not fill the memory
_HIGHEST_RATE = 100_000.0  # Hz; sensors that are read go to some ten thousand
_LOWEST_RATE = 1.0  # Hz: no slower recording of movements makes sense without a unit that says so
_LARGEST = 1e12  # m/s2 or rad/s: no sensor reads as much; the squares of 1e20, which norms take, are no float32
_NEAR_GRAVITY = 0.05  # share by which a resting sensor may differ from 1 g
_FEWEST_KNOWN = 0.5  # share of a channel's samples that must be numbers, for the others to be filled in between


@dataclass(frozen=True)
class Inertial:
    """A recording at equal time steps: `samples` float32 `[6, T]` at `sampling_rate` Hz."""

    samples: np.ndarray
    sampling_rate: float

    @property
    def duration(self) -> float:
        """Return the length in seconds."""
        return self.samples.shape[1] / self.sampling_rate


@loader
def load_imu(
    source: Source, sampling_rate: float = SAMPLING_RATE, *, start: float | None = None, end: float | None = None
) -> Inertial:
    """Load a recording, resampled to equal time steps.

    Args:
        source: a CSV or Parquet table, an NPY file, bytes of one of them, or an array `[T, 6]` or `[6, T]`, or with
            times in seconds `[T, 7]` or `[7, T]`, time first. Columns are found by their names (`acc_x`, `ax`,
            `a_RS_S_x [m s^-2]`, `gyro_x`, `gx`, `angular_velocity.x`, `timestamp`, `t_ms`, ...), or are those of the
            item's option `columns` (six names, accelerometer first) and `time_column`. Without names they are
            accelerometer, gyroscope, in front of which a seventh column must be times: it rises, no other one does at
            the end, and it does not just count the rows (unless `time_unit` is given).
        sampling_rate: of the result, in Hz.
        start, end: take only this part, in seconds from the first sample (default: the item's options, or all).

    The item's options say what a file does not: `sampling_rate` in Hz (also the item's own), where there are no times;
    `acceleration_unit` (m/s2, g, mg, ...), `rotation_unit` (rad/s, deg/s, ...), `time_unit` (s, ms, us, ns). Units in a
    column's name are understood: `gyro_x (deg/s)`, `timestamp_ms`; one that is not known is an error. An array of 2000
    samples without a rate is taken to be at 400 Hz.

    Slower recordings are interpolated linearly between their times, which need not be equally spaced; faster ones are
    low-pass filtered before. Missing numbers (empty, NaN) are interpolated over as long as half of the channel is
    there.

    Raises:
        MediaError: the file is damaged or another table; columns, rate or numbers are missing; an option is wrong.
    """
    name = describe_source(source)
    check_options(source, _OPTIONS)
    table = read_table(source, option(source, "columns", None), option(source, "time_column", None))
    acceleration = _unit(source, "acceleration_unit", table.acceleration_unit, ACCELERATION_UNITS, name)
    rotation = _unit(source, "rotation_unit", table.rotation_unit, ROTATION_UNITS, name)
    if acceleration is None and not table.has_names:
        _check_metres(table.values[:3], name)
    scales = [ACCELERATION_UNITS[acceleration or "m/s2"]] * 3 + [ROTATION_UNITS[rotation or "rad/s"]] * 3
    times = _times(source, table, name)
    values = _filled(table.values * np.array(scales)[:, None], times, name)
    largest = float(np.abs(values).max())
    if largest > _LARGEST:
        problem = f"holds numbers as large as {largest:.3g}, over the limit of {_LARGEST:g}"
        raise MediaError(name, f"{problem}: a damaged file, or a wrong acceleration_unit or rotation_unit")
    native = 1 / SAMPLING_RATE if len(times) == 1 else times[-1] / (len(times) - 1)
    window = _window(source, start, end, times[-1] + native, name)  # the last sample, too, stands for its interval
    return Inertial(_resample(times, values, sampling_rate, window, name).astype(np.float32), sampling_rate)


def _check_metres(values: np.ndarray, name: str) -> None:
    """Raise MediaError where an accelerometer that says no unit reads gravity as 1 or 1000 rather than 9.8 m/s2."""
    lengths = np.linalg.norm(values, axis=0)
    for unit, one in (("g", 1.0), ("mg", 1000.0)):
        if np.mean(np.abs(lengths / one - 1) < _NEAR_GRAVITY) > 0.5:
            problem = (
                f"reads an acceleration of about {one:g} most of the time and says no unit: it seems to be in {unit}"
            )
            raise MediaError(name, f"{problem}; give acceleration_unit ({unit}, or m/s2 if it is so)")


def _window(source: Source, start: Any, end: Any, duration: float, name: str) -> tuple[float, float]:
    first = number_option(source, "start", start, least=0)
    last = number_option(source, "end", end, least=0)
    window = (first or 0.0, duration if last is None else min(last, duration))
    if window[0] >= window[1]:
        problem = f"has no samples from {window[0]:g} s to {window[1]:g} s; it is {duration:g} s long"
        raise MediaError(name, problem)
    return window


def _times(source: Source, table: Table, name: str) -> np.ndarray:
    """Return the time of each sample in seconds from the first one, float64 `[T]`, rising."""
    count = table.values.shape[1]
    rate = number_option(source, "sampling_rate", None, least=1e-3, most=1e7)
    if rate is None and isinstance(source, Media):
        rate = source.sampling_rate
    if table.times is None:
        if rate is None and count == 5 * SAMPLING_RATE:
            rate = SAMPLING_RATE
        if rate is None:
            problem = "has neither times nor a rate: add a column of times, or give sampling_rate in Hz"
            raise MediaError(name, problem)
        times = np.arange(count) / rate
    else:
        unit = _unit(source, "time_unit", table.time_unit, TIME_UNITS, name) or _unit_since_1970(table.times[0])
        # The first one is subtracted before scaling: nanoseconds since 1970 have more digits than a float.
        times = (table.times - table.times[0]).astype(np.float64) * TIME_UNITS[unit or "s"]
        if unit is None and count >= 10 and times[-1] > (count - 1) / _LOWEST_RATE:
            problem = f"is at {(count - 1) / times[-1]:.3g} Hz if its times are seconds, which they do not say"
            raise MediaError(name, f"{problem}; give time_unit (s, ms, us, ns)")
    return times


def _unit(source: Source, key: str, stated: str | None, known: Collection[str], name: str) -> str | None:
    """Return the unit that the item's option says, or the table; None where neither does.

    Raises MediaError where the table's is not known: a default would be wrong by a factor, in silence."""
    given = choice_option(source, key, None, known, None)
    if given is None and stated is not None and stated not in known:
        problem = f"has the unit {stated!r}, which is none of {', '.join(known)}"
        raise MediaError(name, f"{problem}; say which it is in the option {key}")
    return given or stated


def _unit_since_1970(first: float) -> str | None:
    """Return the unit of a time of our days (1973 to 5138) that is counted from 1970 on, None of other times."""
    return next(
        (unit for unit, least in (("ns", 1e17), ("us", 1e14), ("ms", 1e11)) if least <= first < 1e3 * least), None
    )


def _filled(values: np.ndarray, times: np.ndarray, name: str) -> np.ndarray:
    """Return values `[6, T]` in which missing numbers are interpolated linearly."""
    known = np.isfinite(values)
    if known.all():
        return values
    share = known.mean(axis=1)
    if share.min() < _FEWEST_KNOWN:
        problem = f"holds NaN, infinite or missing values: {1 - share.min():.0%} of the {CHANNELS[int(share.argmin())]}"
        raise MediaError(name, f"{problem}; at most half of a channel may be missing")
    return np.stack([np.interp(times, times[mask], row[mask]) for row, mask in zip(values, known, strict=True)])


def _resample(times: np.ndarray, values: np.ndarray, rate: float, window: tuple[float, float], name: str) -> np.ndarray:
    """Resample values `[6, T]` at `times` to `[6, T']` at `rate` Hz, from begin to end of the window in seconds."""
    length = (window[1] - window[0]) * rate
    if not length <= _MOST_SAMPLES:
        problem = f"is {window[1] - window[0]:g} s long, {length:g} samples, over the limit of {_MOST_SAMPLES}"
        raise MediaError(name, f"{problem}; take a part with start and end, or give the unit of its times as time_unit")
    wanted = window[0] + np.arange(max(1, round(length))) / rate
    native = (len(times) - 1) / times[-1] if len(times) > 1 else rate
    if native > _HIGHEST_RATE:
        problem = f"is at {native:g} Hz, over the limit of {_HIGHEST_RATE:g} Hz"
        raise MediaError(name, f"{problem}; check sampling_rate, or the unit of its times (time_unit)")
    if native > rate * 1.001:
        values, times = _low_passed(times, values, native, rate)
    return np.stack([np.interp(wanted, times, row) for row in values])


def _low_passed(times: np.ndarray, values: np.ndarray, native: float, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the values at `rate` without frequencies above half of it, and the times of the result."""
    regular = np.arange(len(times)) / native
    evenly = np.stack([np.interp(regular, times, row) for row in values], axis=1)
    # The filter takes what lies beyond the ends to be 0, a step of 9.8 m/s2: so the ends are drawn out, then cut off.
    margin = int(np.ceil(native / rate)) * 64
    padded = np.pad(evenly, ((margin, margin), (0, 0)), mode="edge")
    slower = soxr.resample(padded, native, rate).T
    return slower, np.arange(slower.shape[1]) / rate - margin / native


def cut_windows(recording: Inertial, starts: Sequence[int], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut windows of `length` samples that begin at `starts`.

    Returns float32 `[C, 6, length]` with zeros after the end, and the number of real samples of each, int `[C]`."""
    parts = [recording.samples[:, start : start + length] for start in starts]
    filled = [np.pad(part, ((0, 0), (0, length - part.shape[1]))) for part in parts]
    return np.stack(filled), np.array([part.shape[1] for part in parts])
