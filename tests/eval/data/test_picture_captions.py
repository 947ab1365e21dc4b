"""COCO, NoCaps and Flickr30k captions, from official files and mirrors to a score against all references."""

from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from eval.task import Generate
from eval.tasks import TASKS
from omni.model import OmniModel
from tests.eval.data.official import brief, check, decoding_model, parquet, picture, run, write_json

CAPTIONS = [["A net.", "A  net on grass.\n"], ["A frog.", "A green frog"]]
NAMES = ["COCO_val2014_000000000042.jpg", "COCO_val2014_000000000043.jpg"]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return decoding_model(tiny_llm, "image")


def pictures(folder: Path) -> Path:
    for seed, name in enumerate(NAMES):
        picture(folder / name, seed)
    return folder


def karpathy(file: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        images = [
            {
                "filename": NAMES[n],
                "cocoid": 42 + n,
                "imgid": n,
                "split": "test",
                "sentences": [{"raw": text, "tokens": ["x"]} for text in CAPTIONS[n]],
            }
            for n in (0, 1)
        ]
        train = {"filename": "other.jpg", "cocoid": 1, "imgid": 9, "split": "restval", "sentences": [{"raw": "No."}]}
        write_json(folder / file, {"images": [train, *images], "dataset": "coco"})
        pictures(folder / "val2014")
        return folder

    return build


def lavis(file: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        rows = [{"image": f"val2014/{NAMES[n]}", "caption": CAPTIONS[n]} for n in (0, 1)]
        write_json(folder / "annotations" / file, rows)
        pictures(folder / "val2014")
        return folder

    return build


def coco_form(file: str) -> Callable[[Path], Path]:
    """COCO's own form; the captions stand in another order than the pictures."""

    def build(folder: Path) -> Path:
        images = [{"id": 42 + n, "file_name": NAMES[n], "domain": "in-domain"} for n in (0, 1)]
        annotations = [{"image_id": 42 + n, "caption": text} for n in (1, 0) for text in CAPTIONS[n]]
        write_json(folder / file, {"info": {}, "images": images, "annotations": annotations})
        pictures(folder / "val")
        return folder

    return build


def table(split: str, id: str, captions: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        cells = [{"bytes": (pictures(folder.parent / "cells") / name).read_bytes()} for name in NAMES]
        columns = {"image": cells, id: NAMES, captions: CAPTIONS}
        parquet(folder / "data" / f"{split}-00000-of-00001.parquet", columns, {"image": datasets.Image()})
        return folder

    return build


def table_of_names(folder: Path) -> Path:
    """Karpathy's mirror: addresses and names, no pictures."""
    columns = {"url": ["http://images.invalid/1"] * 2, "filename": NAMES, "imgid": [1, 2], "sentences": CAPTIONS}
    parquet(folder / "data" / "test-00000-of-00001.parquet", columns)
    pictures(folder / "val2014")
    return folder


@pytest.mark.parametrize(
    ("name", "builds", "prompt"),
    [
        (
            "coco-karpathy",
            [karpathy("dataset_coco.json"), lavis("coco_karpathy_test.json"), table_of_names],
            "Describe the image briefly.",
        ),
        ("coco-2017", [coco_form("captions_val2017.json"), table("val", "question_id", "answer")], None),
        (
            "nocaps",
            [coco_form("nocaps_val_4500_captions.json"), table("validation", "image_id", "annotations_captions")],
            None,
        ),
        ("flickr30k", [karpathy("dataset_flickr30k.json"), lavis("flickr30k_test.json")], None),
    ],
)
def test_all_layouts_have_the_same_pictures_and_all_their_captions(
    name: str, builds: list[Callable[[Path], Path]], prompt: str | None, model: OmniModel, tmp_path: Path
) -> None:
    results = []
    for number, build in enumerate(builds):
        folder = build(tmp_path / str(number))
        results.append(run(brief(TASKS[name]), folder, model))
        assert check(TASKS[name].data.removeprefix("official:"), folder).num_items == 2
    for result in results:
        assert (result.status, result.num_items, result.bad) == ("computed", 2, [])
        assert {item.question for item in result.items} == {
            prompt or "Provide a one-sentence caption for the provided image."
        }
        assert [item.target for item in result.items] == ["A net. / A  net on grass.", "A frog. / A green frog"]
        assert [item.answer for item in result.items] == [item.answer for item in results[0].items]


def test_flickr30k_of_the_mirror_is_a_split_of_its_own(tmp_path: Path) -> None:
    folder = table("test", "img_id", "caption")(tmp_path / "mirror")
    assert check("flickr30k/all", folder).num_items == 2
    assert "not in" in check("flickr30k/test", folder).problem  # nobody knows which of them are Karpathy's 1,000


def test_instructblip_writes_10_to_80_tokens(model: OmniModel, tmp_path: Path) -> None:
    task = TASKS["flickr30k-instructblip"]
    settings = {"max_new_tokens": 80, "min_new_tokens": 10, "num_beams": 5}
    assert task.kind == Generate(settings | {"length_penalty": 1.0, "repetition_penalty": 1.5})
    fewer = task.changed(limit=1, kind=Generate(task.kind.settings | {"max_new_tokens": 3, "min_new_tokens": 2}))
    result = run(fewer, karpathy("dataset_flickr30k.json")(tmp_path), model)
    assert (result.status, result.items[0].question) == ("computed", "a short description")


def test_what_is_wrong_costs_the_picture_or_is_said(model: OmniModel, tmp_path: Path) -> None:
    folder = coco_form("captions_val2017.json")(tmp_path / "one")
    (folder / "val" / NAMES[0]).unlink()
    write_json(
        folder / "captions_val2017.json",
        {
            "images": [{"id": n, "file_name": NAMES[n]} for n in (0, 1)] + [{"id": 2, "file_name": NAMES[1]}],
            "annotations": [{"image_id": n, "caption": "A frog."} for n in (0, 1)],
        },
    )
    result = run(brief(TASKS["coco-2017"]), folder, model)
    assert (result.num_items, [item["id"] for item in result.bad]) == (1, ["0", "2"])
    assert f"{NAMES[0]} is not in" in result.bad[0]["reason"]
    assert result.bad[1]["reason"].startswith("has no 'captions'")
    write_json(tmp_path / "split" / "dataset_flickr30k.json", {"images": [{"split": "train"}]})
    assert "no picture of the split 'test'; it has train" in check("flickr30k/test", tmp_path / "split").problem
