"""Begin an adapter with weights that are there already: a trained model's, or those of a published checkpoint."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from adapters import Adapter
from adapters.qformer_names import PARTS
from omni.config import AdapterSourceConfig
from omni.model.checkpoint import ADAPTER_FILE
from omni.model.folder import ModelFolder
from omni.runtime.checksums import check_files
from omni.runtime.parameter_names import matches, select
from omni.starter import resolve

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")  # of a Hugging Face folder, or with .index.json: in shards
# Parts of whole published models that no adapter is in; most of the file, so they are not even read.
_NO_ADAPTER = ("language_model.", "vision_model.", "visual_encoder.", "llm_model.", "t5_model.", "opt_model.")


@dataclass(frozen=True)
class AdapterReport:
    """What `load_adapter_from` did."""

    source: str
    loaded: list[str]  # names in the adapter
    fresh: list[str]  # names in the adapter that keep their random values

    def __str__(self) -> str:
        fresh = f"; new: {_shortened(self.fresh)}" if self.fresh else ""
        return f"{len(self.loaded)} tensors from {self.source}{fresh}"


def load_adapter_from(adapter: Adapter, name: str, source: AdapterSourceConfig, key: str) -> AdapterReport:
    """Load weights into the adapter of the modality `name`, strictly; on an error it is unchanged.

    Every tensor of the adapter that is not set apart by `include` or `exclude` must be in the source, in the same
    shape, and every tensor of the source must have a place.

    Args:
        key: what errors begin with, such as `init_adapters.video`.

    Raises:
        FileNotFoundError: no weights there.
        ValueError: a pattern that matches nothing, or missing, unexpected or misshaped tensors, all named.
    """
    own = adapter.state_dict()
    found, where, is_published = _read(adapter, name, source, key)
    chosen = set(own) if source.include is None else set(select(own, source.include, f"{key}.include"))
    chosen -= set(select(own, source.exclude or [], f"{key}.exclude"))
    if is_published:
        chosen = {weight for weight in chosen if not weight.startswith(adapter.unpublished_weights)}
    if not chosen:
        raise ValueError(f"{key}: include and exclude leave nothing to load")
    given = {weight: value for weight, value in found.items() if weight in chosen or weight not in own}
    given = {weight: value for weight, value in given.items() if not _is_set_apart(weight, source)}
    problems = [f"missing: {weight}" for weight in sorted(chosen - given.keys())]
    problems += [f"unexpected: {weight}" for weight in sorted(given.keys() - own.keys())]
    problems += [
        f"misshaped: {weight} is {list(given[weight].shape)} there, {list(own[weight].shape)} in the adapter"
        for weight in sorted(given.keys() & own.keys())
        if given[weight].shape != own[weight].shape
    ]
    if problems:
        shown = [*problems[:20], f"... and {len(problems) - 20} more"] if len(problems) > 20 else problems
        raise ValueError(
            f"{key}: {where} does not fit {type(adapter).__name__} ({len(problems)} tensors):\n  "
            + "\n  ".join(shown)
            + "\nBuild the adapter with the same arguments, or name what should begin anew in exclude"
        )
    with torch.no_grad():
        for weight, value in given.items():
            own[weight].copy_(value)
    return AdapterReport(where, sorted(given), sorted(set(own) - set(given)))


def _is_set_apart(name: str, source: AdapterSourceConfig) -> bool:
    included = source.include is None or any(matches(name, pattern) for pattern in source.include)
    return not included or any(matches(name, pattern) for pattern in source.exclude or [])


def _read(adapter: Adapter, name: str, source: AdapterSourceConfig, key: str) -> tuple[Mapping[str, Tensor], str, bool]:
    """Tensors under the adapter's own names, what to call their source, and whether it is a published checkpoint."""
    path = Path(resolve(source.path))
    if (path / "config.yaml").is_file():
        modality = _modality_of(path, name, source.modality, key)
        prefix = f"modalities.{modality}.adapter."
        with ExitStack() as files:
            weights = _Weights(_open(path / ADAPTER_FILE, files))
            found = {item.removeprefix(prefix): weights[item] for item in weights if item.startswith(prefix)}
        check_files(path, ADAPTER_FILE)
        return found, f"{modality} of {source.path}", False
    with ExitStack() as files:
        weights = _Weights(_open(_weights_file(path, key), files))
        try:
            renamed = adapter.rename_published(weights.keys(), modality=source.modality)
        except ValueError as error:
            raise ValueError(f"{key}: {source.path}: {error}") from error
        if renamed is not None:
            found = {ours: weights[name] for name, ours in renamed.items()}
            return found, source.path if source.modality is None else f"{source.modality} of {source.path}", True
        if set(weights) & set(adapter.state_dict()):
            return dict(weights), source.path, False
        raise ValueError(
            f"{key}.path: {source.path} holds no tensor of a {type(adapter).__name__}; its first are "
            f"{sorted(weights)[:5]}, the adapter's are {sorted(adapter.state_dict())[:5]}"
        )


def _modality_of(folder: Path, name: str, wanted: str | None, key: str) -> str:
    there = sorted(ModelFolder.read(folder).config.modalities)
    if wanted is None:
        wanted = there[0] if len(there) == 1 and name not in there else name
    if wanted not in there:
        raise ValueError(f"{key}.modality: {folder} has no modality {wanted!r}; it has {there}")
    return wanted


def _weights_file(path: Path, key: str) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        for name in _WEIGHT_FILES:
            for file in (path / name, path / f"{name}.index.json"):
                if file.is_file():
                    return file
        raise FileNotFoundError(f"{key}.path: {path} has no config.yaml (a model of omni) and none of {_WEIGHT_FILES}")
    raise FileNotFoundError(f"{key}.path: there is no file or folder {path}")


def _open(path: Path, files: ExitStack) -> dict[str, Any]:
    """Name -> how to get the tensor: from an open safetensors file, or as it is."""
    if path.name.endswith(".index.json"):
        shards = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        return {name: one for shard in shards for name, one in _open(path.parent / Path(shard).name, files).items()}
    try:
        if path.suffix == ".safetensors":
            file = files.enter_context(safetensors.safe_open(str(path), framework="pt"))
            return dict.fromkeys(file.keys(), file)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch.load's errors for a file that is no checkpoint are of a dozen types
        raise ValueError(f"{path} is no readable weights file: {error}") from error
    for wrapper in ("model", "state_dict"):  # as LAVIS and Lightning files have it
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path} holds no named tensors but a {type(loaded).__name__}")
    return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}


class _Weights(Mapping[str, Tensor]):
    """Named tensors that are read when asked for: a published file can be larger than memory."""

    def __init__(self, opened: Mapping[str, Any]) -> None:
        self.opened = {name: one for name, one in opened.items() if not name.startswith(_NO_ADAPTER)}

    def __getitem__(self, name: str) -> Tensor:
        one = self.opened[name]
        return one if isinstance(one, Tensor) else one.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.opened)

    def __len__(self) -> int:
        return len(self.opened)


def _shortened(names: Sequence[str]) -> str:
    """The parts that all of `names` are in, so that a Q-Former's hundreds of tensors make one line."""
    parts: dict[str, int] = {}
    for name in names:
        part = next((known for known, pattern in PARTS.items() if pattern.match(name)), name.split(".")[0])
        parts[part] = parts.get(part, 0) + 1
    return ", ".join(f"{part} ({count})" for part, count in parts.items())
