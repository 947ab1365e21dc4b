"""Ego4D's inertial recordings, from official files to scores."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.data.opening import open_official
from eval.tasks import TASKS
from omni.media.imu import load_imu
from omni.model import OmniModel
from omni.samples.messages import Sample
from tests.eval.data.brief import bad, plan, run
from tests.eval.data.official import check, decoding_model, write_json

NAMES = "component_idx,component_timestamp_ms,canonical_timestamp_ms,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z"


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "imu")


def recording(path: Path, seed: int, seconds: float = 16, begin: float = 1000, rate: int = 40) -> Path:
    """Two components, whose own times begin anew; the first samples lack canonical times, and some an acceleration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(seed)
    lines = [NAMES, "0,0.0,,1,1,1,1,1,1", "0,5.0,NULL,1,1,1,1,1,1"]
    for index in range(round(seconds * rate)):
        part = int(index > seconds * rate / 2)
        time = index * 1000 / rate
        gyro, accelerometer = numbers.normal(size=3), numbers.normal((0, 0, 9.81))
        cells = [f"{value:.5f}" for value in (*gyro, *accelerometer)]
        cells = [*cells[:3], "", "", ""] if index % 8 == 7 else cells
        lines.append(f"{part},{time - part * seconds * 500},{begin + time},{','.join(cells)}")
    path.write_text("\n".join(lines) + "\n")
    return path


def video(uid: str, scenarios: list[str], **more: Any) -> dict[str, Any]:
    splits = {"split_em": None, "split_fho": "train", "split_av": None}
    return {"video_uid": uid, "scenarios": scenarios, "has_imu": True, "duration_sec": 17.0, **splits, **more}


def ego4d(folder: Path, *more: dict[str, Any]) -> Path:
    """Two videos of the test split; one has two scenarios, one no recording, and one is for training."""
    videos = [
        video("aa-1", ["Cooking"], split_em="val"),
        video("bb-2", ["Cycling / jogging"], split_av="test"),
        video("cc-3", ["Cooking", "Eating"], split_em="val"),
        video("dd-4", ["Cooking"], split_em="val", has_imu=False),
        video("ee-5", ["Gardening"]),
        *more,
    ]
    write_json(folder / "v2" / "ego4d.json", {"date": "230123", "videos": videos})
    for number, uid in enumerate(("aa-1", "bb-2", "ee-5")):
        recording(folder / "v2" / "imu" / f"{uid}.csv", number)
    return folder


def narrated(folder: Path) -> Path:
    told = {"narrations": [{"timestamp_sec": time, "narration_text": "#C C cuts"} for time in (8.0, 2.0, 8.0, 16.5)]}
    videos = {"aa-1": {"narration_pass_1": told}, "bb-2": {"narration_pass_2": {"narrations": [{"timestamp_sec": 10}]}}}
    write_json(folder / "v2" / "annotations" / "narration.json", {"videos": videos})
    return folder


def test_windows_follow_each_other_where_nothing_is_told(model: OmniModel, tmp_path: Path) -> None:
    folder = ego4d(tmp_path)
    result = run(TASKS["ego4d-imu"], folder, model)
    assert (result.status, result.num_items, result.bad, result.chance) == ("computed", 6, [], 1 / 4)
    assert [item.id for item in result.items] == [f"{uid}-{number}" for uid in ("aa-1", "bb-2") for number in (1, 2, 3)]
    assert [item.target for item in result.items] == ["Cooking"] * 3 + ["Cycling / jogging"] * 3
    assert result.items[0].question == "What is the person doing?"
    found = check("ego4d-imu/test", folder)
    assert (found.num_items, found.num_bad, found.num_expected) == (6, 0, None)
    assert [check(f"ego4d-imu/{split}", folder).num_items for split in ("all", "train")] == [9, 3]


def test_a_window_has_the_samples_of_its_five_seconds(tmp_path: Path) -> None:
    rows = [row for row in open_official("official:ego4d-imu/test", ego4d(tmp_path)) if isinstance(row, Sample)]
    table = np.genfromtxt(tmp_path / "v2/imu/aa-1.csv", delimiter=",", skip_header=3)
    data = rows[1].media[0].data
    assert isinstance(data, bytes)
    window = np.load(io.BytesIO(data))
    expected = table[200:400]  # 5 to 10 s after the first time, at 40 Hz
    np.testing.assert_allclose(window[:, 0], (expected[:, 2] - 6000) / 1000, atol=1e-5)
    np.testing.assert_allclose(window[:, 1:4], expected[:, 6:9], atol=1e-5)
    np.testing.assert_allclose(window[:, 4:], expected[:, 3:6], atol=1e-5)
    loaded = load_imu(rows[1].media[0], 40)
    np.testing.assert_allclose(loaded.samples[3, :7], expected[:7, 3], atol=1e-2)
    assert loaded.samples[2].mean() == pytest.approx(9.81, abs=0.3)
    assert [row.meta["group"] for row in rows] == ["aa-1"] * 3 + ["bb-2"] * 3


def test_windows_lie_around_what_is_told(tmp_path: Path) -> None:
    rows = [
        row for row in open_official("official:ego4d-imu/test", narrated(ego4d(tmp_path))) if isinstance(row, Sample)
    ]
    assert [row.id for row in rows] == ["aa-1-1", "bb-2-1"]  # at 2 s and 16.5 s the recording has no whole window
    assert rows[0].meta["options"] == ["Cooking", "Cycling / jogging", "Eating", "Gardening"]
    data = rows[0].media[0].data
    assert isinstance(data, bytes)
    table = np.genfromtxt(tmp_path / "v2/imu/aa-1.csv", delimiter=",", skip_header=3)
    assert np.load(io.BytesIO(data))[0, 0] == pytest.approx(0)
    np.testing.assert_allclose(np.load(io.BytesIO(data))[:, 4], table[180:380, 3], atol=1e-5)  # 5.5 to 10.5 s


def test_what_is_wrong_is_named(model: OmniModel, tmp_path: Path) -> None:
    folder = ego4d(tmp_path, video("ff-6", ["Reading"], split_em="test"), video("gg-7", ["Reading"], split_em="test"))
    (folder / "v2" / "imu" / "gg-7.csv").write_text("time,ax\n0,1\n")
    found = plan("ego4d-imu", folder)
    assert len(found.items) == 6
    assert [(id, reason.split(";")[0]) for id, reason in bad(found)] == [
        ("ff-6", f"ff-6.csv is not in {folder}"),
        ("gg-7", f"{folder}/v2/imu/gg-7.csv has no column 'canonical_timestamp_ms'"),
    ]
    write_json(folder / "v2" / "ego4d.json", {"videos": [video("cc-3", ["Cooking", "Eating"])]})
    assert "has no video with a recording and just one scenario" in run(TASKS["ego4d-imu"], folder, model).reason
    write_json(folder / "v2" / "ego4d.json", {"clips": []})
    assert "has no 'videos'; found clips" in run(TASKS["ego4d-imu"], folder, model).reason
