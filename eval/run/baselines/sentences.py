"""Embeddings of texts by a sentence encoder: mean over tokens, at unit length."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from omni.encoders import TextEncoder
from omni.media.item import Media

STARTER_ENCODER = "starter:minilm"
_BATCH = 64


class SentenceEncoder:
    """Embeds texts, each once.

    Args:
        name: hub id, local folder or `starter:NAME` of a model of transformers. It is loaded with the first text.
        device: where it runs.
    """

    def __init__(self, name: str = STARTER_ENCODER, device: torch.device | str = "cpu") -> None:
        self.name = name
        self.device = device
        self._known: dict[str, np.ndarray] = {}

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return `[N, E]`, a row of length 1 for each text.

        Raises:
            FileNotFoundError, ValueError: the model cannot be loaded, or a text is empty.
        """
        by_length: dict[int, list[tuple[str, dict[str, torch.Tensor]]]] = {}
        for text in dict.fromkeys(text for text in texts if text not in self._known):
            inputs = self._encoder.preprocess(Media("text", data=text.encode()))
            by_length.setdefault(inputs["input_ids"].shape[1], []).append((text, inputs))
        for group in by_length.values():
            for start in range(0, len(group), _BATCH):
                self._add(group[start : start + _BATCH])
        return np.stack([self._known[text] for text in texts])

    @cached_property
    def _encoder(self) -> TextEncoder:
        encoder = TextEncoder(self.name)
        encoder.to(self.device)
        return encoder

    def _add(self, batch: Sequence[tuple[str, dict[str, torch.Tensor]]]) -> None:
        inputs = {name: torch.cat([one[name] for _, one in batch]) for name in batch[0][1]}
        values, mask = self._encoder(inputs)
        kept = mask[..., None].to(values.dtype)
        means = ((values * kept).sum(1) / kept.sum(1)).double()
        rows = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        self._known.update({text: row for (text, _), row in zip(batch, rows, strict=True)})
