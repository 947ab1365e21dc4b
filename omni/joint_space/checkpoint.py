"""The files of a joint space's folder: what was trained, how to build the rest again, a model card, and indexes.

`joint_space.safetensors` (heads, the logit scale, and what else was trained), `config.yaml`, `README.md`,
`indexes/NAME/`, `centers.safetensors` where centres were measured, and `SHA256SUMS`.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from omni.joint_space.folder import SpaceFolder
from omni.joint_space.index import EmbeddingIndex
from omni.model.folder import CONFIG_FILE
from omni.runtime.checksums import CHECKSUMS, check_files, warn_if_changed, write_checksums
from omni.runtime.files import refuse_foreign, replace_directory

SPACE_FILE = "joint_space.safetensors"
_INDEXES = "indexes"
_CENTERS = "centers.safetensors"
_EVALUATION = "evaluation"  # where `python -m eval` puts its results by default; they stay
_FILES = {SPACE_FILE, CONFIG_FILE, "README.md", _INDEXES, _CENTERS, _EVALUATION, CHECKSUMS}


def write_space(
    folder: SpaceFolder,
    trained: Mapping[str, Tensor],
    card_text: str,
    centers: Mapping[str, Tensor],
    indexes: Mapping[str, EmbeddingIndex],
) -> None:
    """Write the files of a space into an existing folder.

    Args:
        folder: where, and what its `config.yaml` says.
        trained: name -> trained weight.
        card_text: the model card, in Markdown.
        centers: modality -> centre of its embeddings.
        indexes: name -> index of embeddings.

    Raises:
        ValueError: the name of an index is no identifier.
    """
    save_file(dict(trained), str(folder.path / SPACE_FILE))
    folder.write()
    (folder.path / "README.md").write_text(card_text, encoding="utf-8")
    if centers:
        tensors = {name: center.contiguous() for name, center in centers.items()}
        save_file(tensors, str(folder.path / _CENTERS))
    for name, index in indexes.items():
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no valid name of an index; use letters, digits and underscores")
        index_path = folder.path / _INDEXES / name
        index_path.mkdir(parents=True)
        index.write(index_path)


def replace_space(directory: Path, write: Callable[[Path], None]) -> None:
    """Write a space's folder in one atomic step: after a crash the old folder or the new one is there, whole.

    write: writes the files into the folder that it is given.

    Raises:
        ValueError: the folder holds something else than a space, which replacing it would delete.
    """
    refuse_foreign(directory, _FILES)
    with replace_directory(directory) as temporary:
        write(temporary)
        if (directory / _EVALUATION).is_dir():
            shutil.copytree(directory / _EVALUATION, temporary / _EVALUATION)
        write_checksums(temporary)


def check_space_files(directory: Path) -> None:
    """Check what training wrote; indexes, which may be huge and are read a piece at a time, are not read for it.

    Raises:
        ValueError: it is not what was saved.
    """
    check_files(directory, SPACE_FILE, _CENTERS)
    warn_if_changed(directory, CONFIG_FILE)


def read_centers(folder: SpaceFolder) -> dict[str, Tensor]:
    """Read the centres of the modalities that are wanted, where some were measured."""
    path = folder.path / _CENTERS
    centers = load_file(path) if path.exists() else {}
    return {name: center for name, center in centers.items() if name in folder.config.modalities}


def read_indexes(folder: SpaceFolder) -> dict[str, EmbeddingIndex]:
    """Read the indexes of embeddings that are saved with a space."""
    return {path.name: EmbeddingIndex.load(path) for path in sorted((folder.path / _INDEXES).glob("*"))}
