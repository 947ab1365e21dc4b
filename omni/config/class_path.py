"""Class paths: the texts by which recipes and model folders name classes, and the code that importing one would run."""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

OWN_PACKAGES = ("adapters", "omni")


@dataclass(frozen=True)
class ClassPath:
    """`package.module.Class`, or `path/to/file.py:Class`. Parsing one imports nothing."""

    text: str
    # the file of a class in a file; None of one in a module
    file: Path | None
    # the module of a class in a module; "" of one in a file
    module: str
    # name of the class
    name: str

    @classmethod
    def parse(cls, text: str) -> "ClassPath":
        """Take a class path apart.

        Raises:
            ValueError: it has no module, or is not made of names with dots between them.
        """
        if ".py:" in text:
            file, _, name = text.rpartition(":")
            return cls(text, Path(file), "", name)
        module, _, name = text.rpartition(".")
        if not module:
            raise ValueError(f"class_path {text!r} has no module: write package.module.Class or file.py:Class")
        if not all(part.isidentifier() for part in text.split(".")):
            raise ValueError(f"class_path {text!r} is no path of names: write package.module.Class or file.py:Class")
        return cls(text, None, module, name)

    @property
    def is_own(self) -> bool:
        """Whether its module is one of omni's, so that importing it runs nothing else."""
        return self.file is None and self.module.partition(".")[0] in OWN_PACKAGES

    def code_digest(self) -> str | None:
        """Return the SHA-256 of the files that importing it runs: its module, and the packages above that.

        Nothing is imported. None where there are no such files: no module of that name, one that is built into Python,
        or one that somebody has typed in.
        """
        digest = hashlib.sha256()
        files = [self.file] if self.file is not None else [*_files_of_module(self.module)]
        for file in files:
            if file is None or not file.is_file():
                return None
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest() if files else None


def _files_of_module(name: str) -> Iterator[Path | None]:
    """Yield the file of each package above a module, from the top, and that of the module itself; None if unknown."""
    names = name.split(".")
    places: list[str] | None = None  # where to look for the next one; None = on the path of Python
    for length in range(1, len(names) + 1):
        part = ".".join(names[:length])
        module = sys.modules.get(part)
        if module is not None:
            file, places = vars(module).get("__file__"), [*vars(module).get("__path__", [])]
        else:
            spec = _find_spec(part, places)
            if spec is None:
                yield None
                return
            file, places = spec.origin if spec.has_location else None, [*(spec.submodule_search_locations or [])]
        if file is None and places:
            continue  # a folder without __init__.py, which runs nothing
        yield None if file is None else Path(file)


def _find_spec(name: str, places: list[str] | None) -> ModuleSpec | None:
    """Find a module as `import` does. `importlib.util.find_spec` would import the packages above it."""
    found = (finder.find_spec(name, places) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)
