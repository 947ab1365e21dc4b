"""`python -m train --help`: every key of every dataclass of a recipe, with type, default and its whole comment."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

import omni.config.components
import omni.config.schema
import omni.recipe.schema
import omni.recipe.stages
from tests.train.runs import REPOSITORY
from train.__main__ import main
from train.recipe import describe_keys
from train.recipe.field_comments import field_comments

MODULES = (omni.config.components, omni.config.schema, omni.recipe.schema, omni.recipe.stages)
KEY = re.compile(r"^  --([\w.]+): ", re.MULTILINE)


def keys(part: str = "") -> list[str]:
    return KEY.findall(describe_keys(part))


def dataclasses_of(module: ModuleType) -> list[type]:
    own = [one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__]
    return [one for one in own if dataclasses.is_dataclass(one) and isinstance(one, type)]


@pytest.mark.parametrize("config_class", [one for module in MODULES for one in dataclasses_of(module)])
def test_every_field_of_every_dataclass_is_listed(config_class: type) -> None:
    parents = {path.rpartition(".")[0] for path in keys()}
    fields = {one.name for one in dataclasses.fields(config_class)}
    listed = {path.rpartition(".")[2] for parent in parents for path in keys() if path.rpartition(".")[0] == parent}
    assert fields <= listed
    wholes = [parent for parent in parents if fields <= {path[len(parent) :].lstrip(".") for path in keys()}]
    assert wholes, f"no part of the help has all of {sorted(fields)}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_line_of_a_comment_is_left_out(module: ModuleType) -> None:
    help_lines = {line.strip() for line in describe_keys().splitlines()}
    lines = inspect.getsource(module).splitlines()
    found = 0
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            for line in lines[node.lineno : node.end_lineno]:
                if line.startswith("    # "):
                    found += 1
                    assert line.removeprefix("    # ").strip() in help_lines
    assert found


def test_each_key_has_a_comment_a_type_and_a_default_unless_it_is_required() -> None:
    text = describe_keys()
    assert len(keys()) == len(set(keys()))
    for line, after in zip(text.splitlines(), [*text.splitlines()[1:], ""], strict=True):
        if KEY.match(line):
            assert after.startswith("        "), f"{line} has no comment"
            assert line.endswith(" (required)") or " = " in line
    for line in (
        "  --train.output_dir: str (required)",
        "  --train.lr: float = 0.001",
        "  --train.betas: list[float] = [0.9, 0.999]",
        "  --train.schedule: cosine | linear | constant = cosine",
        "  --model.llm.lora.options: dict[str, Any] = {}",
        "  --add_lora: LoRAConfig | null = null",
        "  --data.max_bad_share: float = 0.05",
    ):
        assert f"\n{line}\n" in text


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("model.llm", "model.llm", "model.llm.lora.options"),
        ("train", "train", "train.parameter_groups.0.weight_decay"),
        ("data.train", "data.train", "data.train.0.options"),
        ("stages", "stages", "stages.0.add_lora"),
        ("train.lr", "train.lr", "train.lr"),
        ("--train.lr", "train.lr", "train.lr"),
        ("data.evaluation.3.path", "data.evaluation.0.path", "data.evaluation.0.path"),
        ("model.modalities.image.cue", "model.modalities.NAME.cue", "model.modalities.NAME.cue"),
        ("stages.1.train.lr", "train.lr", "train.lr"),
    ],
)
def test_help_of_a_part_lists_that_part_only(part: str, first: str, last: str) -> None:
    found = keys(part)
    assert (found[0], found[-1]) == (first, last)
    assert "usage" not in describe_keys(part)
    assert all(path == first or path.startswith((first, "stages")) for path in found)


def test_an_unknown_part_names_the_closest_and_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help", "model.lm"]) == 2
    assert "did you mean model.llm?" in capsys.readouterr().err
    assert main(["--help", "model.llm.lora"]) == 0
    assert "--model.llm.lora.r: int = 8" in capsys.readouterr().out


@dataclass
class First:
    """A config of a user's own."""

    # one line
    # and another
    first: int = 0

    # not of the next field, which is documented elsewhere

    second: int = 0


@dataclass
class Second(First):
    # of the subclass
    third: int = 0


def test_all_comment_lines_directly_above_a_field_are_its_comment() -> None:
    assert field_comments(Second) == {"first": ["one line", "and another"], "second": [], "third": ["of the subclass"]}


def test_help_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, train.__main__ as m; m.main(['--help']); print({'torch', 'transformers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
