"""Which language model it is: short texts that change with its weights, its tokenizer and its chat template.

Of every tensor a sample is taken, in bfloat16, so that the text is the same in whatever dtype the LLM is loaded and
costs little for a large one. What changes all of a tensor (fine-tuning, a LoRA merged into it) changes the sample.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from omni.encoders.fingerprint import tensor_bytes
from omni.runtime.parameter_names import plain_name

_NUM_ROWS, _NUM_COLUMNS = 8, 64  # of a tensor's sample
_FILE, _INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True)
class LLMIdentity:
    """What a language model is told by, each 16 hex digits.

    Attributes:
        embeddings: its architecture, and a sample of its embeddings.
        weights: a sample of every weight that it has in memory; None where they are quantised.
        files: a sample of every weight in its files; None where there are none, or they are no safetensors.
    """

    embeddings: str
    weights: str | None = None
    files: str | None = None

    def is_same(self, other: "LLMIdentity") -> bool:
        """Return whether both are one language model, as far as both know themselves.

        One may be quantised, or have been saved again under other names of weights, so either match will do.
        """
        pairs = [(self.weights, other.weights), (self.files, other.files)]
        known = [(one, two) for one, two in pairs if one is not None and two is not None]
        return self.embeddings == other.embeddings and (not known or any(one == two for one, two in known))

    def values(self) -> dict[str, str]:
        """Return what is known, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.values().items())


def weights_identity(model: nn.Module) -> str | None:
    """Return 16 hex digits of all weights of a model but LoRAs; None where they are quantised."""
    digest = hashlib.sha256()
    named = {_name(name): weight for name, weight in model.named_parameters() if "lora_" not in name}
    for name, weight in sorted(named.items()):
        if not weight.is_floating_point():
            return None
        _add(digest, name, tuple(weight.shape), _sample(weight.detach()))
    return digest.hexdigest()[:16]


def files_identity(name: str, prefix: str = "") -> str | None:
    """Return 16 hex digits of all weights in the files of an LLM; None where they are no safetensors.

    Args:
        name: a folder, or an id whose files a hub has given before.
        prefix: with which names of the LLM's weights begin, where the files hold more.
    """
    digest = hashlib.sha256()
    files = _weight_files(name)
    if not files:
        return None
    found: list[tuple[str, Path]] = []
    for file in files:
        with safe_open(file, framework="pt") as opened:
            found += [(key, file) for key in opened.keys() if key.startswith(prefix)]  # noqa: SIM118 (no mapping)
    for file in sorted({file for _, file in found}):
        with safe_open(file, framework="pt") as opened:
            for key in sorted(key for key, of in found if of == file):
                _add(digest, key.removeprefix(prefix), *_sample_of_file(opened, key))
    return digest.hexdigest()[:16]


def text_identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return 16 hex digits of a tokenizer, its special tokens and its chat template."""
    values = json.loads(cast(Any, tokenizer).backend_tokenizer.to_str())
    for name in ("padding", "truncation"):  # how it was called last
        values.pop(name, None)
    told = [values, tokenizer.special_tokens_map, tokenizer.chat_template]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _weight_files(name: str) -> list[Path]:
    options: dict[str, Any] = {"local_files_only": True, "_raise_exceptions_for_missing_entries": False}
    for file in (_INDEX, _FILE):
        found = cached_file(name, file, **options) if not Path(name).is_dir() else Path(name, file)
        if found is None or not Path(found).is_file():
            continue
        if file == _FILE:
            return [Path(found)]
        parts = {*json.loads(Path(found).read_text(encoding="utf-8"))["weight_map"].values()}
        return [Path(found).parent / part for part in sorted(parts)]
    return []


def _name(name: str) -> str:
    """The name of a weight without what PEFT puts around it."""
    return plain_name(name).removeprefix("base_model.model.").replace(".base_layer.", ".")


def _add(digest: Any, name: str, shape: Iterable[int], sample: Tensor) -> None:
    digest.update(json.dumps([name, *shape]).encode())
    digest.update(tensor_bytes(sample.to("cpu", torch.bfloat16) if sample.is_floating_point() else sample))


def _sample(tensor: Tensor) -> Tensor:
    if tensor.ndim < 2:
        return tensor.reshape(-1)[:_NUM_COLUMNS]
    return torch.stack([tensor[row].reshape(-1)[:_NUM_COLUMNS] for row in _rows(len(tensor))])


def _sample_of_file(opened: Any, key: str) -> tuple[tuple[int, ...], Tensor]:
    stored = opened.get_slice(key)
    shape = tuple(stored.get_shape())
    if len(shape) < 2:
        return shape, _sample(opened.get_tensor(key))
    return shape, torch.stack([stored[row : row + 1].reshape(-1)[:_NUM_COLUMNS] for row in _rows(shape[0])])


def _rows(count: int) -> list[int]:
    """Rows from all over a tensor."""
    return sorted({round(index * (count - 1) / (_NUM_ROWS - 1)) for index in range(_NUM_ROWS)})
