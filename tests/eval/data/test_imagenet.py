"""ImageNet and its variants: 1,000 names from a file of the user's, in folders by id or by number, and as a table."""

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
from scipy.io import savemat

from eval.data.files import Files
from eval.data.opening import open_official
from eval.data.sets.imagenet import class_names
from eval.run.by_similarity import for_space
from eval.run.kinds import procedure_of
from eval.run.planning import plan_task
from eval.run.requests import Requests
from eval.tasks import TASKS
from omni.model import OmniModel
from omni.samples.messages import Sample
from tests.eval.data.official import check, decoding_model, parquet, picture, run

WNIDS = [f"n{number:08d}" for number in range(1_000)]
NAMES = ["maillot", "maillot, tank suit", "crane", "crane", *(f"thing {number}, a thing" for number in range(4, 1_000))]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "image")


def with_names(folder: Path, name: str = "LOC_synset_mapping.txt", names: list[str] = NAMES) -> Path:
    """The official file of names; its lines need not be sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{wnid} {words}\n" for wnid, words in zip(WNIDS, names, strict=True)]
    (folder / name).write_text("".join(lines[::-1]), encoding="utf-8")
    return folder


def in_folders(folder: Path, folders: list[str], ending: str = ".JPEG") -> Path:
    first = picture(folder / folders[0] / f"0_{folders[0]}{ending}", size=(2, 2))
    for name in folders[1:]:
        (folder / name).mkdir()
        (folder / name / f"0_{name}{ending}").hardlink_to(first)
    return folder


def sample(source: str, folder: Path, index: int) -> Sample:
    found = open_official(f"official:{source}", folder)[index]
    assert isinstance(found, Sample)
    return found


def test_names_are_those_of_the_users_file(tmp_path: Path) -> None:
    found = class_names(Files(with_names(tmp_path / "official")))
    assert [*found.values()][:5] == [
        "maillot",
        "maillot, tank suit",
        *(f"crane ({w})" for w in WNIDS[2:4]),
        "thing 4",
    ]
    clip = [*(f"name, {n}" for n in range(1_000))]
    both = with_names(with_names(tmp_path / "clip"), "classnames.txt", clip)
    assert [*class_names(Files(both)).items()] == [*zip(WNIDS, clip, strict=True)]  # as they stand, and first
    index = {str(number): [wnid, f"a_{wnid}"] for number, wnid in enumerate(WNIDS)}
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "imagenet_class_index.json").write_text(json.dumps(index), encoding="utf-8")
    assert [*class_names(Files(tmp_path / "keras")).values()][:2] == ["a n00000000", "a n00000001"]
    (tmp_path / "clip" / "classnames.txt").write_text("n00000000 tench\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has 1 classes, and ImageNet has 1,000"):
        class_names(Files(both))


def test_flat_pictures_take_their_class_from_kaggles_file(tmp_path: Path) -> None:
    folder = with_names(tmp_path)
    rows = ["ILSVRC2012_val_00000001,n00000005 1 2 3 4 n00000005 5 6 7 8", "ILSVRC2012_val_00000002,n00000004 1 2 3 4"]
    rows += ["ILSVRC2012_val_00000003,n77777777 1 2 3 4", "ILSVRC2012_val_00000004,n00000004 1 2 3 4"]
    (folder / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]), encoding="utf-8")
    for number in (1, 2, 3):
        picture(folder / "val" / f"ILSVRC2012_val_0000000{number}.JPEG", number)
    found = check("imagenet", folder)
    assert (found.layout, found.num_items, found.num_bad, found.num_missing) == ("flat", 2, 2, 1)
    assert found.bad[0].reason == "the class 'n77777777' is none of the 1,000 that have a name"
    # all 1,000 classes are asked about, whichever the items have
    plan = plan_task(TASKS["imagenet"].changed(folder=str(folder)), limit=None, seed=0)
    assert (len(plan.items), len(plan.bad), plan.chance) == (2, 2, 1 / 1_000)
    assert [plan.items[0].options[plan.items[0].right], plan.items[0].prompt] == [
        "a photo of a thing 5",
        "describe the image",
    ]
    assert plan.items[0].options is plan.items[1].options  # held once, however many items there are


def test_numbers_of_the_development_kit_are_its_own(tmp_path: Path) -> None:
    folder = with_names(tmp_path)
    synsets = np.zeros((3, 1), dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    for place, (number, wnid) in enumerate(((1, WNIDS[7]), (2, WNIDS[5]), (1001, "n99999999"))):
        synsets[place, 0] = (float(number), wnid)
    savemat(folder / "meta.mat", {"synsets": synsets})
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n1\n1001\n", encoding="utf-8")
    for number in (1, 2, 3):
        picture(folder / f"ILSVRC2012_val_0000000{number}.JPEG", number)
    found = check("imagenet", folder)
    assert (found.layout, found.num_items, found.num_bad) == ("development kit", 2, 1)
    assert [sample("imagenet", folder, number).meta["label"] for number in (0, 1)] == ["thing 5", "thing 7"]
    (folder / "meta.mat").write_bytes(b"no file of MATLAB")
    assert "cannot be read as the synsets" in check("imagenet", folder).problem


def test_a_whole_imagenet_is_read_for_its_validation(tmp_path: Path) -> None:
    in_folders(with_names(tmp_path / "ILSVRC") / "train", WNIDS[:3])
    in_folders(tmp_path / "ILSVRC" / "val", WNIDS)
    found = check("imagenet", tmp_path)
    assert (found.layout, found.num_items, found.num_bad) == ("folders", 1_000, 0)
    assert sample("imagenet", tmp_path, 999).meta["label"] == "thing 999"


def test_folders_of_imagenet_v2_are_numbers_and_not_texts(tmp_path: Path) -> None:
    in_folders(with_names(tmp_path), [str(number) for number in range(1_000)], ".jpeg")
    found = {name: sample("imagenet-v2", tmp_path, number).meta["label"] for number, name in ((2, "2"), (10, "10"))}
    assert found == {"2": "crane (n00000002)", "10": "thing 10"}  # as texts, 10 would stand at place 2
    assert sample("imagenet-v2", tmp_path, 10).media[0].path == str(tmp_path / "10" / "0_10.jpeg")


def test_variants_with_200_classes_choose_among_these(model: OmniModel, tmp_path: Path) -> None:
    folder = in_folders(with_names(tmp_path), WNIDS[100:300], ".jpg")
    options = sample("imagenet-a", folder, 0).meta["options"]
    assert (len(options), options[0]) == (200, "thing 100")
    assert check("imagenet-r", folder).num_items == 200
    result = run(TASKS["imagenet-a"].changed(limit=1), folder, model)
    assert (result.status, result.num_items, result.chance) == ("computed", 1, 1 / 200)
    assert (result.scorer, result.items[0].target[:15]) == ("classification-sum-v1", "a photo of a th")
    (folder / WNIDS[150] / f"0_{WNIDS[150]}.jpg").unlink()
    problem = check("imagenet-a", folder).problem
    assert "has pictures in 199 folders named by WordNet id, where 200 classes are asked about" in problem
    assert "in 199 folders" in check("imagenet-sketch", folder).problem
    (folder / "LOC_synset_mapping.txt").unlink()
    assert (
        "no classnames.txt or LOC_synset_mapping.txt or imagenet_class_index.json"
        in check("imagenet-a", folder).problem
    )


def test_a_space_takes_the_80_templates_and_an_llm_one_prompt(tmp_path: Path) -> None:
    folder = in_folders(with_names(tmp_path), WNIDS[100:300], ".jpg")
    task = TASKS["imagenet-a"].changed(folder=str(folder))
    asked, compared = (plan_task(one, limit=1, seed=0) for one in (task, for_space(task, ["image", "text"])))
    assert (asked.items[0].options[0], asked.items[0].prompt) == ("a photo of a thing 100", "describe the image")
    assert (compared.items[0].options[0], len(compared.task.kind.templates)) == ("thing 100", 80)
    assert asked.settings["templates"] == "80, which a language model is not shown"
    assert compared.settings["templates"].startswith("80, the mean of their embeddings: 'a bad photo of a {}.'")
    requests = Requests()
    procedure_of(compared.task.kind).add_requests(compared, requests)
    media = [requests.prefixes[key].media[0] for key in requests.embeddings]
    texts = {one.data for one in media if one.modality == "text"}
    assert (len(texts), b"a bad photo of a thing 100." in texts) == (80 * 200, True)


def test_the_mirror_brings_its_names(tmp_path: Path) -> None:
    names = [f"thing {number}, a thing" for number in range(1_000)]
    names[3:5] = ["crane", "crane, a bird"]
    columns = {"image": [{"bytes": picture(tmp_path / "0.png").read_bytes()}] * 2, "label": [4, 999]}
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    parquet(tmp_path / "mirror" / "data" / "validation-00000-of-00001.parquet", columns, features)
    found = [sample("imagenet", tmp_path / "mirror", number).meta for number in (0, 1)]
    assert [meta["label"] for meta in found] == ["crane, a bird", "thing 999"]
    assert found[0]["options"][3:5] == ["crane", "crane, a bird"]
    few = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    parquet(tmp_path / "few" / "validation-0.parquet", {**columns, "label": [0, 1]}, few)
    assert "has the names of 2 classes, not of 1,000" in check("imagenet", tmp_path / "few").problem
