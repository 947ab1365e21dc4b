"""Read a folder as transformers saves a model: `config.json`, and weights in one file or in shards with an index."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from omni.encoders.weights import read_state_dict

CONFIG = "config.json"
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")  # the first that is there, whole or in shards


def is_transformers_folder(path: Path) -> bool:
    """Return whether the folder holds a model as transformers saves it."""
    return (path / CONFIG).is_file()


def read_model_config(folder: Path) -> dict[str, Any]:
    """Return the content of `config.json`.

    Raises:
        ValueError: it is damaged.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); download it again") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds no settings, but a {type(config).__name__}")
    return config


def weight_files(folder: Path) -> dict[str, Path]:
    """Return the path of the shard for each tensor name; the file under the name "" where there is one for all.

    Raises:
        FileNotFoundError: there are no weights, or a shard that the index names is missing.
        ValueError: the index is damaged.
    """
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return {"": folder / name}
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _shards(index)
    raise FileNotFoundError(f"{folder} holds no weights: none of {', '.join(_WEIGHT_FILES)}, nor an index of shards")


def read_tensors(folder: Path, *prefixes: str) -> dict[str, Tensor]:
    """Read the tensors whose names begin with one of `prefixes` (default: all), from the shards that hold any.

    They stay in the files until they are used, where the format allows it.

    Raises:
        FileNotFoundError: as `weight_files`.
        ValueError: a file is damaged, or a shard lacks tensors that the index says it has.
    """
    wanted = prefixes or ("",)
    places = {name: path for name, path in weight_files(folder).items() if name == "" or name.startswith(wanted)}
    tensors: dict[str, Tensor] = {}
    for path in sorted(set(places.values())):
        found = read_state_dict(path)
        absent = sorted(name for name, shard in places.items() if name and shard == path and name not in found)
        if absent:
            raise ValueError(f"{path} lacks {absent[0]}, which the index says it holds; download it again")
        tensors |= {name: tensor for name, tensor in found.items() if name.startswith(wanted)}
    return tensors


def _shards(index: Path) -> dict[str, Path]:
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        paths: dict[str, Path] = {name: index.parent / Path(shard).name for name, shard in places.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of shards ({error!r}); download it again") from error
    missing = sorted({path.name for path in paths.values() if not path.is_file()})
    if missing:
        raise FileNotFoundError(f"{index.parent} lacks {', '.join(missing)}, which {index.name} names: download it too")
    return paths
