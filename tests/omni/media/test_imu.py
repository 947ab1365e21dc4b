"""Inertial recordings: columns, units, times and rates, against the movement they were made of."""

import io
from pathlib import Path

import numpy as np
import pandas
import pytest

from omni.media import Media, MediaError
from omni.media.imu import cut_windows, load_imu

HEADERS = {
    "plain": ["t", "acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"],
    "short": ["time", "ax", "ay", "az", "gx", "gy", "gz"],
    "ROS": [
        "stamp_time",
        *(f"linear_acceleration.{axis}" for axis in "xyz"),
        *(f"angular_velocity.{axis}" for axis in "xyz"),
    ],
    "phyphox": [
        "Time (s)",
        *(f"Acceleration {axis} (m/s^2)" for axis in "xyz"),
        *(f"Gyroscope {axis} (rad/s)" for axis in "xyz"),
    ],
}


def movement(times: np.ndarray) -> np.ndarray:
    """Six different slow curves at these times, [6, T]."""
    return np.stack([9.81 + np.sin(times * (channel + 1)) * (channel + 1) for channel in range(6)])


def table(times: np.ndarray, names: list[str], delimiter: str = ",") -> bytes:
    rows = np.column_stack([times, movement(times).T])
    return "\n".join([delimiter.join(names), *(delimiter.join(map(repr, row)) for row in rows.tolist())]).encode()


def expect(samples: np.ndarray, rate: float, tolerance: float = 0.01) -> None:
    times = np.arange(samples.shape[1]) / rate
    np.testing.assert_allclose(samples, movement(times), atol=tolerance)


@pytest.mark.parametrize("names", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_columns_are_found_by_name(names: list[str], delimiter: str) -> None:
    recording = load_imu(table(np.arange(500) / 100, names, delimiter))
    assert recording.samples.shape == (6, 2000)
    expect(recording.samples[:, :1990], 400)


def test_gyroscope_first_in_nanoseconds_since_1970_as_euroc_stores_it() -> None:
    times = np.arange(1000) / 200
    header = "#timestamp [ns]," + ",".join(
        [f"w_RS_S_{a} [rad s^-1]" for a in "xyz"] + [f"a_RS_S_{a} [m s^-2]" for a in "xyz"]
    )
    values = np.roll(movement(times), 3, axis=0).T
    stamps = [1403636579758555392 + round(time * 1e9) for time in times]
    rows = [",".join(map(repr, [stamp, *row])) for stamp, row in zip(stamps, values.tolist(), strict=True)]
    expect(load_imu("\n".join([header, *rows]).encode()).samples[:, :1990], 400)


@pytest.mark.parametrize("rate", [20, 50, 100, 400, 1000, 1600])
def test_any_rate_becomes_400_hz(rate: int) -> None:
    times = np.arange(5 * rate) / rate
    recording = load_imu(Media("imu", data=movement(times), sampling_rate=rate))
    assert recording.samples.shape == (6, 2000)
    assert recording.duration == 5.0
    expect(recording.samples[:, : 2000 - 400 // rate - 1], 400, tolerance=0.15 if rate == 20 else 0.03)


def test_what_is_too_fast_for_the_rate_is_filtered_out_and_gravity_stays() -> None:
    """A hum of 350 Hz, recorded at 1600 Hz, would come out as one of 50 Hz."""
    times = np.arange(8000) / 1600
    values = np.full((6, 8000), 9.81) + np.sin(2 * np.pi * 350 * times)
    samples = load_imu(Media("imu", data=values, sampling_rate=1600)).samples
    np.testing.assert_allclose(samples[:, 20:-20], 9.81, atol=0.01)


def test_uneven_times_out_of_order_with_repeats_are_put_right() -> None:
    generator = np.random.default_rng(0)
    times = np.sort(np.r_[0, generator.uniform(0, 5, 1500), 5])
    late = np.arange(len(times)) + 20.0 * (generator.random(len(times)) < 0.05)
    rows = np.column_stack([times, movement(times).T])[np.argsort(late, kind="stable")]
    rows = np.concatenate([rows, rows[:50]])
    expect(load_imu(rows).samples[:, :1990], 400, tolerance=0.03)


def test_missing_numbers_are_interpolated_and_rows_of_two_sensors_merged() -> None:
    """Many logs write a row for each sensor by itself."""
    times = np.arange(1000) / 200
    values = movement(times)
    values[:3, 1::2] = np.nan
    values[3:, ::2] = np.nan
    samples = load_imu(np.column_stack([times, values.T])).samples
    np.testing.assert_allclose(samples[:, 2:1990], movement(np.arange(2, 1990) / 400), atol=0.02)


def test_units_come_from_names_or_options() -> None:
    names = ["t_ms", "acc_x (g)", "acc_y (g)", "acc_z (g)", "gyro_x (deg/s)", "gyro_y (deg/s)", "gyro_z (deg/s)"]
    rows = "\n".join([",".join(names), *(f"{10 * i},1,0,-1,180,0,90" for i in range(100))])
    expected = [9.80665, 0, -9.80665, np.pi, 0, np.pi / 2]
    samples = load_imu(rows.encode()).samples
    assert samples.shape == (6, 400)
    np.testing.assert_allclose(samples[:, 7], expected, rtol=1e-6, atol=1e-9)
    plain = np.tile([1.0, 0, -1, 180, 0, 90], (100, 1))
    options = {"acceleration_unit": "g", "rotation_unit": "deg/s", "sampling_rate": 100}
    np.testing.assert_allclose(load_imu(Media("imu", data=plain, options=options)).samples[:, 7], expected, atol=1e-5)


def test_files_of_all_kinds_give_the_same_samples(tmp_path: Path) -> None:
    times = np.arange(500) / 100
    frame = pandas.DataFrame(np.column_stack([times, movement(times).T]), columns=HEADERS["plain"])
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_parquet(tmp_path / "x.parquet")
    dated = frame.assign(t=pandas.to_datetime(frame.t, unit="s")).rename(columns={"t": "timestamp"})
    dated.to_parquet(tmp_path / "dated.parquet")
    np.save(tmp_path / "x.npy", frame.to_numpy())
    np.savetxt(tmp_path / "x.txt", frame.to_numpy())
    expected = load_imu(frame.to_numpy()).samples
    for path in sorted(tmp_path.iterdir()):
        for source in (path, path.read_bytes(), Media("imu", path=str(path))):
            np.testing.assert_allclose(load_imu(source).samples, expected, atol=1e-5, err_msg=path.name)


def test_columns_may_be_named_in_the_options() -> None:
    times = np.arange(100) / 100
    data = table(times, ["when", *"abcdef"])
    options = {"columns": list("abcdef"), "time_column": "when"}
    expect(load_imu(Media("imu", data=data, options=options)).samples[:, :390], 400)
    with pytest.raises(MediaError, match=r"no column that is named like accelerometer x; its columns are when, a, b"):
        load_imu(data)
    with pytest.raises(MediaError, match="has no column 'g'"):
        load_imu(Media("imu", data=data, options={"columns": list("abcdeg")}))


def test_a_part_is_taken_by_seconds() -> None:
    media = Media("imu", data=movement(np.arange(4000) / 400), sampling_rate=400, options={"start": 2, "end": 4.5})
    samples = load_imu(media).samples
    np.testing.assert_allclose(samples, movement(2 + np.arange(1000) / 400), atol=1e-5)
    with pytest.raises(MediaError, match="it is 10 s long"):
        load_imu(media, start=11, end=12)


def test_windows_are_filled_with_zeros() -> None:
    recording = load_imu(Media("imu", data=np.ones((6, 30)), sampling_rate=400))
    windows, real = cut_windows(recording, [0, 20], 20)
    assert real.tolist() == [20, 10]
    assert windows[1, 0].tolist() == [1] * 10 + [0] * 10


@pytest.mark.parametrize(
    ("source", "options", "problem"),
    [
        (np.ones((100, 6)), {}, "has neither times nor a rate"),
        (np.ones((100, 5)), {"sampling_rate": 9}, r"must be \[T, 6\]"),
        (np.float32(3), {}, "got float32"),
        (np.array(3.0), {}, r"got float64 \[\]"),
        (np.zeros((0, 6)), {"sampling_rate": 9}, r"got \[0, 6\]"),
        (np.full((6, 2000), np.nan), {}, "100% of the accelerometer x"),
        (np.full((6, 2000), 1e300), {}, r"as large as 1e\+300, over the limit of 1e\+12"),
        (np.column_stack([np.zeros(9), np.ones((9, 6))]), {}, "the same time, 0, in all rows"),
        (np.column_stack([[0, 1e12], np.ones((2, 6))]), {}, "over the limit of 4000000.*time_unit"),
        (np.ones((6, 2000)), {"acceleration_unit": "furlong"}, "allowed: m/s2, g, mg"),
        (b"a,b,c\n1,2,3\n", {}, "no column that is named like accelerometer x"),
        (b"1,2,3\n4,5,6\n", {}, "has 3 columns without names"),
        (b"t,ax,ay,az,gx,gy,gz\n", {}, "has no rows of numbers"),
        (b"t,ax,ay,az,gx,gy,gz\nMonday,1,2,3,4,5,6\n", {}, "has no time that is a number"),
        (b"PAR1 and nothing else", {}, "cannot be read as Parquet"),
        (b"\x89PNG\r\n\x1a\n\0\0", {}, "is no table of text; it starts like a PNG picture"),
        (b"", {}, "zero bytes"),
    ],
)
def test_what_cannot_be_used_is_an_error_of_that_item(source: object, options: dict, problem: str) -> None:
    with pytest.raises(MediaError, match=problem):
        load_imu(Media("imu", data=source, options=options))  # pyright: ignore[reportArgumentType]


def test_bytes_of_arrays_are_read_too() -> None:
    file = io.BytesIO()
    np.save(file, np.ones((2000, 6)))
    assert load_imu(file.getvalue()).samples.shape == (6, 2000)


def seven(first: np.ndarray, last: np.ndarray | None = None) -> np.ndarray:
    """Return `[T, 7]` of gravity and rotation behind a first column, the last one replaced by `last`."""
    rows = np.column_stack([first, movement(np.arange(len(first)) / 100).T])
    if last is not None:
        rows[:, 6] = last
    return rows


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (seven(9.8 + np.sin(np.arange(300))), "the first of which are no times"),
        (seven(9.8 + np.sin(np.arange(300)), np.arange(300) / 100), "the first of which are no times"),
        (seven(np.arange(300) / 100, np.arange(300) / 50), "two could be times"),
        (seven(np.arange(300)), "counts: seconds, or rows"),
    ],
)
def test_seven_columns_without_names_are_no_guess(rows: np.ndarray, words: str) -> None:
    text, npy = io.BytesIO(), io.BytesIO()
    np.savetxt(text, rows, delimiter=",")
    np.save(npy, rows)
    for source in (rows, rows.T, text.getvalue(), npy.getvalue()):
        with pytest.raises(MediaError, match=words):
            load_imu(source)


def test_rows_that_count_are_times_where_their_unit_is_given() -> None:
    rows = seven(np.arange(300))
    with_unit = load_imu(Media("imu", data=rows, options={"time_unit": "ms"}))
    assert with_unit.duration == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(("scale", "unit"), [(1.0, "g"), (1000.0, "mg")])
def test_gravity_of_one_without_any_names_asks_for_the_unit(scale: float, unit: str) -> None:
    values = np.zeros((6, 2000))
    values[2] = scale
    with pytest.raises(MediaError, match=f"it seems to be in {unit}; give acceleration_unit"):
        load_imu(values)
    loaded = load_imu(Media("imu", data=values, options={"acceleration_unit": unit}))
    np.testing.assert_allclose(loaded.samples[2], 9.80665, rtol=1e-5)
    kept = load_imu(Media("imu", data=values, options={"acceleration_unit": "m/s2"}))
    np.testing.assert_allclose(kept.samples[2], scale, rtol=1e-5)
