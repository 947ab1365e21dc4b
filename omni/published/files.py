"""Published files: read without running code from them, and told apart by the names of their tensors."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from omni.encoders.eva_clip import TRANSFORMERS_MODELS
from omni.encoders.transformers_folder import is_transformers_folder, read_model_config, read_tensors, weight_files
from omni.encoders.weights import part_of_checkpoint, read_checkpoint

X_INSTRUCTBLIP, BLIP, TRANSFORMERS_BLIP, EVA, BEATS, POINT_BERT, IMAGEBIND = (
    "X-InstructBLIP checkpoint",
    "BLIP-2 or InstructBLIP checkpoint in LAVIS' layout",
    "BLIP-2 or InstructBLIP folder of transformers",
    "EVA-CLIP file",
    "BEATs file",
    "Point-BERT file of ULIP-2",
    "ImageBind file",
)
# The first kind with a name in the file counts. A whole BLIP-2 may hold its vision encoder too.
_MARKS = {
    X_INSTRUCTBLIP: r"(?:image|video|audio|pc)_(?:Qformer\.bert|projection|llm_proj|query_tokens|ln)\b",
    BLIP: r"Qformer\.bert\.",
    IMAGEBIND: r"modality_trunks\.",
    POINT_BERT: r"(?:module\.)?point_encoder\.",
    EVA: r"blocks\.\d+\.attn\.q_bias",
    BEATS: r"encoder\.layers\.\d+\.self_attn\.grep_",
}
_WRAPPERS = ("model", "state_dict")  # LAVIS and BEATs, and ULIP, keep the weights here, apart from the optimiser's


@dataclass(frozen=True)
class PublishedFile:
    """A file that the user named, or a folder."""

    path: Path
    label: str | None  # `image` of image=FILE
    kind: str
    state: Mapping[str, Tensor] = field(repr=False)  # mapped into memory where the format allows it
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)  # a folder's config.json

    def has(self, prefix: str) -> bool:
        """Return whether the name of any tensor begins with this."""
        return any(name.startswith(prefix) for name in self.state)

    def digest(self) -> str:
        """Return the first 16 hex digits of the SHA-256 of the file, or of the folder's files with the Q-Former."""
        files = [self.path]
        if self.path.is_dir():
            shards = weight_files(self.path)
            files = sorted({shard for name, shard in shards.items() if name.startswith("qformer.") or name == ""})
        digest = hashlib.sha256()
        for path in files:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()[:16]


def read_files(arguments: Sequence[str]) -> list[PublishedFile]:
    """Open `FILE` and `LABEL=FILE`, or folders of transformers.

    Raises:
        FileNotFoundError: a file, or a part of a folder, is missing.
        ValueError: a file is not a checkpoint, holds code, or is of no known kind.
    """
    found = []
    for argument in arguments:
        label, _, location = argument.rpartition("=") if not Path(argument).exists() else ("", "", argument)
        path = Path(location).expanduser()
        if is_transformers_folder(path):
            found.append(_read_folder(path, label or None))
            continue
        if not path.is_file():
            what = (
                "a folder, not a file (and no model of transformers: it has no config.json)"
                if path.is_dir()
                else "not there"
            )
            raise FileNotFoundError(f"{path} is {what}")
        checkpoint = read_checkpoint(path)
        wrapper = next(
            (key for key in _WRAPPERS if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping)),
            "",
        )
        state = part_of_checkpoint(checkpoint, wrapper, path)
        found.append(PublishedFile(path.resolve(), label or None, kind_of(state, path), state))
    return found


def _read_folder(path: Path, label: str | None) -> PublishedFile:
    config = read_model_config(path)
    model_type = config.get("model_type")
    if model_type not in TRANSFORMERS_MODELS:
        raise ValueError(
            f"{path} is the folder of a {model_type!r} of transformers; those of {' and '.join(TRANSFORMERS_MODELS)} "
            "can be imported"
        )
    return PublishedFile(path.resolve(), label, TRANSFORMERS_BLIP, read_tensors(path), config)


def kind_of(names: Collection[str], path: Path) -> str:
    """Return the kind of a file, by the names of its tensors; raise ValueError if it is of no known kind."""
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
    """Return the file of that kind, or None; raise ValueError for several."""
    found = [file for file in files if file.kind == kind]
    if len(found) > 1:
        raise ValueError(f"several files are each a {kind}: {', '.join(str(file.path) for file in found)}; name one")
    return found[0] if found else None


def refuse(files: Sequence[PublishedFile], allowed: Collection[str], source: str) -> None:
    """Raise ValueError if a file is of a kind that this source does not take."""
    for file in files:
        if file.kind not in allowed:
            raise ValueError(
                f"{file.path} is a {file.kind}, which {source} has no use for; it takes: {', '.join(allowed)}"
            )
