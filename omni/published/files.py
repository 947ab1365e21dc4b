"""Published files: read without running code from them, and told apart by the names of their tensors."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from omni.encoders.weights import part_of_checkpoint, read_checkpoint

X_INSTRUCTBLIP, BLIP, EVA, BEATS, POINT_BERT, IMAGEBIND = (
    "X-InstructBLIP checkpoint",
    "BLIP-2 or InstructBLIP checkpoint in LAVIS' layout",
    "EVA-CLIP file",
    "BEATs file",
    "Point-BERT file of ULIP-2",
    "ImageBind file",
)
# The first kind of which a name is in the file. A whole BLIP-2 may hold its vision encoder too.
_MARKS = {
    X_INSTRUCTBLIP: r"(?:image|video|audio|pc)_(?:Qformer\.bert|projection|llm_proj|query_tokens|ln)\b",
    BLIP: r"Qformer\.bert\.",
    IMAGEBIND: r"modality_trunks\.",
    POINT_BERT: r"(?:module\.)?point_encoder\.",
    EVA: r"blocks\.\d+\.attn\.q_bias",
    BEATS: r"encoder\.layers\.\d+\.self_attn\.grep_",
}
_WRAPPERS = ("model", "state_dict")  # under which LAVIS and BEATs, and ULIP, keep the weights beside the optimiser's


@dataclass(frozen=True)
class PublishedFile:
    """A file that the user named."""

    path: Path
    label: str | None  # `image` of image=FILE
    kind: str
    state: Mapping[str, Tensor] = field(repr=False)  # mapped into memory where the format allows it

    def has(self, prefix: str) -> bool:
        """Whether a tensor's name begins so."""
        return any(name.startswith(prefix) for name in self.state)

    def digest(self) -> str:
        """The first 16 hex digits of the file's SHA-256."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_files(arguments: Sequence[str]) -> list[PublishedFile]:
    """Open `FILE` and `LABEL=FILE`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: one is no checkpoint, holds code, or is of no known kind.
    """
    found = []
    for argument in arguments:
        label, _, location = argument.rpartition("=") if not Path(argument).exists() else ("", "", argument)
        path = Path(location).expanduser()
        if not path.is_file():
            what = "a folder, not a file" if path.is_dir() else "not there"
            raise FileNotFoundError(f"{path} is {what}")
        checkpoint = read_checkpoint(path)
        wrapper = next(
            (key for key in _WRAPPERS if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping)),
            "",
        )
        state = part_of_checkpoint(checkpoint, wrapper, path)
        found.append(PublishedFile(path.resolve(), label or None, kind_of(state, path), state))
    return found


def kind_of(names: Collection[str], path: Path) -> str:
    """Which kind of file it is, by the names of its tensors; ValueError for none of those that are known."""
    for kind, mark in _MARKS.items():
        if any(re.match(mark, name) for name in names):
            return kind
    if any(name.startswith("shared_Qformer.") for name in names):
        raise ValueError(f"{path} is an X-InstructBLIP with one Q-Former for all modalities, which is not supported")
    raise ValueError(
        f"{path} is none of the files that can be imported ({', '.join(_MARKS)}); its first tensors are "
        f"{sorted(names)[:5]}"
    )


def only(files: Sequence[PublishedFile], kind: str) -> PublishedFile | None:
    """The file of that kind, or None; ValueError for several."""
    found = [file for file in files if file.kind == kind]
    if len(found) > 1:
        raise ValueError(f"several files are each a {kind}: {', '.join(str(file.path) for file in found)}; name one")
    return found[0] if found else None


def refuse(files: Sequence[PublishedFile], allowed: Collection[str], source: str) -> None:
    """ValueError if a file is of another kind than those that this source takes."""
    for file in files:
        if file.kind not in allowed:
            raise ValueError(
                f"{file.path} is a {file.kind}, which {source} has no use for; it takes: {', '.join(allowed)}"
            )
