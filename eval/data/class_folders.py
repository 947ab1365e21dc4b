"""Folders that are named as the classes of what lies in them: `val/bedroom/0001.png`."""

from collections.abc import Callable, Sequence

from eval.data.benchmark import Layout, Record, Row
from eval.data.files import Files
from eval.data.labels import readable
from eval.data.rows import question_row


def class_folders(split: str, modality: str, endings: Sequence[str]) -> Layout:
    """Return the layout of a split whose items lie in `SPLIT/CLASS/`.

    Args:
        split: the folder's name.
        modality: of the items.
        endings: of the files that are items; others are not read.
    """
    return Layout("official", (f"{split}/*/*",), _reader(split, endings), _row(modality))


def _reader(split: str, endings: Sequence[str]) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        found = [path for path in files.matching(f"{split}/*/*") if path.suffix.lower() in endings]
        if not found:
            raise ValueError(f"no file in the folders {split}/CLASS ends in {', '.join(endings)}")
        return [
            {"id": f"{path.parent.name}/{path.name}", "path": str(path), "label": path.parent.name} for path in found
        ]

    return read


def _row(modality: str) -> Callable[[Record, Files], Row]:
    def row(record: Record, files: Files) -> Row:
        part = {"type": modality, "path": record["path"]}
        return question_row(record["id"], [part], label=readable(record["label"]))

    return row
