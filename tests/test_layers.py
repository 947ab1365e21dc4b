"""Imports point down: between packages, between the rooms of a package, and never in a circle.

A room is a folder or a file directly inside a package. Late imports and those under `TYPE_CHECKING` count. A new room
takes its place in `ROOMS`, the one place where the order is declared; docs/code_map.md says what each room holds.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# the lowest first: a room may import itself and those before it
PACKAGES = ["adapters", "omni", "train", "eval", "demo"]
APART = {("train", "eval"), ("eval", "train")}  # neighbours that do not know each other
ROOMS = {
    "adapters": None,  # one room
    "omni": [
        *(
            "runtime",
            "starter",
            "config",
            "media",
            "samples",
            "recipe",
            "losses",
            "augmentation",
            "encoders",
            "readers",
        ),
        *("previews", "feature_cache", "llm", "prompts", "explaining", "model", "answering", "joint_space"),
        *("published", "exporting", "commands"),
    ],
    "train": [
        *("runtime", "recipe", "data", "objectives", "strategies", "feature_cache", "run", "preflight", "make_data"),
        "compare_adapters",
    ],
    "eval": [
        *("commands", "task", "kinds", "data", "tasks", "items", "statistics", "metrics", "scorers", "run", "report"),
        *("compare", "board", "export", "retrieval", "plugins", "speed"),
    ],
    "demo": ["serving", "server", "chat", "quickstart"],
}


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))}


def imported_modules(file: Path) -> Iterator[str]:
    """Yield the modules of ours that a file imports; `from package import name` means the module of that name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in PACKAGES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            module = node.module or ""
            if module.partition(".")[0] in PACKAGES:
                for alias in node.names:
                    yield f"{module}.{alias.name}" if f"{module}.{alias.name}" in FILES else module


ARROWS = {module: sorted({*imported_modules(file)} - {module}) for module, file in FILES.items()}


def room_of(module: str) -> str:
    """Return the room of a module; "" for the face of the package and its `__main__`, which stand above all rooms."""
    room = [*module.split("."), ""][1]
    return "" if room == "__main__" else room


def circles(arrows: Mapping[str, list[str]]) -> list[list[str]]:
    """Return groups of two or more modules that import each other (Tarjan 1972)."""
    numbers: dict[str, int] = {}
    lows: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        numbers[module] = lows[module] = len(numbers)
        stack.append(module)
        for other in arrows.get(module, []):
            if other not in numbers:
                visit(other)
                lows[module] = min(lows[module], lows[other])
            elif other in stack:
                lows[module] = min(lows[module], numbers[other])
        if lows[module] == numbers[module]:
            group = []
            while not group or group[-1] != module:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for module in arrows:
        if module not in numbers:
            visit(module)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_those_below_them(package: str) -> None:
    below = PACKAGES[: PACKAGES.index(package) + 1]
    wrong = [
        f"{module} -> {other}"
        for module, others in ARROWS.items()
        if module.partition(".")[0] == package
        for other in others
        if (top := other.partition(".")[0]) not in below or (package, top) in APART
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("package", [package for package, rooms in ROOMS.items() if rooms is not None])
def test_rooms_import_only_those_below_them(package: str) -> None:
    rooms = ROOMS[package] or []
    own = {module: others for module, others in ARROWS.items() if module.partition(".")[0] == package}
    assert {room_of(module) for module in own} - {""} == {*rooms}, "a room is missing in ROOMS, or one of ROOMS is gone"
    wrong = [
        f"{module} -> {other}"
        for module, others in own.items()
        if room_of(module)
        for other in others
        if other.partition(".")[0] == package
        and (not room_of(other) or rooms.index(room_of(other)) > rooms.index(room_of(module)))
    ]
    assert not wrong, wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(ARROWS) == []


def test_nobody_imports_a_main_module() -> None:
    assert not [module for module, others in ARROWS.items() for other in others if other.endswith(".__main__")]


def test_circles_are_found() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": [], "e": ["d"]}) == [["a", "b", "c"]]


def test_adapters_import_torch_and_the_standard_library_only() -> None:
    allowed = {"torch", "adapters"} | set(sys.stdlib_module_names)
    for file in (ROOT / "adapters").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, file


def test_importing_the_model_does_not_import_what_only_some_models_need() -> None:
    code = "import sys, omni.model; omni.model.OmniModel; "
    code += "print([m for m in ('peft', 'bitsandbytes', 'gradio', 'train') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
