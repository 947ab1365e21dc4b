"""A model's last hidden state as an encoder of mteb."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from eval.plugins.mteb.batches import Row, names_of
from eval.plugins.mteb.encoder import OmniEncoder, fingerprint
from omni.model import OmniModel
from omni.samples.messages import Sample, parse_messages

PROMPT = "Summarise this in one word:"  # after which the last token stands for all before it; see `OmniModel.embed`


class ModelEncoder(OmniEncoder):
    """A model in mteb, by `OmniModel.embed`: texts, and pictures, sounds and videos as far as it has adapters.

    A row is one turn of the user with its media, in the order video, picture, sound, and then its text.

    Args:
        model: the model.
        name: under which mteb keeps results, such as `me/stamps`.
        prompt: text at the end of each row; None = nothing.
        audio: the modality for sounds, where the model has more than one.
    """

    def __init__(self, model: OmniModel, name: str, *, prompt: str | None = PROMPT, audio: str | None = None) -> None:
        names = names_of([*model.modalities], audio) | {"text": "text"}
        revision = fingerprint(model.fingerprint(), repr(prompt))
        super().__init__(names, name, revision, model.llm.hidden_size, sum(one.numel() for one in model.parameters()))
        self.model = model.eval()
        self.prompt = prompt

    @classmethod
    def load(
        cls,
        folder: str | Path,
        name: str,
        *,
        prompt: str | None = PROMPT,
        audio: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        trust_code: bool = False,
    ) -> Self:
        """Load the model in a folder; the options are those of `OmniModel.load`."""
        model = OmniModel.load(folder, trust_code, device=device, dtype=dtype)
        return cls(model, name, prompt=prompt, audio=audio)

    def embed_rows(self, rows: Sequence[Row]) -> Tensor:
        """Return the embeddings [B, D] of rows, of any length."""
        return self.model.embed([self._conversation(row, i) for i, row in enumerate(rows)], self.prompt)

    def _conversation(self, row: Row, number: int) -> Sample:
        content: list[dict[str, Any]] = []
        for column, modality in self.names.items():
            if column in row:
                content.append({"type": modality, modality: row[column]} if column != "text" else _text(row[column]))
        sample_id = f"row {number} of the batch"
        turns = [{"role": "user", "content": content}]
        return Sample(sample_id, parse_messages(turns, modalities=[*self.model.modalities], sample_id=sample_id))


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
