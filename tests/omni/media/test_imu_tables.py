"""Tables of logger apps: which columns are what, what their units mean, and where a recording begins."""

import numpy as np
import pytest

from omni.media import Media, MediaError
from omni.media.imu import Inertial, load_imu
from omni.media.imu_units import parse_unit

GRAVITY = 9.80665


def load(text: str | bytes, **options) -> Inertial:
    data = text if isinstance(text, bytes) else text.encode()
    return load_imu(Media("imu", data=data, options=options))


def rows(cells: str, count: int = 100, step: float = 0.01, first: float = 0) -> str:
    """A table at rest; `cells` follow the time."""
    return "".join(f"{first + step * i:.6f},{cells}\n" for i in range(count))


def table(acceleration: str = "", rotation: str = "", cells: str = "0,0,1,1,0,0") -> str:
    names = ["t", *(f"acc_{a}{acceleration}" for a in "xyz"), *(f"gyro_{a}{rotation}" for a in "xyz")]
    return ",".join(names) + "\n" + rows(cells)


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        *((text, 1.0) for text in ("m/s2", "m/s^2", "m/s²", "m s^-2", "m.s-2", "m/s/s", "m/(s^2)", "m·s⁻²", "m/sec^2")),
        *((text, 1.0) for text in ("metres per second squared", "meter/second^2", "m/s**2")),
        *((text, GRAVITY) for text in ("g", "G", "g-force", "gs", "gravity")),
        *((text, GRAVITY / 1000) for text in ("mg", "milli-g", "milli g", "mG")),
        *((text, 0.01) for text in ("cm/s^2", "cm/s2", "cm s-2")),
        ("mm/s²", 0.001),
        ("ft/s^2", 0.3048),
    ],
)
def test_units_of_acceleration_in_all_spellings(unit: str, scale: float) -> None:
    for name in (f" ({unit})", f" [{unit}]"):
        assert load(table(name)).samples[2, 5] == pytest.approx(scale, rel=1e-5)


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        *((text, 1.0) for text in ("rad/s", "rad/sec", "radians/second", "rad s^-1", "rad.s-1", "rad·s⁻¹", "Rad/S")),
        *(
            (text, np.pi / 180)
            for text in ("deg/s", "dps", "deg/sec", "degrees/s", "degree/s", "deg.s-1", "°/sec", "°/s")
        ),
        *((text, np.pi / 180) for text in ("degrees per second", "Deg/s", "º/s", "deg*s^-1")),
        *((text, np.pi / 180000) for text in ("mdps", "mdeg/s", "milli-deg/s")),
        ("mrad/s", 0.001),
    ],
)
def test_units_of_rotation_in_all_spellings(unit: str, scale: float) -> None:
    assert load(table("", f" ({unit})")).samples[3, 5] == pytest.approx(scale, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "unit"), [("acc", "LSB"), ("acc", "raw"), ("gyro", "rps"), ("gyro", "g"), ("acc", "deg/s")]
)
def test_an_unknown_unit_is_an_error_unless_the_option_says_it(kind: str, unit: str) -> None:
    text = table(f" ({unit})") if kind == "acc" else table("", f" ({unit})")
    key, own = ("acceleration_unit", "mg") if kind == "acc" else ("rotation_unit", "deg/s")
    with pytest.raises(MediaError, match=rf"has the unit '{unit}'.*say which it is in the option {key}"):
        load(text)
    expected = GRAVITY / 1000 if kind == "acc" else np.pi / 180
    assert load(text, **{key: own}).samples[2 if kind == "acc" else 3, 5] == pytest.approx(expected, rel=1e-5)


def test_axes_of_different_units_are_an_error_and_units_stand_behind_names_too() -> None:
    names = "t,acc_x (g),acc_y (g),acc_z (m/s2),gyro_x,gyro_y,gyro_z\n"
    with pytest.raises(MediaError, match="has the units g and m/s2 for the axes of one sensor"):
        load(names + rows("0,0,1,1,0,0"))
    samples = load("t,acc_x_mg,acc_y_mg,acc_z_mg,gyro_x_dps,gyro_y_dps,gyro_z_dps\n" + rows("0,0,1000,180,0,0")).samples
    np.testing.assert_allclose(samples[[2, 3], 5], [GRAVITY, np.pi], rtol=1e-5)
    assert parse_unit("furlong/s2") is None


def test_components_of_ego4d_follow_each_other_by_the_canonical_time() -> None:
    head = "component_idx,component_timestamp_ms,canonical_timestamp_ms,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z\n"
    one = [(c, i * 5, c * 500 + i * 5, 1 + 10 * c) for c in (0, 1) for i in range(100)]
    for order in (one, one[100:] + one[:100]):
        recording = load(head + "".join(f"{c},{own},{time},0,0,0,{x},0,9.8\n" for c, own, time, x in order))
        assert recording.duration == pytest.approx(1.0, abs=0.01)
        assert recording.samples[0, [10, -10]].tolist() == [1, 11]
    # Some rows have no canonical time; where none has one, two components have the same times.
    some = head + "".join(f"{c},{own},{'NULL' if own < 50 else time},0,0,0,{x},0,9.8\n" for c, own, time, x in one)
    assert load(some).duration == pytest.approx(0.95, abs=0.01)
    without = head + "".join(f"{c},{own},NULL,0,0,0,{x},0,9.8\n" for c, own, _, x in one)
    with pytest.raises(MediaError, match="begins anew: from its sample 100 on"):
        load(without)
    only_first = head + "".join(f"{c},{own},NULL,0,0,0,{x},0,9.8\n" for c, own, _, x in one[:100])
    assert load(only_first).duration == pytest.approx(0.5, abs=0.01)


def test_recordings_on_top_of_each_other_and_coarse_times_are_told() -> None:
    head = "t,ax,ay,az,gx,gy,gz\n"
    with pytest.raises(MediaError, match="begins anew"):
        load(head + rows("1,0,0,0,0,0") + rows("2,0,0,0,0,0", first=0.004))
    coarse = "".join(f"{i // 50},{i},0,0,0,0,0\n" for i in range(500))
    with pytest.raises(MediaError, match="times are too coarse"):
        load(head + coarse)
    late = [*range(100)]
    late[40:42] = [41, 40]
    samples = load(head + "".join(f"{i * 0.01},{i},0,0,0,0,0\n" for i in late)).samples
    np.testing.assert_allclose(samples[0, ::4], np.arange(100), atol=1e-4)


def test_rows_of_one_sensor_each_at_the_same_time_are_joined() -> None:
    pairs = "".join(f"{i * 0.01},1,2,3,,,\n{i * 0.01},,,,4,5,6\n" for i in range(100))
    assert np.array_equal(load("t,ax,ay,az,gx,gy,gz\n" + pairs).samples[:, 10], [1, 2, 3, 4, 5, 6])
    blocks = rows("1,2,3,,,") + rows(",,,4,5,6")
    assert np.array_equal(load("t,ax,ay,az,gx,gy,gz\n" + blocks).samples[:, 10], [1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    "names",
    [
        "t,gravity_x,gravity_y,gravity_z,ax,ay,az,gx,gy,gz",
        "t,gravity.x,gravity.y,gravity.z,accelerometer.x,accelerometer.y,accelerometer.z,gx,gy,gz",
        "t,linear_acceleration_x,linear_acceleration_y,linear_acceleration_z,acc_x,acc_y,acc_z,gx,gy,gz",
        "t,motionUserAccelerationX,motionUserAccelerationY,motionUserAccelerationZ,"
        "accelerometerAccelerationX,accelerometerAccelerationY,accelerometerAccelerationZ,gx,gy,gz",
        "t,accelerometerUncalibrated_x,accelerometerUncalibrated_y,accelerometerUncalibrated_z,acc_x,acc_y,acc_z,gx,gy,gz",
    ],
)
def test_what_is_measured_with_gravity_is_the_accelerometer(names: str) -> None:
    assert np.array_equal(load(names + "\n" + rows("7,7,7,1,2,3,4,5,6")).samples[:, 10], [1, 2, 3, 4, 5, 6])


def test_acceleration_without_gravity_gets_the_gravity_beside_it_added() -> None:
    """As MotionSense stores what a telephone gives: its accelerometer reads the sum of the two."""
    names = [f"{one}.{axis}" for one in ("gravity", "rotationRate", "userAcceleration") for axis in "xyz"]
    samples = load("t," + ",".join(names) + "\n" + rows("0,0,-1,4,5,6,0.1,0.2,0.3"), acceleration_unit="g").samples
    np.testing.assert_allclose(samples[:, 10], [0.1 * GRAVITY, 0.2 * GRAVITY, -0.7 * GRAVITY, 4, 5, 6], rtol=1e-5)
    ros = "t," + ",".join(f"{one}.{axis}" for one in ("linear_acceleration", "angular_velocity") for axis in "xyz")
    assert load(ros + "\n" + rows("0,0,9.8,0,0,0")).samples[2, 5] == pytest.approx(9.8)


NAMES = "t,ax,ay,az,gx,gy,gz\n"
ROWS = rows("1,2,3,4,5,6")
PREAMBLES = {
    "ActiGraph": "------------ Data File Created By ActiGraph ------------\nSerial Number: X1, 3\nStart Time 10:00:00\n"
    + NAMES,
    "Xsens": "sep=,\nDeviceTag:,left\nFirmwareVersion:,1.2.3\n\n" + NAMES,
    "comments": "# recorded by hand\n# rate: 100\n# t,ax,ay,az,gx,gy,gz\n",
    "percent": "% a,b\n% t,ax,ay,az,gx,gy,gz\n",
    "none": "",
    "words": "recorded by hand\n\n",
}


@pytest.mark.parametrize("preamble", PREAMBLES.values(), ids=PREAMBLES)
def test_lines_about_the_recording_stand_before_the_table(preamble: str) -> None:
    recording = load(preamble + ROWS)
    assert recording.duration == pytest.approx(1)
    assert np.array_equal(recording.samples[:, 10], [1, 2, 3, 4, 5, 6])


def test_a_row_of_units_below_the_names_counts() -> None:
    below = "ms,g,g,g,deg/s,deg/s,deg/s\n"
    for more in ("", "RAW,CAL,CAL,CAL,CAL,CAL,CAL\n"):
        recording = load(
            "Timestamp,Accel_X,Accel_Y,Accel_Z,Gyro_X,Gyro_Y,Gyro_Z\n" + more + below + rows("0,0,1,180,0,0", step=10)
        )
        assert recording.duration == pytest.approx(1)
        np.testing.assert_allclose(recording.samples[[2, 3], 5], [GRAVITY, np.pi], rtol=1e-5)
    with pytest.raises(MediaError, match="has the unit 'LSB'"):
        load(NAMES + "s,LSB,LSB,LSB,deg/s,deg/s,deg/s\n" + ROWS)


def test_the_column_of_times_that_says_its_unit_is_taken() -> None:
    start = 1_700_000_000_000_000_000
    cells = "1,2,3,4,5,6"
    both = "".join(f"{start + i * 10_000_000},{i * 0.01:.2f},{cells}\n" for i in range(100))
    assert load("time,seconds_elapsed,ax,ay,az,gx,gy,gz\n" + both).duration == pytest.approx(1)
    dated = "".join(f"2024-05-01T10:00:{i * 0.01:05.2f},{i * 10},{cells}\n" for i in range(100))
    assert load("time (01:00),elapsed (ms),ax,ay,az,gx,gy,gz\n" + dated).duration == pytest.approx(1)
    assert load("datetime,Time since start in ms,ax,ay,az,gx,gy,gz\n" + dated).duration == pytest.approx(1)


@pytest.mark.parametrize("scale", [1, 1000, 1_000_000, 1_000_000_000])
def test_times_since_1970_tell_their_unit_by_their_size(scale: int) -> None:
    stamps = "".join(
        f"{1_700_000_000 * scale + i * scale // 100},1,2,3,4,5,6\n" for i in range(0, 1000, 100 if scale == 1 else 1)
    )
    recording = load("time,ax,ay,az,gx,gy,gz\n" + stamps)
    assert recording.duration == pytest.approx(10, rel=0.02)


def test_seconds_that_would_be_slower_than_one_hertz_need_a_unit() -> None:
    slow = NAMES + rows("1,2,3,4,5,6", step=10)
    with pytest.raises(MediaError, match=r"is at 0\.1 Hz if its times are seconds.*give time_unit"):
        load(slow)
    assert load(slow, time_unit="ms").duration == pytest.approx(1)


def test_letters_of_windows_and_decimal_commas() -> None:
    names = "Zeit t (s)\tacc x (m/s²)\tacc y (m/s²)\tacc z (m/s²)\tgyro x (°/s)\tgyro y (°/s)\tgyro z (°/s)\n"
    text = names.replace("Zeit t", "time") + "".join(
        f"{i / 100}\t1,5\t2\t3\t180\t0\t0\n".replace(".", ",") for i in range(100)
    )
    for encoding in ("utf-8", "cp1252", "utf-16"):
        samples = load(text.encode(encoding)).samples
        np.testing.assert_allclose(samples[[0, 3], 5], [1.5, np.pi], rtol=1e-5)


def test_physics_toolbox_counts_in_g() -> None:
    samples = load("time;gFx;gFy;gFz;wx;wy;wz\n" + rows("0;0;1;4;5;6").replace(",", ";")).samples
    np.testing.assert_allclose(samples[:, 5], [0, 0, GRAVITY, 4, 5, 6], rtol=1e-5)
