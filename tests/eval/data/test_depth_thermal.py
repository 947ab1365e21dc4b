"""NYU-D, SUN-D, LLVIP and FLIR, from official files to scores."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from eval.data.opening import open_official
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.brief import bad, plan, run
from tests.eval.data.official import check, decoding_model, picture

SUN = "/n/fs/sun3d/data/SUNRGBD"
FOLDERS = ["kv1/NYUdata/NYU0001", "kv2/kinect2data/000002_resize/", "xtion/sun3ddata/mit/x", "realsense/lg/y"]
SCENES = ["office", "dining_room\n", "idk", "bedroom"]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "depth", "thermal")


def depth(path: Path, seed: int) -> Path:
    """A depth picture of 16 bits, millimetres."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(seed).integers(500, 8000, (6, 8), np.uint16)
    Image.fromarray(numbers).save(path)
    return path


def nyu(folder: Path) -> Path:
    for number, name in enumerate(("bathroom/0001.png", "dining_room/0001.png", "others/0002.png")):
        depth(folder / "nyu-depth" / "val" / name, number)
    (folder / "nyu-depth" / "val" / "others" / "notes.txt").write_text("no picture")
    return folder


def sun(folder: Path, scenes: list[str] = SCENES) -> Path:
    """The paths of the split lie on another machine, one with a slash at its end; one folder has no filled depth."""
    cells = np.array([f"{SUN}/{name}" for name in FOLDERS], dtype=object)[None]
    (folder / "traintestSUNRGBD").mkdir(parents=True)
    split = {"alltest": cells, "alltrain": np.array([f"{SUN}/kv1/NYUdata/NYU0002"], dtype=object)[None]}
    scipy.io.savemat(folder / "traintestSUNRGBD" / "allsplit.mat", split)
    for number, (name, scene) in enumerate(zip([*FOLDERS, "kv1/NYUdata/NYU0002"], [*scenes, "office"], strict=True)):
        place = folder / "SUNRGBD" / name
        depth(place / "depth" / "a.png", number)
        if number != 1:
            depth(place / "depth_bfx" / "a.png", number + 10)
        (place / "scene.txt").write_text(scene)
        (place / "intrinsics.txt").write_text("518.9 0 284.6\n0 519.5 208.7 0 0 1 ")
    return folder


def test_nyu_d_has_ten_kinds_of_rooms(model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS["nyu-d"], nyu(tmp_path), model)
    assert (result.status, result.num_items, result.bad, result.chance) == ("computed", 3, [], pytest.approx(1 / 10))
    assert [item.target for item in result.items] == ["bathroom", "dining room", "others"]
    assert [item.id for item in result.items] == ["bathroom/0001.png", "dining_room/0001.png", "others/0002.png"]
    found = check("nyu-d/val", tmp_path)
    assert (found.num_items, found.num_bad, found.num_expected) == (3, 0, 654)


def test_nyu_d_names_what_is_wrong(model: OmniModel, tmp_path: Path) -> None:
    folder = nyu(tmp_path)
    depth(folder / "nyu-depth" / "val" / "cellar" / "1.png", 5)
    ((id, reason),) = bad(plan("nyu-d", folder))
    assert id == "cellar/1.png"
    assert reason.startswith("has the label 'cellar', which is none of bathroom, bedroom")
    for path in folder.rglob("*.png"):
        path.unlink()
    assert "no file in the folders val/CLASS ends in .png" in run(TASKS["nyu-d"], folder, model).reason


def test_sun_d_takes_the_official_split_and_19_scenes(model: OmniModel, tmp_path: Path) -> None:
    folder = sun(tmp_path)
    rows = [*open_official("official:sun-d/test", folder)]
    assert [(row.id, row.meta["label"]) for row in rows] == [
        ("kv1/NYUdata/NYU0001", "office"),
        ("kv2/kinect2data/000002_resize", "dining room"),
        ("realsense/lg/y", "bedroom"),
    ]
    media = [row.media[0] for row in rows]
    assert [Path(str(one.path)).parent.name for one in media] == ["depth_bfx", "depth", "depth_bfx"]
    assert [one.options["sensor"] for one in media] == ["kv1", "kv2", "realsense"]
    assert media[0].options["intrinsics"] == [518.9, 0, 284.6, 0, 519.5, 208.7, 0, 0, 1]
    result = run(TASKS["sun-d"], folder, model)
    assert (result.status, result.num_items, result.bad, result.chance) == ("computed", 3, [], pytest.approx(1 / 19))
    assert check("sun-d/test", folder).num_expected == 4_659
    (only,) = open_official("official:sun-d/train", folder)
    assert (only.id, only.meta["label"]) == ("kv1/NYUdata/NYU0002", "office")


def test_sun_d_names_what_is_wrong(model: OmniModel, tmp_path: Path) -> None:
    folder = sun(tmp_path)
    (folder / "SUNRGBD" / FOLDERS[0] / "scene.txt").unlink()
    (folder / "SUNRGBD" / FOLDERS[1] / "depth" / "a.png").unlink()
    (folder / "SUNRGBD" / FOLDERS[3] / "intrinsics.txt").write_text("518.9 0")
    found = check("sun-d/test", folder)
    assert (found.num_items, found.num_bad, found.num_missing) == (0, 3, 2)
    assert [error.reason.split(";")[0].split(" is not in")[0] for error in found.bad] == [
        "kv1/NYUdata/NYU0001/scene.txt",
        "kv2/kinect2data/000002_resize has no picture in depth_bfx or depth",
        f"{folder}/SUNRGBD/realsense/lg/y/intrinsics.txt must hold the 9 numbers of a camera's matrix",
    ]
    (folder / "traintestSUNRGBD" / "allsplit.mat").write_bytes(b"no MATLAB file")
    assert "cannot be read as a MATLAB file with `alltest`" in run(TASKS["sun-d"], folder, model).reason


@pytest.mark.parametrize(("task", "classes"), [("llvip", "person background"), ("flir-v1", "bicycle car dog person")])
def test_thermal_pictures_are_told_apart(task: str, classes: str, model: OmniModel, tmp_path: Path) -> None:
    names = classes.split()
    for number, name in enumerate(names):
        picture(tmp_path / "val" / name / f"{number}.jpg", number)
    result = run(TASKS[task], tmp_path, model)
    assert (result.status, result.num_items, result.bad) == ("computed", len(names), [])
    assert (result.chance, sorted(item.target for item in result.items)) == (
        pytest.approx(1 / len(names)),
        sorted(names),
    )
    assert check(f"{task}/val", tmp_path).num_items == len(names)


def test_pictures_that_cannot_be_read_are_named_and_their_neighbours_asked(model: OmniModel, tmp_path: Path) -> None:
    for number, name in enumerate(("person", "background")):
        picture(tmp_path / "val" / name / f"{number}.jpg", number)
    (tmp_path / "val" / "person" / "2.jpg").write_bytes(b"cut off")
    result = run(TASKS["llvip"], tmp_path, model)
    assert (result.num_items, [one["id"] for one in result.bad]) == (2, ["person/2.jpg"])
