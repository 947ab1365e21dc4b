"""Every name, path, link and table in README.md and docs/ is that of something there is."""

import ast
import pkgutil
import re
from pathlib import Path

import pytest

import adapters
import omni.encoders
from eval.scorers import SCORERS
from eval.task import OFFICIAL
from eval.tasks import TASKS
from eval.tasks.benchmark_table import benchmark_page
from omni.recipe.instructions import INSTRUCTIONS
from omni.starter import ASSETS
from tests.documents import DOCUMENTS, REPOSITORY, Block, blocks, cells, extras, headings, inline_code
from train.recipe import RECIPES


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            file, _, heading = target.partition("#")
            linked = document.parent / file if file else document
            assert linked.exists(), target
            assert not heading or heading in headings(linked), target


def test_paths_in_the_repository_exist() -> None:
    paths = [code for code in inline_code() if re.fullmatch(r"(?:train|eval|demo|omni|adapters|docs)/[\w./-]+", code)]
    assert paths
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_dotted_names_exist() -> None:
    pattern = re.compile(r"(?:(?:omni|adapters|eval)\.|train\.objectives\.)[\w.]+")
    found = [pattern.match(code) for code in inline_code()]
    names = {match[0] for match in found if match is not None and not match[0].endswith(".py")}
    assert len(names) >= 5
    for name in sorted(names):
        pkgutil.resolve_name(name)  # raises where there is none


def test_tables_of_classes_are_those_that_there_are() -> None:
    encoders = {*omni.encoders.__all__} - {"Encoder", "Features"}
    assert cells("README.md", "| modality | encoders |", column=2) == encoders
    assert cells("docs/models.md", "| encoder |") == encoders
    contracts = {"Adapter", "AttendedAdapter", "RoutedAdapter", "ExpertUsage", "Instruction", "Routing"}
    adapter_classes = {*adapters.__all__} - contracts
    assert cells("README.md", "| adapter |") == adapter_classes
    assert cells("docs/adapters.md", "| adapter |") == {f"adapters.{name}" for name in adapter_classes}


def test_the_page_of_benchmarks_is_what_the_command_prints() -> None:
    assert (REPOSITORY / "docs/benchmarks.md").read_text(encoding="utf-8") == benchmark_page()


def test_tables_of_names_are_those_that_there_are() -> None:
    fetched = {name for name, task in TASKS.items() if not task.data.startswith(OFFICIAL)}
    assert cells("README.md", "| recipe |") == {path.name for path in RECIPES.glob("*.yaml")}
    assert cells("README.md", "| extra |") == extras() - {"all"}
    assert cells("docs/evaluation.md", "| task |") == fetched
    assert cells("docs/evaluation.md", "| scorer |") == set(SCORERS)
    assert cells("docs/data.md", "| asset |") == {name for name, asset in ASSETS.items() if asset.kind == "data"}
    assert {f"`{name}`" for name in INSTRUCTIONS} <= set(
        re.findall(r"`\w+`", (REPOSITORY / "docs/training.md").read_text())
    )


def test_licences_of_starter_data_are_those_of_the_catalogue() -> None:
    text = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")
    for name, asset in ASSETS.items():
        if asset.kind == "data":
            row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
            stated = row.split("|")[-2].strip()
            assert asset.licence.startswith(stated), (name, stated, asset.licence)


def test_environment_variables_are_read_somewhere() -> None:
    code = "".join(
        path.read_text() for folder in ("omni", "train", "eval") for path in (REPOSITORY / folder).rglob("*.py")
    )
    code += (REPOSITORY / "Makefile").read_text() + (REPOSITORY / ".ci" / "install").read_text()
    variables = {name for text in inline_code() for name in re.findall(r"OMNI_[A-Z_]+", text)}
    assert {"OMNI_HOME", "OMNI_DOWNLOADS", "OMNI_TRACEBACK"} <= variables
    assert [name for name in variables if name not in code] == []


@pytest.mark.parametrize("block", blocks("python"))
def test_python_block_fits_the_page_and_parses(block: Block) -> None:
    ast.parse(block.text)
    assert max(len(line) for line in block.text.splitlines()) <= 120


def test_map_of_the_code_names_every_room_and_what_is_in_its_files() -> None:
    text = (REPOSITORY / "docs/code_map.md").read_text(encoding="utf-8")
    for package in ("omni", "train", "eval"):
        inside = [path for path in (REPOSITORY / package).iterdir() if not path.name.startswith("__")]
        rooms = {f"{package}/{path.name}{'/' if path.is_dir() else ''}" for path in inside}
        assert {room for room in rooms if f"`{room}`" not in text} == set()
    answers = re.findall(r"`([\w./]+\.py)` \(([^)]+)\)", text)
    assert len(answers) >= 20
    for file, names in answers:
        code = (REPOSITORY / file).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"^(?: *def {name}\b|class {name}\b|{name}\b.*=)", code, re.MULTILINE), (file, name)
