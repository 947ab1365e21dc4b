"""Encode texts with a model of transformers, such as a sentence encoder, for a joint space.

Shapes: B texts, L tokens, D feature width.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

from omni.encoders.base import Encoder, Features
from omni.encoders.towers import TextTower
from omni.encoders.weights import check_finite, check_named_model, naming, parse_dtype
from omni.media.errors import MediaError
from omni.media.item import Media
from omni.media.text import load_text
from omni.runtime.hub import check_model
from omni.runtime.pretrained import load_config, load_pretrained, load_tokenizer
from omni.runtime.quiet import quiet_loading
from omni.starter import resolve

_MOST_CHARACTERS = 100_000  # longest text that is taken; at most `max_tokens` of it are read
_TOKENS_OF_A_GROUP = 8  # texts are padded to a multiple of this, so that many of them are encoded together


class TextEncoder(Encoder):
    """Encode a text as last hidden states of a model (BERT, MiniLM, E5, CLIP's text tower, ...), one per token.

    name: hub id, local folder, or `starter:NAME`.
    max_tokens: most tokens of a text; the rest is cut off.
    dtype: float32, float16 or bfloat16.
    """

    file_extensions = (".txt",)
    fingerprint_name = "omni.encoders.text.TextEncoder"
    uncounted_arguments = ("name", "dtype", "modality")

    def __init__(
        self,
        name: str,
        max_tokens: int = 128,
        dtype: str = "float32",
        modality: str = "text",
        licence: str | None = None,
    ) -> None:
        super().__init__(licence=licence)
        path = resolve(name)
        check_model(path, "name")
        with naming(path), quiet_loading():
            config = load_config(path)
            model = load_pretrained(AutoModel, path, dtype=parse_dtype(dtype))
            self._tokenizer: Any = load_tokenizer(path)
            self._tokenizer("\N{SNOWMAN}")  # one that lacks a token for what it does not know fails here, not later
        self.tower = cast(PreTrainedModel, model.text_model if "text_config" in config.sub_configs else model)
        check_finite(self.tower, path)
        self.modality = modality
        text_config = cast(Any, self.tower.config)
        self.max_features = min(max_tokens, int(getattr(text_config, "max_position_embeddings", max_tokens)))
        self.dim = int(text_config.hidden_size)

    @classmethod
    def check_arguments(cls, arguments: Mapping[str, Any]) -> None:
        check_named_model(arguments)

    def preprocess(self, media: Media) -> dict[str, Tensor]:
        """Turn one text, UTF-8 as bytes or in a file, into `input_ids` and `mask` [1, L].

        L is a multiple of 8 unless that is more than `max_features`. Raises MediaError if there is no text, or an empty
        one.
        """
        text = load_text(media, _MOST_CHARACTERS)
        if not text.strip():
            raise MediaError(media.describe(), "is empty")
        ids = self._tokenizer(text, truncation=True, max_length=self.max_features)["input_ids"]
        length = min(self.max_features, -(-len(ids) // _TOKENS_OF_A_GROUP) * _TOKENS_OF_A_GROUP)
        padding = self._tokenizer.pad_token_id or 0
        padded = torch.tensor([*ids, *[padding] * (length - len(ids))])
        return {"input_ids": padded[None], "mask": (torch.arange(length) < len(ids))[None]}

    def features_per_clip(self, inputs: dict[str, Tensor]) -> int:
        return inputs["input_ids"].shape[1]

    def encode(self, inputs: dict[str, Tensor]) -> Features:
        """Encode `input_ids`, `mask` [B, L] to [B, L, D]."""
        output = self.tower(input_ids=inputs["input_ids"], attention_mask=inputs["mask"].long())
        return Features(output.last_hidden_state, inputs["mask"])

    def text_tower(self) -> TextTower:
        return TextTower(self.tower, self._tokenizer, self.max_features)

    def preprocessing_config(self) -> dict[str, Any]:
        settings = {key: value for key, value in self.tower.config.to_dict().items() if key != "_name_or_path"}
        backend = json.loads(self._tokenizer.backend_tokenizer.to_str())
        return {"max_features": self.max_features, "model": settings, "tokenizer": backend["model"].get("vocab")}
