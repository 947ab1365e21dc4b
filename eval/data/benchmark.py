"""What the official files of a benchmark are: declarations of splits and of the layouts that they come in.

A benchmark is declared in a module of `eval.data.sets`; a task names one of its splits as `official:NAME/SPLIT`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.data.files import Files
from omni.samples.messages import SampleError

Record = Mapping[str, Any]  # one entry of an official file, as it stands there
Row = Mapping[str, Any]  # the same as a conversation: what `omni.samples.messages.parse_sample` takes


class LeftOutError(SampleError):
    """A record that is no item by the rules of its set, such as a question that its authors deleted."""


@dataclass(frozen=True)
class Hub:
    """Where a mirror of a layout is on a model hub; printed for people, never fetched.

    Attributes:
        id: `owner/name`; mirrors move, so it is a field that `dataclasses.replace` changes.
        split: the split's name there.
        config: the configuration's name there; None = the default one.
    """

    id: str
    split: str
    config: str | None = None


@dataclass(frozen=True)
class Layout:
    """One form in which the files of a split lie in a folder.

    Attributes:
        name: `official`, or whose form it is.
        needs: the files that must lie somewhere in the folder: names, or ends of paths, in which `*` stands for
            anything within a name. Of a tuple, one is enough.
        read: from the folder's files to all records, in the order of the official files; raises ValueError or OSError
            where the files as a whole cannot be used.
        row: from a record to its conversation; raises ValueError or OSError where this one cannot be used, and
            LeftOutError where it is no item.
        hub: the mirror that has this layout, if there is one.
    """

    name: str
    needs: tuple[str | tuple[str, ...], ...]
    read: Callable[[Files], Sequence[Record]]
    row: Callable[[Record, Files], Row]
    hub: Hub | None = None

    def missing(self, files: Files) -> list[str]:
        """Return which of the needed files are not there, in words."""
        return [" or ".join(names) for names in self._names() if not any(files.matching(name) for name in names)]

    def found(self, files: Files) -> list[Path]:
        """Return the files that are there of those that are needed, in order."""
        return sorted({path for names in self._names() for name in names for path in files.matching(name)})

    def _names(self) -> list[tuple[str, ...]]:
        return [(need,) if isinstance(need, str) else need for need in self.needs]


@dataclass(frozen=True)
class Split:
    """One split of a benchmark.

    Attributes:
        layouts: the forms in which its files may lie, the likeliest first.
        num_items: the official number of items; None = not known, or it depends on what can still be downloaded.
        note: what a reader of the figures should know, such as why the number is not known.
    """

    layouts: tuple[Layout, ...]
    num_items: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Benchmark:
    """The official files of a benchmark.

    Attributes:
        name: as in `official:NAME/SPLIT`.
        title: what people call it, with its paper.
        homepage: who gives the files: an address.
        licence: of annotations and media, in a few words; say so where it is not known.
        get: what to get there, in a sentence or two.
        splits: by name, the usual one first.
    """

    name: str
    title: str
    homepage: str
    licence: str
    get: str
    splits: Mapping[str, Split]
