"""The contract of mteb's encoders, without how rows become embeddings."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from eval.plugins.mteb.batches import COLUMNS, Row, read_batches

if TYPE_CHECKING:
    from mteb.models.model_meta import ModelMeta  # pyright: ignore[reportMissingImports]  # an environment of its own


class OmniEncoder(ABC):
    """What `mteb.evaluate` and `mteb.mock_run` take as a model; it has the methods of mteb's `EncoderProtocol`.

    Args:
        names: mteb's modality -> the model's, texts included.
        name: under which results are kept, such as `me/stamps`.
        revision: changes with anything that changes the embeddings, since mteb keeps results by it.
        dim: width of the embeddings.
        num_parameters: of the whole model.
    """

    def __init__(self, names: dict[str, str], name: str, revision: str, dim: int, num_parameters: int) -> None:
        if name.count("/") != 1 or not all(name.split("/")):
            raise ValueError(f"mteb's names have the form OWNER/MODEL, such as me/stamps; got {name!r}")
        self.names = {column: names[column] for column in COLUMNS if column in names}
        self.name = name
        self.revision = revision
        self.dim = dim
        self.num_parameters = num_parameters

    @abstractmethod
    def embed_rows(self, rows: Sequence[Row]) -> Tensor:
        """Return the embeddings [B, D] of rows with the columns of `names`."""

    @property
    def mteb_model_meta(self) -> "ModelMeta":
        """What mteb records of the model; it names the modalities that tasks may have."""
        from mteb.models.model_meta import ModelMeta, ScoringFunction  # pyright: ignore[reportMissingImports]

        return ModelMeta(
            loader=None,
            name=self.name,
            revision=self.revision,
            release_date=None,
            languages=None,
            n_parameters=self.num_parameters,
            memory_usage_mb=None,
            max_tokens=None,
            embed_dim=self.dim,
            license=None,
            open_weights=None,
            public_training_code=None,
            public_training_data=None,
            framework=["PyTorch"],
            similarity_fn_name=ScoringFunction.COSINE,
            use_instructions=False,
            training_datasets=None,
            modalities=[*self.names],
        )

    @torch.no_grad()
    def encode(
        self,
        inputs: DataLoader,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Return the embeddings [N, D] float32 of all rows, in order; mteb's prompts of tasks are not used.

        Raises:
            ValueError: a row that cannot be embedded, with the task and the number of the row.
        """
        found: list[Tensor] = []
        try:
            for rows in read_batches(inputs, [*self.names]):
                found.append(self.embed_rows(rows).float().cpu())
        except ValueError as error:
            done = sum(map(len, found))
            raise ValueError(
                f"{task_metadata.name}, {hf_split}, {hf_subset}: {error} (in the batch from row {done} on)"
            ) from error
        return torch.cat(found).numpy() if found else np.zeros((0, self.dim), np.float32)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the cosine similarities [N, M] of embeddings [N, D] and [M, D]; single ones may be [D]."""
        return _units(embeddings1) @ _units(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the cosine similarities [N] of pairs of embeddings, [N, D] each."""
        return (_units(embeddings1) * _units(embeddings2)).sum(-1)


def fingerprint(*parts: str) -> str:
    """Return hex digits that change with any of the texts, for `revision`."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _units(embeddings: Any) -> Tensor:
    values = torch.as_tensor(np.asarray(embeddings), dtype=torch.float32)
    return F.normalize(values.reshape(-1, values.shape[-1]), dim=-1)
