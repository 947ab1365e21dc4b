"""3D objects by their classes: ModelNet40 and ScanObjectNN."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from eval.data.arrays import read_hdf5, read_pickle
from eval.data.benchmark import Benchmark, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.labels import class_name, names_in
from eval.data.rows import Part, question_row

# In the order of modelnet40_shape_names.txt, by which the labels of ModelNet40's packs count.
MODELNET_40 = names_in(
    """airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser flower_pot
    glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano plant radio range_hood sink sofa
    stairs stool table tent toilet tv_stand vase wardrobe xbox"""
)
# In the order of the authors' shape_names.txt (https://github.com/hkust-vgd/scanobjectnn), which many loaders repeat.
SCAN_OBJECT_NN = names_in("bag bin box cabinet chair desk display door shelf table bed pillow sink sofa toilet")
_NORMALS = {"columns": "x y z nx ny nz"}
_NAMES = "modelnet40_shape_names.txt"
# Variant -> folder, name without `test_` or `training_`, test items, training items, what it is.
_SCANS = {
    "pb-t50-rs": ("main_split", "objectdataset_augmentedrot_scale75.h5", 2_882, 11_416, "moved, turned, scaled"),
    "obj-bg": ("main_split", "objectdataset.h5", 581, 2_309, "with background"),
    "obj-only": ("main_split_nobg", "objectdataset.h5", 581, 2_309, "without background"),
}


def _modelnet(split: str, number: int) -> Split:
    pack, names = f"modelnet40_{split}_8192pts_fps.dat", f"modelnet40_{split}.txt"
    return Split(
        (
            Layout("ULIP", (pack,), lambda files: _read_modelnet_pack(files, files.find(pack)), _modelnet_pack_row),
            Layout("official", (names,), lambda files: _read_modelnet(files, files.find(names)), _modelnet_row),
        ),
        num_items=number,
        note="the pickle is read without running code",
    )


def _read_modelnet_pack(files: Files, path: Path) -> Sequence[Record]:
    """Return the objects of ULIP's pack, a pickle of two lists: points with normals, and numbers of classes."""
    _check_names(files)
    content = read_pickle(path)
    if not isinstance(content, list | tuple) or len(content) != 2 or len(content[0]) != len(content[1]):
        raise ValueError(f"{path} must hold a list of points and a list of labels, as many of one as of the other")
    pairs = zip(content[0], content[1], strict=True)
    return [
        {"id": str(index), "points": points, "label": np.asarray(label).reshape(-1)}
        for index, (points, label) in enumerate(pairs)
    ]


def _modelnet_pack_row(record: Record, files: Files) -> Row:
    label = record["label"]
    if len(label) != 1:
        raise ValueError(f"must have one label; got {label.tolist()}")
    return _object_row(record["id"], _cloud(record["points"]), int(label[0]), MODELNET_40)


def _read_modelnet(files: Files, path: Path) -> Sequence[Record]:
    _check_names(files)
    lines = path.read_text(encoding="utf-8").split()
    return [{"id": line, "label": line.rpartition("_")[0]} for line in lines]


def _modelnet_row(record: Record, files: Files) -> Row:
    path = files.find(f"{record['label']}/{record['id']}.txt")
    # Comma separated: x, y, z, nx, ny, nz.
    part = {"type": "point_cloud", "path": str(path), "options": {"format": "xyz", **_NORMALS}}
    return _object_row(record["id"], part, record["label"], MODELNET_40)


def _check_names(files: Files) -> None:
    """Raise ValueError where a list of names lies there in another order: numbers would name other classes."""
    for path in files.matching(_NAMES):
        names = tuple(path.read_text(encoding="utf-8").split())
        if names != MODELNET_40:
            raise ValueError(
                f"{path} has other names, or another order, than ModelNet40's: {', '.join(names[:5])}, ..."
            )


def _scans(name: str, number: int, note: str) -> Split:
    return Split((Layout("official", (name,), _read_scans(name), _scan_row),), num_items=number, note=note)


def _read_scans(name: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        path = files.find(name)
        found = read_hdf5(path, "data", "label")
        points, labels = found["data"], found["label"].reshape(-1)
        if points.ndim != 3 or points.shape[2] < 3 or len(points) != len(labels):
            raise ValueError(f"{path}: data must be [N, P, 3] and label [N]; got {points.shape} and {labels.shape}")
        return [
            {"id": str(index), "points": cloud[:, :3], "label": int(label)}
            for index, (cloud, label) in enumerate(zip(points, labels, strict=True))
        ]

    return read


def _scan_row(record: Record, files: Files) -> Row:
    return _object_row(record["id"], _cloud(record["points"]), record["label"], SCAN_OBJECT_NN)


def _cloud(points: np.ndarray) -> Part:
    """Return the part of points `[P, 3]`, or `[P, 6]` with normals."""
    if not isinstance(points, np.ndarray) or points.ndim != 2 or points.shape[1] not in (3, 6):
        raise ValueError(f"points must be an array [P, 3] or [P, 6]; got {getattr(points, 'shape', type(points))}")
    options = {"options": _NORMALS} if points.shape[1] == 6 else {}
    return {"type": "point_cloud", "data": points, **options}


def _object_row(id: str, part: Part, label: object, names: Sequence[str]) -> Row:
    return question_row(id, [part], label=class_name(label, names))


BENCHMARKS = (
    Benchmark(
        name="modelnet40",
        title="ModelNet40 (Wu et al. 2015, arXiv:1406.5670)",
        homepage="https://modelnet.cs.princeton.edu/",
        licence="for research; the models belong to their makers",
        get="ULIP's pack modelnet40_test_8192pts_fps.dat (points with normals), or modelnet40_normal_resampled",
        splits={
            "test": _modelnet("test", 2_468),
            "train": _modelnet("train", 9_843),
        },
    ),
    Benchmark(
        name="scanobjectnn",
        title="ScanObjectNN (Uy et al. 2019, arXiv:1908.04616)",
        homepage="https://hkust-vgd.github.io/scanobjectnn/",
        licence="for research, by the authors' terms of use",
        get="h5_files.zip: main_split and main_split_nobg",
        splits={
            f"{variant}{suffix}": _scans(f"{folder}/{begin}_{name}", number, note)
            for suffix, begin, index in (("", "test", 0), ("-train", "training", 1))
            for variant, (folder, name, *numbers, note) in _SCANS.items()
            for number in numbers[index : index + 1]
        },
    ),
)
