"""ModelNet40, ScanObjectNN, Objaverse-LVIS, Cap3D and PointLLM's captions, from official files to scores."""

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import trimesh

from eval.data.opening import open_official
from eval.data.sets.three_d import MODELNET_40, SCAN_OBJECT_NN
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.brief import asked, bad, plan, run
from tests.eval.data.official import check, decoding_model, write_json


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "point_cloud")


def points(seed: int, columns: int = 3) -> np.ndarray:
    """A cloud of 32 points; of 6 columns, the last are unit normals."""
    numbers = np.random.default_rng(seed)
    places, normals = numbers.normal(size=(2, 32, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return (places if columns == 3 else np.hstack([places, normals])).astype(np.float32)


def modelnet_pack(folder: Path, labels: tuple[int, ...] = (0, 23)) -> Path:
    content = [[points(n, 6) for n in range(len(labels))], [np.array([label]) for label in labels]]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modelnet40_test_8192pts_fps.dat").write_bytes(pickle.dumps(content))
    return folder


def modelnet(folder: Path) -> Path:
    """The same two objects as files of text, and the lists of names and of the test split."""
    for number, name in enumerate(("airplane_0627", "night_stand_0201")):
        path = folder / name.rpartition("_")[0] / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, points(number, 6), delimiter=",", fmt="%.8f")
    (folder / "modelnet40_shape_names.txt").write_text("\n".join(MODELNET_40) + "\n")
    (folder / "modelnet40_test.txt").write_text("airplane_0627\nnight_stand_0201\n")
    return folder


def scans(folder: Path, name: str, labels: tuple[int, ...] = (0, 14), columns: int = 3) -> Path:
    path = folder / "h5_files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["data"] = np.stack([points(n, columns) for n in range(len(labels))])
        file["label"] = np.array(labels, np.int32)
    return folder


def glb(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(seed)
    trimesh.creation.box(extents=numbers.uniform(0.5, 2, 3)).export(path)
    return path


def objaverse(folder: Path) -> Path:
    """Two objects as models and one as PointLLM's points with colours in 0-1."""
    for number, uid in enumerate(("a1", "b2")):
        glb(folder / "glbs" / f"000-00{number}" / f"{uid}.glb", number)
    cloud = np.hstack([points(3), np.random.default_rng(3).uniform(0, 1, (32, 3))]).astype(np.float32)
    (folder / "8192_npy").mkdir(parents=True)
    np.save(folder / "8192_npy" / "c3_8192.npy", cloud)
    return folder


def lvis(folder: Path, packed: bool = False) -> Path:
    content = json.dumps({"alarm_clock": ["a1", "b2"], "Christmas_tree": ["c3", "a1"]}).encode()
    folder.mkdir(parents=True, exist_ok=True)
    if packed:
        (folder / "lvis-annotations.json.gz").write_bytes(gzip.compress(content))
    else:
        (folder / "lvis-annotations.json").write_bytes(content)
    return objaverse(folder)


def cap3d(folder: Path) -> Path:
    """A table without a header, with commas in captions, of which only some are PointLLM's."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ['a1,"A box, red."', "b2,A long box.", "zz,An object that nobody has.", "c3,A cloud."]
    (folder / "Cap3D_automated_Objaverse_full.csv").write_text("\n".join(lines))
    (folder / "val_object_ids_3000.txt").write_text("a1\nb2\n")
    (folder / "cap3d_cap_final_val.csv").write_text('sample_id,data\na1,"A box, red."\nc3,A cloud.\n')
    return objaverse(folder)


@pytest.mark.parametrize(
    ("task", "prompt"),
    [("modelnet40", "What is this object?"), ("modelnet40-instructblip", "describe the 3d model.")],
)
def test_modelnet_ranks_forty_names(task: str, prompt: str, model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS[task], modelnet_pack(tmp_path / "pack"), model)
    if result:
        assert (result.status, result.num_items, result.bad, result.chance) == (
            "computed",
            2,
            [],
            pytest.approx(1 / 40),
        )
        assert [item.target for item in result.items] == ["a 3d model of a airplane", "a 3d model of a night stand"]
        assert result.items[0].question == prompt
    assert asked(plan(task, tmp_path / "pack")) == asked(plan(task, modelnet(tmp_path / "raw")))
    for folder in ("pack", "raw"):
        found = check("modelnet40/test", tmp_path / folder)
        assert (found.num_items, found.num_bad, found.num_expected) == (2, 0, 2_468)
        for path in (tmp_path / folder).glob("modelnet40_test*"):
            path.rename(path.with_name(path.name.replace("test", "train")))
        found = check("modelnet40/train", tmp_path / folder)
        assert (found.num_items, found.num_bad, found.num_expected) == (2, 0, 9_843)


def test_modelnet_takes_normals_for_normals(tmp_path: Path) -> None:
    (first, _) = open_official("official:modelnet40/test", modelnet_pack(tmp_path))
    assert first.media[0].options == {"columns": "x y z nx ny nz"}


def test_modelnet_names_what_is_wrong(model: OmniModel, tmp_path: Path) -> None:
    found = plan("modelnet40", modelnet_pack(tmp_path / "label", (0, 40)))
    assert len(found.items) == 1
    assert bad(found) == [("1", "there is no class 40: they are numbered from 0 to 39")]
    raw = modelnet(tmp_path / "raw")
    (raw / "airplane" / "airplane_0627.txt").unlink()
    found = check("modelnet40/test", raw)
    assert (found.num_items, found.missing) == (1, [f"airplane/airplane_0627.txt is not in {raw}"])
    (raw / "modelnet40_shape_names.txt").write_text("\n".join(sorted(MODELNET_40, reverse=True)))
    assert "another order, than ModelNet40's: xbox, wardrobe" in run(TASKS["modelnet40"], raw, model).reason


class Harmful:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        import os

        return os.system, ("touch harmed",)


def test_a_pack_runs_no_code(model: OmniModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (modelnet_pack(tmp_path) / "modelnet40_test_8192pts_fps.dat").write_bytes(pickle.dumps([[Harmful()], [0]]))
    result = run(TASKS["modelnet40"], tmp_path, model)
    assert "which is no array" in result.reason
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("variant", "name", "number"),
    [
        ("pb-t50-rs", "main_split/test_objectdataset_augmentedrot_scale75.h5", 2_882),
        ("obj-bg", "main_split/test_objectdataset.h5", 581),
        ("obj-only", "main_split_nobg/test_objectdataset.h5", 581),
    ],
)
def test_scan_object_nn_has_three_variants(
    variant: str, name: str, number: int, model: OmniModel, tmp_path: Path
) -> None:
    result = run(TASKS[f"scanobjectnn-{variant}"], scans(tmp_path, name), model)
    assert (result.status, result.num_items, result.chance) == ("computed", 2, pytest.approx(1 / 15))
    assert [item.target for item in result.items] == ["a 3d model of a bag", "a 3d model of a toilet"]
    assert check(f"scanobjectnn/{variant}", tmp_path).num_expected == number
    others = {"pb-t50-rs", "obj-bg", "obj-only", f"{variant}-train"} - {variant}
    assert all(check(f"scanobjectnn/{other}", tmp_path).problem for other in others)
    scans(tmp_path, name.replace("test_", "training_"))
    assert check(f"scanobjectnn/{variant}-train", tmp_path).num_items == 2


def test_scan_object_nn_names_what_is_wrong(tmp_path: Path) -> None:
    name = "main_split/test_objectdataset.h5"
    assert len(SCAN_OBJECT_NN) == 15
    found = check("scanobjectnn/obj-bg", scans(tmp_path, name, (1, 15), columns=6))
    assert (found.num_items, found.bad[0].reason) == (1, "there is no class 15: they are numbered from 0 to 14")
    with h5py.File(tmp_path / "h5_files" / name, "w") as file:
        file["points"] = points(0)
    assert "has no array 'data'; found points" in check("scanobjectnn/obj-bg", tmp_path).problem


@pytest.mark.parametrize("packed", [False, True])
def test_objaverse_lvis_ranks_all_categories(packed: bool, model: OmniModel, tmp_path: Path) -> None:
    result = run(TASKS["objaverse-lvis"], lvis(tmp_path, packed), model)
    assert (result.status, result.num_items, result.bad, result.chance) == ("computed", 4, [], 1 / 2)
    assert [item.id for item in result.items] == [
        "alarm_clock/a1",
        "alarm_clock/b2",
        "Christmas_tree/c3",
        "Christmas_tree/a1",
    ]
    assert result.items[2].target == "a 3d model of a Christmas tree"
    assert "top_5" in result.scores["own"]


def test_objaverse_lvis_names_what_is_wrong(model: OmniModel, tmp_path: Path) -> None:
    folder = lvis(tmp_path)
    next(folder.rglob("b2.glb")).unlink()
    found = check("objaverse-lvis/all", folder)
    assert (found.num_items, found.missing) == (3, [f"b2.glb or b2_8192.npy is not in {folder}"])
    write_json(folder / "lvis-annotations.json", ["a1"])
    assert "must hold an object of categories" in run(TASKS["objaverse-lvis"], folder, model).reason
    (folder / "lvis-annotations.json").unlink()
    (folder / "lvis-annotations.json.gz").write_bytes(b"no gzip")
    assert "is no JSON in gzip" in run(TASKS["objaverse-lvis"], folder, model).reason


@pytest.mark.parametrize(
    ("task", "prompt", "captions"),
    [
        ("cap3d", "Describe the 3D model in one sentence.", ["A box, red.", "A long box."]),
        ("cap3d-instructblip", "describe the 3d model", ["A box, red.", "A cloud."]),
    ],
)
def test_cap3d_has_a_caption_an_object(
    task: str, prompt: str, captions: list[str], model: OmniModel, tmp_path: Path
) -> None:
    result = run(TASKS[task], cap3d(tmp_path), model)
    assert (result.status, result.bad, result.scorer) == ("computed", [], "caption-coco-v1")
    assert [(item.question, item.target) for item in result.items] == [(prompt, caption) for caption in captions]
    if task == "cap3d-instructblip":
        assert result.settings["generation"]["length_penalty"] == 0.0


def test_cap3d_names_objects_that_are_not_there(tmp_path: Path) -> None:
    found = check("cap3d/all", cap3d(tmp_path))
    assert (found.num_items, found.num_missing, found.bad[0].sample_id) == (3, 1, "zz")
    (tmp_path / "Cap3D_automated_Objaverse_full.csv").write_text("a1,A box, red.\n")
    assert "line 1 has 3 cells, where 2 columns are" in check("cap3d/all", tmp_path).problem


def test_pointllm_takes_the_answer_of_a_conversation(model: OmniModel, tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<point>\nWhat is this?"}, {"from": "gpt", "value": "A cloud of points."}]
    rows = [{"object_id": uid, "conversations": turns} for uid in ("c3", "a1")]
    write_json(
        tmp_path / "PointLLM_brief_description_val_200_GT.json", [*rows, {"object_id": "b2", "conversations": []}]
    )
    result = run(TASKS["pointllm-captions"], objaverse(tmp_path), model)
    assert [(item.question, item.target) for item in result.items] == [
        ("Caption this 3D model in detail.", "A cloud of points.")
    ] * 2
    assert [one["id"] for one in result.bad] == ["b2"]
    (first, *_) = open_official("official:pointllm/val-200", tmp_path)
    assert first.media[0].options == {"columns": "x y z r g b"}
