"""`python -m omni cache --build` encodes what training with the same words asks for: afterwards no encoder runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from torch import Tensor

from omni.__main__ import main
from omni.encoders.base import Features
from omni.feature_cache.retention import list_shards
from omni.media.item import Media
from tests.tiny import MLP, SensorEncoder
from tests.tiny_space import WordEncoder
from tests.train.runs import row, write_manifest, write_recipe
from train.recipe import load_recipes
from train.run.loop import Trainer

ANSWERS = ["a frog", "a dog", "a drum", "a bell", "a picture", "a sound"]


class Counting:
    num_encoded = 0


class CountingSensor(SensorEncoder):
    """A sensor of a user's own that counts the clips that it encodes."""

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        Counting.num_encoded += len(inputs["values"])
        return super().encode(inputs)


class CountingWords(WordEncoder):
    """Texts, counted."""

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        Counting.num_encoded += len(inputs["words"])
        return super().encode(inputs)


class Noise:
    """An augmentation of a user's own."""

    def __call__(self, media: Media, generator: np.random.Generator) -> Media:
        assert isinstance(media.path, str)
        values = np.load(media.path)
        return Media(media.modality, data=(values + generator.normal(size=values.shape)).astype(np.float32))


NOISE = {"class_path": f"{__name__}.Noise"}


def manifest(folder: Path, modality: str = "image", first: int = 0) -> Path:
    rows = [row(str(i), [f"{modality}:{first + i}.npy"], ANSWERS[i]) for i in range(len(ANSWERS))]
    return write_manifest(folder, rows)


def recipe(tmp_path: Path, llm: Path, changes: dict[str, Any], **train: Any) -> Path:
    """A recipe whose pictures are augmented, with `changes` laid over its top level."""
    train = {"epochs": 3, "steps": None, "feature_cache": str(tmp_path / "cache"), "feature_cache_views": 2} | train
    path = write_recipe(tmp_path / "a", llm, manifest(tmp_path / "data"), **train)
    text = path.read_text().replace("tests.tiny.SensorEncoder", f"{__name__}.CountingSensor")
    values = yaml.safe_load(text)
    values["model"]["modalities"]["image"]["augmentation"] = NOISE
    path.write_text(yaml.safe_dump(values | changes))
    return path


def num_entries(tmp_path: Path) -> int:
    return sum(shard.num_entries() for shard in list_shards(tmp_path / "cache"))


def build(path: Path, *words: str) -> int:
    """Build the cache; returns how many clips were encoded for it."""
    Counting.num_encoded = 0
    assert main(["cache", "--build", str(path), "--num-workers", "0", *words]) == 0
    return Counting.num_encoded


def encoded_in_training(path: Path, words: Sequence[str] = ()) -> int:
    Counting.num_encoded = 0
    for stage in load_recipes(path, words):
        Trainer(stage).run()
    return Counting.num_encoded


@pytest.mark.parametrize(
    "words",
    [
        ["--train.seed", "3"],
        ["--train.seed=3", "--train.feature_cache_views", "3", "--data.held_out_share", "0.4"],
        ["--data.train.0.limit", "4", "--train.feature_cache_dtype", "float16"],
    ],
)
def test_training_with_the_same_overrides_runs_no_encoder(tmp_path: Path, tiny_llm: Path, words: list[str]) -> None:
    path = recipe(tmp_path, tiny_llm, {})
    assert build(path, *words) > 0
    entries = num_entries(tmp_path)
    assert encoded_in_training(path, words) == 0
    assert num_entries(tmp_path) == entries


def test_without_the_override_training_asks_for_other_views(tmp_path: Path, tiny_llm: Path) -> None:
    path = recipe(tmp_path, tiny_llm, {})
    build(path, "--train.seed", "3")
    assert encoded_in_training(path) > 0


def test_each_stage_finds_what_it_asks_for_with_its_own_seed_views_data_and_modalities(
    tmp_path: Path, tiny_llm: Path
) -> None:
    second = manifest(tmp_path / "second", "extra", first=8)
    added = {"encoder": {"class_path": f"{__name__}.CountingSensor"}, "adapter": MLP, "augmentation": NOISE}
    stages = [
        {"name": "align", "objective": "align", "train": {"seed": 1}},
        {
            "name": "answer",
            "train": {"seed": 2, "feature_cache_views": 1, "feature_cache": str(tmp_path / "other")},
            "data": {"train": [{"path": str(tmp_path / "data/data.jsonl")}, {"path": str(second)}]},
            "add_modalities": {"extra": added},
        },
    ]
    path = recipe(tmp_path, tiny_llm, {"stages": stages})
    words = ["--stages.1.train.seed", "5", "--data.held_out_share", "0.3"]
    assert build(path, *words) > 0
    assert not (tmp_path / "a/run/align").exists()
    assert encoded_in_training(path, words) == 0


def test_stages_that_ask_the_same_are_built_once_and_a_stage_without_cache_not_at_all(
    tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = manifest(tmp_path / "second", first=8)
    stages = [
        {"name": "align", "objective": "align"},
        {"name": "answer", "train": {"lr": 0.1}},
        {"name": "last", "train": {"feature_cache": False}, "data": {"train": [{"path": str(other)}]}},
    ]
    path = recipe(tmp_path, tiny_llm, {"stages": stages})
    build(path)
    assert "12 media items are cached" in capsys.readouterr().out
    assert num_entries(tmp_path) == 12  # six pictures, two views


def test_a_stage_that_follows_the_training_of_an_encoder_is_not_built_for_it(
    tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = {"unfreeze": ["modalities.image.encoder"], "seed": 1}
    path = recipe(tmp_path, tiny_llm, {"stages": [{"name": "tune", "train": tuned}, {"name": "answer"}]})
    assert build(path) == 0
    assert capsys.readouterr().out.count("encoder of image is trained") == 2


def test_left_out_answers_and_media_made_of_answers_are_read_as_training_reads_them(
    tmp_path: Path, tiny_llm: Path
) -> None:
    known = write_manifest(tmp_path / "known", [row("0", [], ANSWERS[0], "what is this")])
    words_encoder = {"encoder": {"class_path": f"{__name__}.CountingWords"}, "adapter": MLP}
    path = recipe(tmp_path, tiny_llm, {})
    values = yaml.safe_load(path.read_text())
    values["model"]["modalities"] = {"text_vectors": words_encoder}
    path.write_text(yaml.safe_dump(values))
    words = ["--data.train.0.media_from_answer", "text_vectors", "--data.train.0.without_answers_of", f"[{known}]"]
    assert build(path, *words) == len(ANSWERS) - 1
    assert encoded_in_training(path, words) == 0


def test_the_texts_of_a_joint_space_are_items_too(tmp_path: Path) -> None:
    modalities = {
        "image": {"encoder": {"class_path": f"{__name__}.CountingSensor"}, "augmentation": NOISE},
        "text": {"encoder": {"class_path": f"{__name__}.CountingWords"}},
    }
    values = {
        "joint_space": {"modalities": modalities, "dim": 8},
        "objective": "bind",
        "data": {"train": [{"path": str(manifest(tmp_path / "data"))}], "held_out_share": 0.6},
        "train": {
            "output_dir": str(tmp_path / "run"),
            "epochs": 2,
            "batch_size": 2,
            "num_workers": 0,
            "feature_cache": str(tmp_path / "cache"),
        },
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    assert build(path, "--train.seed", "7") > 0
    assert encoded_in_training(path, ["--train.seed", "7"]) == 0
    again = tmp_path / "again.yaml"
    del values["joint_space"]
    again.write_text(yaml.safe_dump(values | {"init_from": str(tmp_path / "run/best")}))
    words = ["--train.seed", "8", "--train.output_dir", str(tmp_path / "again")]
    assert build(again, *words) > 0
    assert encoded_in_training(again, words) == 0


def test_dir_takes_the_place_of_the_folder_of_the_recipe(tmp_path: Path, tiny_llm: Path) -> None:
    path = recipe(tmp_path, tiny_llm, {})
    build(path, "--dir", str(tmp_path / "elsewhere"))
    assert encoded_in_training(path, ["--train.feature_cache", str(tmp_path / "elsewhere")]) == 0
    assert num_entries(tmp_path) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--build", "{recipe}", "--train.sed", "3"], "did you mean 'seed'"),
        (["--build", "{recipe}", "--batch-sise", "3"], "batch-sise"),
        (["--build", "{recipe}", "train.seed", "3"], "unexpected 'train.seed'"),
        (["--build", "{recipe}", "--train.seed"], "--train.seed needs a value"),
        (["--build", "{recipe}", "--data.train.0.limit", "none"], "data.train[0].limit"),
        (["--stats", "--train.seed", "3"], "unrecognized arguments: --train.seed 3"),
    ],
)
def test_other_words_stay_mistakes(
    tmp_path: Path, tiny_llm: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    path = recipe(tmp_path, tiny_llm, {})
    assert main(["cache", *(word.format(recipe=path) for word in words)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_other_commands_take_no_keys_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["fetch", "--train.seed", "3"])
    assert error.value.code == 2
    assert "unrecognized arguments: --train.seed" in capsys.readouterr().err
