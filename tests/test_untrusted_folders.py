"""Opening what somebody else made runs nothing; what was trained here goes on without a word."""

import json
import logging
import py_compile
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.__main__ import main as demo
from eval.__main__ import main as evaluate
from omni.__main__ import main as omni
from omni.config import ModalityConfig, from_dict
from omni.joint_space import JointSpace
from omni.model import OmniModel, build_model
from omni.starter import home
from tests.tiny import tiny_config
from tests.tiny_space import tiny_space
from tests.train.runs import write_recipe
from train.recipe import load_recipe
from train.run.initialisation import make_model

OWN_ENCODER = {"class_path": "omni.encoders.PrecomputedFeatures", "init_args": {"dim": 6, "max_features": 4}}
SENSOR = """
from tests.tiny import SensorEncoder

class Mine(SensorEncoder):
    fingerprint_name = "mine"

    def __init__(self, dim=8, seed=0, modality="sensor", kept=None):
        super().__init__(dim, seed, modality=modality)
"""
ADAPTER = "from adapters import MLP\n\nclass Wide(MLP):\n    pass\n"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The file that is there once an attack has run."""
    return tmp_path / "attacked"


@pytest.fixture
def evil(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that attacks when it is imported, in the working folder and on the path of Python."""
    file = tmp_path / "evil_module.py"
    file.write_text(f"from pathlib import Path\nPath({str(marker)!r}).touch()\nclass Evil:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return file


@pytest.fixture
def folder(tmp_path: Path, tiny_llm: Path) -> Path:
    """A model of classes of omni alone."""
    modality = {"encoder": OWN_ENCODER, "adapter": {"class_path": "adapters.MLP"}}
    config = tiny_config(tiny_llm, {})
    config.modalities["image"] = from_dict(ModalityConfig, modality)
    build_model(config).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What makes this another user's machine, which has nothing on record."""
    return lambda: monkeypatch.setenv("OMNI_HOME", str(tmp_path / "another home"))


def change(folder: Path, component: Any, *place: str) -> Path:
    """Write `component` into the `config.yaml` of a folder."""
    file = folder / "config.yaml"
    values = yaml.safe_load(file.read_text())
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = component
    file.write_text(yaml.safe_dump(values))
    return folder


def change_part(folder: Path, part: str, class_path: str, **arguments: Any) -> Path:
    component = {"class_path": class_path, "init_args": arguments}
    return change(folder, component, "model", "modalities", "image", part)


def own_model(folder: Path, llm: Path, name: str = "sensor_of_mine.py", **arguments: Any) -> Path:
    """A model with an encoder in a file of the user's own, saved on this machine."""
    file = folder / name
    file.write_text(SENSOR)
    config = tiny_config(llm, {})
    encoder = {"class_path": f"{file}:Mine", "init_args": arguments}
    config.modalities["image"] = from_dict(
        ModalityConfig, {"encoder": encoder, "adapter": {"class_path": "adapters.MLP"}}
    )
    build_model(config).save(folder / "mine")
    return folder / "mine"


ATTACKS = [
    ("subprocess.Popen", r"config\.yaml names the class subprocess\.Popen, which is not part of omni.*trust_code=True"),
    ("os.system", r"names the class os\.system"),
    ("builtins.eval", r"names the class builtins\.eval"),
    ("evil_module.py:Evil", r"names the class evil_module\.py:Evil"),
    ("./omni/../evil_module.py:Evil", r"names the class \./omni/\.\./evil_module\.py:Evil"),
    ("evil_module.Evil", r"names the class evil_module\.Evil"),
    ("antigravity.Evil", r"names the class antigravity\.Evil"),
    ("omni_other.Evil", r"names the class omni_other\.Evil"),
    ("omni.model.folder.os.system", r"no module 'omni\.model\.folder\.os'"),
    ("omni.config.user_modules.importlib.import_module", r"no module 'omni\.config\.user_modules\.importlib'"),
    ("omni.model.folder.Path", r"pathlib\..*Path is no class of omni"),
    ("omni.starter.downloads.subprocess", r"has no class 'subprocess'"),
    ("omni..evil_module.Evil", r"no path of names"),
    ("omni.../evil_module.Evil", r"no path of names"),
    ("Evil", r"has no module"),
    ("omni.readers.shard_names.ShardCommand", r"is no (omni\.encoders\.Encoder|adapters\.Adapter|.*Augmentation)"),
    ("train.objectives.LanguageModelObjective", r"names the class train\.objectives"),
    ("tests.tiny.SensorEncoder", r"names the class tests\.tiny\.SensorEncoder"),
]


@pytest.mark.usefixtures("evil")
@pytest.mark.parametrize("part", ["encoder", "adapter", "augmentation"])
@pytest.mark.parametrize(("class_path", "message"), ATTACKS)
def test_a_folder_runs_no_class_from_outside(
    part: str, class_path: str, message: str, folder: Path, marker: Path, elsewhere: Callable[[], None]
) -> None:
    elsewhere()
    change_part(folder, part, class_path, args=["touch", str(marker)])
    modules = {*sys.modules}
    with pytest.raises(ValueError, match=rf"image\.{part}: .*{message}"):
        OmniModel.load(folder)
    assert not marker.exists()
    assert {name for name in {*sys.modules} - modules if name.partition(".")[0] not in ("omni", "adapters")} == set()


@pytest.mark.usefixtures("evil")
@pytest.mark.parametrize("class_path", ["evil_module.py:Evil", "evil_module.Evil"])
@pytest.mark.parametrize(
    ("part", "outer", "arguments"),
    [
        ("encoder", "omni.encoders.FrameEncoder", {"image_encoder": "HERE"}),
        ("encoder", "omni.encoders.Concat", {"encoders": ["HERE"]}),
        ("encoder", "omni.encoders.OnnxEncoder", {"graph": "none.onnx", "preprocessor": "HERE"}),
        ("encoder", "omni.encoders.PrecomputedFeatures", {"dim": [{"anything": "HERE"}]}),
        ("adapter", "adapters.Experts", {"expert": "PATH"}),
        ("adapter", "adapters.Experts", {"expert": "adapters.Experts", "expert_args": {"expert": "PATH"}}),
    ],
)
def test_what_is_named_within_arguments_is_no_way_round(
    class_path: str, part: str, outer: str, arguments: dict[str, Any], folder: Path, marker: Path
) -> None:
    component = json.dumps({"class_path": class_path, "init_args": {}})
    text = json.dumps(arguments).replace('"HERE"', component).replace('"PATH"', json.dumps(class_path))
    change_part(folder, part, outer, **json.loads(text))
    with pytest.raises(ValueError, match=rf"image\.{part}\.init_args.*names the class {class_path}"):
        OmniModel.load(folder)
    assert not marker.exists()


def test_nothing_is_built_or_read_before_every_class_is_known(folder: Path) -> None:
    change_part(folder, "encoder", "omni.encoders.OnnxEncoder", graph="no_such.onnx", modality="image")
    change_part(folder, "adapter", "subprocess.Popen", args="id")
    change(folder, "/no/such/llm", "model", "llm", "name")
    with pytest.raises(ValueError, match=r"adapter: .*subprocess\.Popen"):
        OmniModel.load(folder)


@pytest.mark.usefixtures("evil")
def test_every_way_to_open_a_folder_asks(
    folder: Path, tmp_path: Path, tiny_llm: Path, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_part(folder, "encoder", "evil_module.Evil")
    with pytest.raises(ValueError, match=r"model/config\.yaml names the class evil_module\.Evil"):
        OmniModel.combine({"image": folder})
    assert evaluate(["quickstart", "--model", str(folder)]) == 2
    assert evaluate(["quickstart", "--model", f"image={folder}"]) == 2
    assert demo(["--model", str(folder), "--port", "0"]) == 2
    assert capsys.readouterr().err.count("names the class evil_module.Evil") == 3
    recipe = write_recipe(tmp_path / "more", tiny_llm, tmp_path / "data.jsonl", init_from=str(folder))
    (tmp_path / "data.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match=r"names the class evil_module\.Evil"):
        make_model(load_recipe(recipe), None, "cpu")  # type: ignore[arg-type]
    assert omni(["cache", "--build", str(recipe)]) == 1
    assert "names the class evil_module.Evil" in capsys.readouterr().err
    assert not marker.exists()


@pytest.mark.usefixtures("evil")
@pytest.mark.parametrize("part", ["encoder", "head", "augmentation"])
def test_a_joint_space_asks_too(part: str, tmp_path: Path, marker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_space().save(tmp_path / "space")
    name = next(iter(tiny_space().modalities))
    place = ("joint_space", "modalities", name, part)
    change(tmp_path / "space", {"class_path": "evil_module.Evil", "init_args": {}}, *place)
    with pytest.raises(ValueError, match=rf"{name}\.{part}: .*space/config\.yaml names the class evil_module\.Evil"):
        JointSpace.load(tmp_path / "space")
    (tmp_path / "data.jsonl").write_text("")
    assert omni(["center", str(tmp_path / "space"), "--data", str(tmp_path / "data.jsonl")]) == 1
    assert "evil_module.Evil" in capsys.readouterr().err
    assert not marker.exists()


@pytest.mark.usefixtures("evil")
def test_a_space_within_a_model_asks_too(folder: Path, tmp_path: Path, marker: Path) -> None:
    tiny_space().save(tmp_path / "space")
    name = next(iter(tiny_space().modalities))
    change(tmp_path / "space", {"class_path": "evil_module.Evil"}, "joint_space", "modalities", name, "encoder")
    arguments = {"space": str(tmp_path / "space"), "of": name, "centered": False}
    change_part(folder, "encoder", "omni.joint_space.SpaceEncoder", **arguments)
    with pytest.raises(ValueError, match=r"space/config\.yaml names the class evil_module\.Evil"):
        OmniModel.load(folder)
    change_part(folder, "encoder", "omni.joint_space.SpaceEncoder", **arguments, trust_code=True)
    with pytest.raises(ValueError, match=r"takes no \['trust_code'\]"):
        OmniModel.load(folder)
    assert not marker.exists()


@pytest.mark.parametrize("text", ["&a {x: *a}", "!!python/object/apply:os.system [id]", "{1: 2, x: &b [*b]}"])
def test_a_config_that_is_more_than_data_is_damaged(text: str, folder: Path) -> None:
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("max_features: 4", f"max_features: {text}"))
    with pytest.raises(ValueError, match=r"config\.yaml is damaged"):
        OmniModel.load(folder)


# --- what was trained here ---


def test_a_model_of_ones_own_loads_without_a_word_and_so_do_its_copies(tmp_path: Path, tiny_llm: Path) -> None:
    mine = own_model(tmp_path, tiny_llm, seed=3)
    OmniModel.load(mine)
    shutil.copytree(mine, tmp_path / "copy")
    mine.rename(tmp_path / "moved")
    OmniModel.load(tmp_path / "copy")
    OmniModel.combine({"image": tmp_path / "moved"})
    (entry,) = [
        values
        for file in (home() / "trusted_code").rglob("*.json")
        if (values := json.loads(file.read_text()))["class_path"].startswith(str(tmp_path))
    ]
    assert entry["init_args"] == {"seed": 3}
    assert set(entry) == {"class_path", "init_args", "sha256", "saved_in"}


def test_changed_code_asks_again(tmp_path: Path, tiny_llm: Path) -> None:
    mine = own_model(tmp_path, tiny_llm)
    file = tmp_path / "sensor_of_mine.py"
    file.write_text(SENSOR + "# changed\n")
    with pytest.raises(ValueError, match=r"Mine, which has changed since it was trained here \(the file .*mine\.py\)"):
        OmniModel.load(mine)
    OmniModel.load(mine, trust_code=True)
    file.write_text(SENSOR)
    OmniModel.load(mine)


def test_other_arguments_ask_again(tmp_path: Path, tiny_llm: Path) -> None:
    mine = own_model(tmp_path, tiny_llm, seed=1)
    change_part(mine, "encoder", f"{tmp_path / 'sensor_of_mine.py'}:Mine", seed=2)
    with pytest.raises(ValueError, match="was not trained here with these arguments"):
        OmniModel.load(mine)


def test_on_another_machine_it_takes_a_word_until_it_is_saved_there(
    tmp_path: Path, tiny_llm: Path, elsewhere: Callable[[], None]
) -> None:
    mine = own_model(tmp_path, tiny_llm)
    elsewhere()
    with pytest.raises(ValueError, match="trust_code=True"):
        OmniModel.load(mine)
    model = OmniModel.load(mine, trust_code=True)
    with pytest.raises(ValueError, match="trust_code=True"):  # what was said once was said of that time
        OmniModel.load(mine)
    model.save(tmp_path / "saved")
    OmniModel.load(tmp_path / "saved")


def test_parts_of_parts_are_on_record_too(tmp_path: Path, tiny_llm: Path, elsewhere: Callable[[], None]) -> None:
    (tmp_path / "inner_of_mine.py").write_text(SENSOR)
    (tmp_path / "wide_of_mine.py").write_text(ADAPTER)
    sys.path.insert(0, str(tmp_path))
    try:
        inner = {"class_path": f"{tmp_path / 'inner_of_mine.py'}:Mine", "init_args": {}}
        encoder = {"class_path": "omni.encoders.FrameEncoder", "init_args": {"image_encoder": inner, "num_frames": 2}}
        adapter = {"class_path": "adapters.Experts", "init_args": {"expert": "wide_of_mine.Wide", "num_experts": 2}}
        config = tiny_config(tiny_llm, {})
        config.modalities["video"] = from_dict(ModalityConfig, {"encoder": encoder, "adapter": adapter})
        build_model(config).save(tmp_path / "mine")
        OmniModel.load(tmp_path / "mine")
        elsewhere()
        with pytest.raises(ValueError, match=r"encoder\.init_args\.image_encoder: .*inner_of_mine\.py:Mine"):
            OmniModel.load(tmp_path / "mine")
        change(tmp_path / "mine", OWN_ENCODER, "model", "modalities", "video", "encoder")
        with pytest.raises(ValueError, match=r"adapter\.init_args\.expert: .*wide_of_mine\.Wide"):
            OmniModel.load(tmp_path / "mine")
    finally:
        sys.path.remove(str(tmp_path))


@pytest.mark.usefixtures("evil")
def test_what_was_never_built_is_not_put_on_record_by_saving(tmp_path: Path, tiny_llm: Path, marker: Path) -> None:
    """Else a model that is harmless today could open the door for one of tomorrow."""
    hidden = {"class_path": "evil_module.Evil", "init_args": {}}
    mine = own_model(tmp_path, tiny_llm, kept=hidden)
    OmniModel.load(mine).save(tmp_path / "again")
    recorded = [json.loads(file.read_text())["class_path"] for file in (home() / "trusted_code").rglob("*.json")]
    assert f"{tmp_path / 'sensor_of_mine.py'}:Mine" in recorded
    assert "evil_module.Evil" not in recorded
    change(mine, hidden, "model", "modalities", "image", "encoder")
    with pytest.raises(ValueError, match=r"names the class evil_module\.Evil"):
        OmniModel.load(mine)
    assert not marker.exists()


def test_compiled_code_beside_a_file_is_not_run(tmp_path: Path, tiny_llm: Path, marker: Path) -> None:
    """The hash on record is that of the source, so that must be what runs."""
    file = tmp_path / "poisoned.py"
    file.write_text(f"from pathlib import Path\nPath({str(marker)!r}).touch()\n{SENSOR}")
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    OmniModel.load(own_model(tmp_path, tiny_llm, "poisoned.py"))
    assert not marker.exists()


def test_a_home_that_cannot_be_written_to_costs_a_warning(
    tmp_path: Path, tiny_llm: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OMNI_HOME", str(tmp_path / "file" / "home"))
    with caplog.at_level(logging.WARNING):
        mine = own_model(tmp_path, tiny_llm, "read_only_home.py")
    assert "cannot be recorded as your own code" in caplog.text
    OmniModel.load(mine)  # the stages of a run go on in one process


def test_a_recipe_trusts_what_it_names_and_more_if_it_says_so(
    tmp_path: Path, tiny_llm: Path, elsewhere: Callable[[], None]
) -> None:
    mine = own_model(tmp_path, tiny_llm)
    elsewhere()
    (tmp_path / "data.jsonl").write_text("{}\n")
    recipe = write_recipe(tmp_path / "more", tiny_llm, tmp_path / "data.jsonl", init_from=str(mine))
    with pytest.raises(ValueError, match="trust_code: true in a recipe"):
        make_model(load_recipe(recipe), None, "cpu")  # type: ignore[arg-type]
    for words in (["--trust_code"], ["--trust_code", "true"], ["--trust_code", "--train.seed", "3"]):
        make_model(load_recipe(recipe, words), None, "cpu")  # type: ignore[arg-type]
    model = yaml.safe_load((mine / "config.yaml").read_text())["model"]
    same = write_recipe(tmp_path / "same", tiny_llm, tmp_path / "data.jsonl", model=model)
    make_model(load_recipe(same), mine, "cpu")  # type: ignore[arg-type]  # to go on from a checkpoint
