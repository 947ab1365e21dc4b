"""Recipes: strict keys and types, overrides on the command line, errors that name the key and the way out."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from omni.config.components import ComponentConfig, build, import_class
from train.recipe import RECIPES, describe_keys, load_recipe, load_recipes, write_recipe

SHIPPED = sorted(RECIPES.glob("*.yaml"))
COMPONENT = {"class_path": "adapters.Linear", "init_args": {}}
VALUES: dict[str, Any] = {
    "model": {"llm": {"name": "some/llm"}, "modalities": {"image": {"encoder": COMPONENT, "adapter": COMPONENT}}},
    "data": {"train": [{"path": "a.jsonl"}]},
    "train": {"output_dir": "runs/a", "steps": 10},
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(VALUES))
    return path


def test_overrides_reach_every_depth_and_nothing_else(recipe: Path) -> None:
    words = ["--train.lr", "1e-4", "--model.modalities.image.adapter.init_args.bias=false", "--data.train.0.limit", "5"]
    changed, before = load_recipe(recipe, words), load_recipe(recipe)
    assert changed.train.lr == 1e-4
    assert changed.data.train[0].limit == 5
    assert changed.model is not None
    assert before.model is not None
    assert changed.model.modalities["image"].adapter.init_args == {"bias": False}
    assert changed.model.modalities["image"].encoder == before.model.modalities["image"].encoder
    assert changed.model.llm == before.model.llm


def test_exponents_without_a_dot_are_numbers(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("steps: 10", "steps: 10\n  lr: 1e-4\n  weight_decay: 1E-2"))
    loaded = load_recipe(recipe).train
    assert (loaded.lr, loaded.weight_decay) == (1e-4, 1e-2)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--train.learning_rat", "1"], ["train.learning_rat", "unknown key"]),
        (["--train.batchsize", "1"], ["train.batchsize", "'batch_size'"]),
        (["--train.learning_rate", "1"], ["train.learning_rate: unknown key; did you mean 'lr'?"]),
        (["--train.num_train_epochs", "1"], ["did you mean 'epochs'?"]),
        (["--train.zzz", "1"], ["train.zzz: unknown key; the closest of its ", " keys is '"]),
        (["--trian.lr", "1"], ["trian", "'train'"]),
        (["--model.modalities.image.adaptor", "{}"], ["modalities.image.adaptor", "'adapter'"]),
        (["--data.train.0.pth", "a"], ["data.train[0].pth", "'path'"]),
        (["--train.lr", "fast"], ["train.lr", "'fast'"]),
        (["--train.batch_size", "2.5"], ["train.batch_size", "2.5"]),
        (["--train.packing", "3"], ["train.packing", "3"]),
        (["--train.schedule", "cosinus"], ["train.schedule", "cosinus", "linear"]),
        (["--train.batch_size", "0"], ["train.batch_size", "0", "at least 1"]),
        (["--train.lr", ".nan"], ["train.lr", "nan"]),
        (["--data.max_bad_share", "5"], ["data.max_bad_share", "5", "from 0 to 1"]),
        (["--data.train.0.instructions", "describe_picture"], ["describe_picture", "describe_image"]),
        (["--data.train.0.weight", "-1"], ["weight", "-1"]),
        (["--data.train.7.path", "a"], ["7", "from 0 to 0"]),
        (["--train.epochs", "2"], ["steps", "epochs"]),
        (["--train.epochs", ".inf", "--train.steps", "null"], ["train.epochs", "inf", "above 0"]),
        (["--train.lr", "1" + "0" * 18 + "0" * 400], ["--train.lr", "is no int"]),
        (["--model.modalities", "{1: {}}"], ["model.modalities", "the key 1 is no text"]),
        (["--model.modalities.image.adapter", "{1: 2, b: 3}"], ["adapter", "unknown key"]),
        (["--train.precision", "fp16"], ["fp16", "NaN", "bf16"]),
        (["--model.llm.dtype", "float16"], ["model.llm.dtype", "NaN", "bfloat16"]),
        (["--init_from", "runs/b"], ["model", "init_from", "both"]),
        (["--train.lr"], ["--train.lr needs a value"]),
        (["train.lr", "3"], ["'train.lr'", "--KEY VALUE"]),
        (["--train.lr", "[1"], ["--train.lr", "YAML"]),
    ],
)
def test_mistakes_are_named_with_the_way_out(recipe: Path, words: list[str], parts: list[str]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the parts are checked below
        load_recipe(recipe, words)
    for part in parts:
        assert part in str(error.value)


def test_key_that_occurs_twice_is_refused(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + "train: {output_dir: b, steps: 3}\n")
    with pytest.raises(ValueError, match="'train' occurs twice"):
        load_recipe(recipe)


def test_missing_recipe_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="quickstart-image"):
        load_recipe(tmp_path / "none.yaml")


def test_written_recipe_is_read_as_the_same(recipe: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe, ["--train.lr", "3e-4", "--data.train.0.instructions", "[a, b]"])
    write_recipe(loaded, tmp_path / "again.yaml")
    assert load_recipe(tmp_path / "again.yaml") == loaded


def test_help_describes_every_key() -> None:
    text = describe_keys()
    for key in ("--train.lr: float = 0.001", "--data.train.0.weight", "--objective.class_path", "--train.resume"):
        assert key in text
    assert "highest learning rate" in text


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipe_loads_and_begins_with_its_command(path: Path) -> None:
    stages = load_recipes(path)
    first = path.read_text().splitlines()[0]
    assert first == f"# accelerate launch -m train train/recipes/{path.name}"
    components = [stage.objective for stage in stages]
    if stages[0].joint_space is not None:
        components += [part for one in stages[0].joint_space.modalities.values() for part in (one.encoder, one.head)]
    else:
        assert stages[0].model is not None
        components += [part for one in stages[0].model.modalities.values() for part in (one.encoder, one.adapter)]
    for component in components:
        check_component(component)


def check_component(component: ComponentConfig) -> None:
    """Class and arguments exist, also those of components in components."""
    parameters = inspect.signature(import_class(component.class_path)).parameters
    assert set(component.init_args) <= set(parameters), component
    for value in component.init_args.values():
        if isinstance(value, dict) and "class_path" in value:
            check_component(ComponentConfig.parse(value))


def test_stages_begin_with_the_model_of_the_one_before(recipe: Path) -> None:
    stages = [{"name": "align", "train": {"lr": 0.5, "steps": 3}}, {"name": "answer"}]
    recipe.write_text(yaml.safe_dump(VALUES | {"stages": stages}))
    first, second = load_recipes(recipe)
    assert (first.train.output_dir, first.train.lr, first.train.steps) == ("runs/a/align", 0.5, 3)
    assert (second.train.output_dir, second.train.lr, second.train.steps) == ("runs/a", 1e-3, 10)
    assert first.model is not None
    assert (second.model, second.init_from) == (None, "runs/a/align/best")


@pytest.mark.parametrize(
    ("stages", "part"),
    [
        ([{"train": {}}], "name"),
        ([{"name": "a"}, {"name": "a"}], "a word of its own"),
        ([{"name": "a", "model": {}}], r"recipe\.stages\[0\]\.model: unknown key; there are "),
        ([{"name": "a", "train": {"learning_rate": 1}}], r"recipe\.stages\[0\]\.train\.learning_rate: .*'lr'\?$"),
        ([{"name": "a"}, {"name": "b", "train": {"lr": "x"}}], r"^recipe\.stages\[1\]\.train\.lr: expected float"),
        ([{"name": "a"}, {"name": "b", "train": {"lr": -1.0}}], r"^recipe\.stages\[1\]\.train\.lr is -1"),
        ([{"name": "a"}, {"name": "b", "objective": "x"}], r"^recipe\.stages\[1\]\.objective: 'x' is none of"),
        ([{"name": "a"}, {"name": "b", "data": {"train": [{"pth": "x"}]}}], r"^recipe\.stages\[1\]\.data\.train\[0\]"),
        ([{"name": "a", "train": {"output_dir": "b"}}], "output_dir"),
        ({"name": "a"}, "list of stages"),
        ([{"name": "a", "train": 3}], "stages.0..train"),
        ([{"name": "a", "data": ["b"]}], "stages.0..data"),
        ([{"name": "a", 3: {}}], "stages\\[0\\].3: unknown key"),
        ([{"name": ["a"]}], "a word of its own"),
    ],
)
def test_mistakes_in_stages_are_named(recipe: Path, stages: Any, part: str) -> None:
    recipe.write_text(yaml.safe_dump(VALUES | {"stages": stages}))
    with pytest.raises(ValueError, match=part):
        load_recipes(recipe)


def test_there_is_a_recipe_for_each_starter_modality() -> None:
    names = {path.stem for path in SHIPPED}
    assert {f"starter-{name}" for name in ("image", "sound", "speech", "video", "3d")} <= names
    assert {"quickstart-image", "quickstart-sound", "siglip-llama-qformer-lora"} <= names


def test_an_override_that_every_stage_overrides_is_refused_with_the_keys_that_work() -> None:
    recipe = RECIPES / "quickstart-sound.yaml"
    with pytest.raises(ValueError, match=r"--train.lr would have no effect.*--stages.0.train.lr, --stages.1.train.lr"):
        load_recipes(recipe, ["--train.lr", "1e-4"])
    assert [stage.train.lr for stage in load_recipes(recipe, ["--stages.1.train.lr", "1e-4"])] == [1e-3, 1e-4]


def test_stages_run_one_after_another_each_beginning_with_the_model_of_the_one_before() -> None:
    first, last = load_recipes(RECIPES / "quickstart-sound.yaml", ["--train.output_dir", "out"])
    assert (first.train.output_dir, last.train.output_dir) == ("out/align", "out")
    assert first.model is not None
    assert (last.model, last.init_from) == (None, "out/align/best")


def test_an_argument_of_a_wrong_type_is_named() -> None:
    config = {"class_path": "adapters.PooledMLP", "init_args": {"num_tokens": "four", "hidden_dim": 8}}
    with pytest.raises(ValueError, match=r"model\.x\.init_args: adapters\.PooledMLP .* num_tokens = 'four'.*TypeError"):
        build(config, "model.x", feature_dim=4, llm_dim=4, embedding_rms=None)


def test_a_recipe_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ValueError, match=r"a\.yaml is no recipe"):
        load_recipe(tmp_path / "a.yaml")
    with pytest.raises(FileNotFoundError, match="there is no recipe"):
        load_recipe("x" * 5000)
