"""Scenes by depth alone (NYU-D, SUN-D) and what thermal pictures show (LLVIP, FLIR)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval.data.benchmark import Benchmark, Layout, Record, Row, Split
from eval.data.class_folders import class_folders
from eval.data.files import Files
from eval.data.labels import names_in, readable
from eval.data.rows import question_row
from omni.media.depth import DEPTH_EXTENSIONS, SENSORS
from omni.media.thermal import THERMAL_EXTENSIONS

NYU_SCENES = names_in("bathroom bedroom bookstore classroom dining_room home_office kitchen living_room office others")
# The 19 classes with more than 80 pictures, by which Song et al. 2015 measure the classification of scenes.
SUN_SCENES = names_in(
    """bathroom bedroom classroom computer_room conference_room corridor dining_area dining_room discussion_area
    furniture_store home_office kitchen lab lecture_theatre library living_room office rest_space study_space"""
)
_SPLIT = "allsplit.mat"


def _sun(key: str) -> Layout:
    return Layout("official", (_SPLIT, "scene.txt"), lambda files: _read_sun(files, key), _sun_row)


def _read_sun(files: Files, key: str) -> Sequence[Record]:
    """Return the pictures of an official split whose scene is one of the 19, or is not there.

    `alltest` and `alltrain` of allsplit.mat name folders as they lay on the authors' machine; they count from the
    sensor's folder on.
    """
    there = {_from_sensor(str(path.parent.relative_to(files.folder))): path for path in files.matching("scene.txt")}
    records = [{"id": name, "path": there.get(name)} for name in map(_from_sensor, _folders(files.find(_SPLIT), key))]
    found = [{**record, "label": record["path"] and _scene(record["path"])} for record in records]
    return [record for record in found if record["label"] is None or record["label"] in SUN_SCENES]


def _folders(path: Path, key: str) -> list[str]:
    from scipy.io import loadmat

    try:
        return [str(name) for name in np.atleast_1d(loadmat(str(path), variable_names=[key], squeeze_me=True)[key])]
    except Exception as error:  # damaged files raise almost anything
        raise ValueError(f"{path} cannot be read as a MATLAB file with `{key}` ({error}); get it again") from error


def _from_sensor(folder: str) -> str:
    parts = [part for part in folder.replace("\\", "/").split("/") if part]
    first = next((index for index, part in enumerate(parts) if part in SENSORS), 0)
    return "/".join(parts[first:])


def _scene(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip()


def _sun_row(record: Record, files: Files) -> Row:
    if record["path"] is None:
        raise FileNotFoundError(f"{record['id']}/scene.txt is not in {files.folder}")
    folder = record["path"].parent
    depth = next((path for name in ("depth_bfx", "depth") for path in sorted((folder / name).glob("*.png"))), None)
    if depth is None:
        raise FileNotFoundError(f"{record['id']} has no picture in depth_bfx or depth")
    options = {"encoding": "sun", "sensor": record["id"].partition("/")[0], **_intrinsics(folder / "intrinsics.txt")}
    return question_row(
        record["id"], [{"type": "depth", "path": str(depth), "options": options}], label=readable(record["label"])
    )


def _intrinsics(path: Path) -> dict[str, list[float]]:
    """Return the option of the camera's matrix; none where there is no such file, and the sensor's usual one counts."""
    if not path.is_file():
        return {}
    try:
        numbers = [float(number) for number in path.read_text().split()]
    except ValueError as error:
        raise ValueError(f"{path} holds something that is no number ({error})") from error
    if len(numbers) != 9:
        raise ValueError(f"{path} must hold the 9 numbers of a camera's matrix; found {len(numbers)}")
    return {"intrinsics": numbers}


def _thermal(name: str, title: str, homepage: str, licence: str, classes: str, note: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        homepage=homepage,
        licence=licence,
        get=f"the thermal pictures, sorted into the folders val/{{{classes}}} as LanguageBind's evaluation has them",
        splits={"val": Split((class_folders("val", "thermal", THERMAL_EXTENSIONS),), note=note)},
    )


BENCHMARKS = (
    Benchmark(
        name="nyu-d",
        title="NYU-D, scenes of NYU Depth v2 (Silberman et al. 2012, doi:10.1007/978-3-642-33715-4_54)",
        homepage="https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
        licence="for research; licence not stated",
        get="the depth pictures (16 bits, millimetres) of the test split, sorted into the folders val/CLASS",
        splits={
            "val": Split(
                (class_folders("val", "depth", DEPTH_EXTENSIONS),),
                num_items=654,
                note="10 classes; `others` holds several kinds of rooms, which ImageBind names one by one",
            ),
            "train": Split((class_folders("train", "depth", DEPTH_EXTENSIONS),), num_items=795, note="for probes"),
        },
    ),
    Benchmark(
        name="sun-d",
        title="SUN-D, scenes of SUN RGB-D (Song et al. 2015, doi:10.1109/CVPR.2015.7298655)",
        homepage="https://rgbd.cs.princeton.edu/",
        licence="for research; licence not stated",
        get="SUNRGBD.zip and, from SUNRGBDtoolbox.zip, traintestSUNRGBD/allsplit.mat",
        splits={
            "test": Split(
                (_sun("alltest"),),
                num_items=4_659,
                note="19 classes; depth with holes filled (depth_bfx) if it is there; that ImageBind takes the same is "
                "not verified",
            ),
            "train": Split((_sun("alltrain"),), num_items=4_845, note="for probes"),
        },
    ),
    _thermal(
        "llvip",
        "LLVIP, persons and background (Jia et al. 2021, arXiv:2108.10831)",
        "https://bupt-ai-cz.github.io/LLVIP/",
        "for research, by the authors' terms of use",
        "person,background",
        "cut out of the official pictures; where ImageBind cut is not published, so the number is not known",
    ),
    _thermal(
        "flir-v1",
        "FLIR ADAS v1, four classes",
        "https://www.flir.com/oem/adas/adas-dataset-form/",
        "by the terms of Teledyne FLIR",
        "bicycle,car,dog,person",
        "cut out of the official pictures as LanguageBind does; the number is not verified",
    ),
)
