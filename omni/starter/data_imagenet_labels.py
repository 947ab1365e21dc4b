"""ImageNet-1k's classes: one name a line, the first of WordNet's words for each synset."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from omni.starter.archives import unpack_zip
from omni.starter.errors import FetchError
from omni.starter.progress import Progress

NUM_CLASSES = 1000
_ORDER, _WORDS = "imagenet_synsets.txt", "imagenet_synset_to_lemma.txt"


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with `labels.txt`."""
    files = {file.name: file for file in unpack_zip(packages["timm"], folder, _place)}
    names = label_names(files[_ORDER].read_text("utf-8"), files[_WORDS].read_text("utf-8"))
    if len(names) != NUM_CLASSES:
        raise FetchError(f"{packages['timm']} names {len(names)} classes of ImageNet-1k, not {NUM_CLASSES}")
    (folder / "labels.txt").write_text("\n".join(names) + "\n", "utf-8")
    for file in files.values():
        file.unlink()


def label_names(order: str, words: str) -> list[str]:
    """Return the first word of each synset of `order`, a synset a line; `words` has a synset, a tab, and its words."""
    first = {}
    for line in words.splitlines():
        synset, _, lemmas = line.partition("\t")
        first[synset] = lemmas.split(", ")[0].strip()
    return [first[synset] for synset in order.split()]


def _place(inner: PurePosixPath) -> str | None:
    return inner.name if inner.parts[-2:-1] == ("_info",) and inner.name in (_ORDER, _WORDS) else None
