"""The files of a folder, found once and then by name: official archives unpack into folders that differ."""

import fnmatch
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_MOST_FILES = 5_000_000  # more than any benchmark has; a folder with more is a wrong one, such as /


class Files:
    """The files below a folder; hidden ones and those that macOS adds to archives do not count."""

    def __init__(self, folder: Path | str) -> None:
        """Walk the folder.

        Raises:
            FileNotFoundError: there is no such folder.
            ValueError: it is no folder, or has more files than a benchmark.
        """
        self.folder = Path(folder)
        if not self.folder.exists():
            raise FileNotFoundError(f"there is no folder {self.folder}")
        if not self.folder.is_dir():
            raise ValueError(f"{self.folder} is a file; name the folder that holds the official files")
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for number, relative in enumerate(_walk(self.folder)):
            if number >= _MOST_FILES:
                raise ValueError(f"{self.folder} has more than {_MOST_FILES:,} files; name the benchmark's own folder")
            self._by_name[_any_ending(relative.rpartition("/")[2])].append(relative)

    def matching(self, pattern: str) -> list[Path]:
        """Return the files whose path ends with `pattern`, sorted; `*` stands for anything within a name.

        The letters of an ending may be large or small (`.jpg`, `.JPG`); those of names count, as in ids of videos.
        """
        head, _, name = pattern.rpartition("/")
        name = _any_ending(name)
        names = fnmatch.filter(self._by_name, name) if _has_wildcard(name) else [name]
        found = [path for one in names for path in self._by_name.get(one, ()) if _ends_with(path, head)]
        return [self.folder / path for path in sorted(found)]

    def find(self, *patterns: str) -> Path:
        """Return the one file that matches the first of `patterns` that any file matches.

        Of several, the one that lies least deep is meant.

        Raises:
            FileNotFoundError: there is none.
            ValueError: several lie equally deep, so that it is not clear which is meant.
        """
        for pattern in patterns:
            found = self.matching(pattern)
            if found:
                least = min(len(path.parts) for path in found)
                first = [path for path in found if len(path.parts) == least]
                if len(first) > 1:
                    listed = ", ".join(str(path.relative_to(self.folder)) for path in first[:3])
                    raise ValueError(f"{pattern} is there {len(first)} times in {self.folder}: {listed}")
                return first[0]
        raise FileNotFoundError(f"{' or '.join(pattern[:200] for pattern in patterns)} is not in {self.folder}")


def _walk(folder: Path) -> Iterator[str]:
    """Yield the paths of all files relative to the folder, with `/`, folders and names in order."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not _is_noise(name))
        head = os.path.relpath(place, folder).replace(os.sep, "/")
        prefix = "" if head == "." else f"{head}/"
        if prefix.count("/") > 40:  # links that lead back to a folder above
            folders.clear()
        yield from (prefix + name for name in sorted(names) if not _is_noise(name))


def _is_noise(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _any_ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.{ending.lower()}" if dot else name


def _has_wildcard(name: str) -> bool:
    return "*" in name


def _ends_with(path: str, head: str) -> bool:
    """Whether the folders of `path` end with those of `head`."""
    if not head:
        return True
    folders, wanted = path.split("/")[:-1], head.split("/")
    return len(folders) >= len(wanted) and all(
        fnmatch.fnmatchcase(folder, one) for folder, one in zip(folders[-len(wanted) :], wanted, strict=True)
    )
