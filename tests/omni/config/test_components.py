"""Components are named by class path, and whatever is wrong with one is said with its key."""

import pickle
from pathlib import Path

import pytest

from adapters import MLP
from omni.config import ModalityConfig, from_dict
from omni.config.components import ComponentConfig, build, import_class
from omni.model.modality import build_modality
from tests.tiny import SensorEncoder, tiny_model

USER_FILE = """
from adapters import MLP
from omni.encoders.base import Encoder

class Scaled(MLP):
    def __init__(self, feature_dim, llm_dim, scale=1.0):
        super().__init__(feature_dim, llm_dim)
        self.scale = scale
"""


def test_what_the_framework_knows_is_passed_where_the_class_takes_it() -> None:
    built = build({"class_path": "adapters.MLP"}, "adapter", feature_dim=8, llm_dim=16, embedding_rms=0.5, unknown=1)
    assert isinstance(built, MLP)
    assert (built.feature_dim, built.llm_dim) == (8, 16)


def test_the_config_wins_over_what_the_framework_knows() -> None:
    config = {"class_path": "tests.tiny.SensorEncoder", "init_args": {"modality": "mine"}}
    assert build(config, modality="image").modality == "mine"


def test_a_class_of_a_users_own_file_is_built_and_can_be_pickled(tmp_path: Path) -> None:
    file = tmp_path / "my adapters.py"
    file.write_text(USER_FILE)
    built = build({"class_path": f"{file}:Scaled", "init_args": {"scale": 2.0}}, feature_dim=8, llm_dim=16)
    assert built.scale == 2.0
    assert type(pickle.loads(pickle.dumps(built))) is type(built)
    assert import_class(f"{file}:Scaled") is type(built)


def test_a_users_file_that_fails_fails_again_until_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    for mistake, reason in (("raise RuntimeError('boom')", "RuntimeError: boom"), ("def (:", "SyntaxError: ")):
        file.write_text(f"class Half:\n    pass\n{mistake}\n")
        for _ in range(2):
            with pytest.raises(ValueError, match=rf"adapter: .*broken\.py, line 3: {reason}"):
                build({"class_path": f"{file}:Half"}, "adapter")
    file.write_text("class Half:\n    pass\n")
    assert import_class(f"{file}:Half").__name__ == "Half"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"class_path": "MLP"}, r"encoder: class_path 'MLP' has no module: write package.module.Class"),
        ({"class_path": "adapters.MPL"}, r"encoder: .*adapters has no class 'MPL'; it has \[.*'MLP'"),
        ({"class_path": "no_such.Thing"}, r"encoder: .*no module 'no_such'.*PYTHONPATH"),
        ({"class_path": "adapters.no_such.Thing"}, r"encoder: .*no module 'adapters.no_such'"),
        ({"class_path": "no/such/file.py:Thing"}, r"encoder: .*no file no/such/file.py"),
        ({"class_path": 3}, r"encoder.class_path: expected package.module.Class or file.py:Class, found 3"),
        ({"class_path": "adapters.MLP", "init_args": [1]}, r"encoder.init_args: expected argument names"),
        ({"class_path": "adapters.MLP", "args": {}}, r"encoder.args: unknown key; did you mean 'init_args'"),
        ("adapters.MLP", r"encoder: expected the keys class_path and init_args, found 'adapters.MLP'"),
        ({"class_path": "adapters.MLP", "init_args": {"hiden": 1}}, r"encoder.init_args: .*takes no \['hiden'\]"),
        ({"class_path": "adapters.MLP"}, r"encoder.init_args: adapters.MLP also needs \['feature_dim', 'llm_dim'\]"),
    ],
)
def test_errors_name_the_key_and_the_way_out(config: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(config, "encoder")  # pyright: ignore[reportArgumentType]


def test_a_missing_dependency_of_a_users_file_is_not_mistaken_for_a_missing_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "needs.py"
    file.write_text("import a_package_that_is_not_installed\n")
    reason = r"needs\.py, line 1: ModuleNotFoundError: No module named 'a_package_that_is_not_installed'"
    with pytest.raises(ValueError, match=reason):
        import_class(f"{file}:Thing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=reason):
        import_class("needs.Thing")


@pytest.mark.parametrize("class_path", ["uses_helper.py:Thing", "uses_helper.Thing"])
def test_a_mistake_in_a_file_beside_the_users_is_told_with_that_file(
    class_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uses_helper.py").write_text("import json\nimport my_helper\n")
    helper = tmp_path / "my_helper.py"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for text, reason in (
        ("import json\njson.loads('{')\n", "2: JSONDecodeError: Expecting"),
        ("\n\nfrom adapters import MLPP\n", "3: ImportError: cannot import name 'MLPP' from 'adapters'"),
        ("x = (\n", r"1: SyntaxError: '\(' was never closed"),
    ):
        helper.write_text(text)
        with pytest.raises(ValueError, match=rf"{helper}, line {reason}"):
            import_class(class_path)


@pytest.mark.parametrize(
    ("part", "class_path", "message"),
    [
        (
            "encoder",
            "torch.nn.Identity",
            r"image\.encoder: torch\.nn\.Identity is no omni\.encoders\.Encoder",
        ),
        ("adapter", "torch.nn.Identity", r"image\.adapter: torch\.nn\.Identity is no adapters\.Adapter"),
    ],
)
def test_a_class_that_is_no_encoder_or_adapter_is_refused(
    part: str, class_path: str, message: str, tiny_llm: Path
) -> None:
    values = {"encoder": {"class_path": "tests.tiny.SensorEncoder"}, "adapter": {"class_path": "adapters.MLP"}}
    config = from_dict(ModalityConfig, values | {part: {"class_path": class_path}})
    with pytest.raises(ValueError, match=message):
        build_modality(config, "image", tiny_model(tiny_llm).llm)


def test_a_config_is_parsed_once() -> None:
    config = ComponentConfig("tests.tiny.SensorEncoder", {"dim": 5})
    assert ComponentConfig.parse(config) is config
    assert isinstance(build(config), SensorEncoder)
