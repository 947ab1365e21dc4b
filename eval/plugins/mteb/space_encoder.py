"""A joint space as an encoder of mteb."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from eval.plugins.mteb.batches import Row, names_of
from eval.plugins.mteb.encoder import OmniEncoder, fingerprint
from omni.joint_space import JointSpace


class SpaceEncoder(OmniEncoder):
    """A joint space in mteb: pictures, sounds, videos and texts, as far as it has them.

    A row of several media is the sum of their unit embeddings, of unit length again, as `JointSpace.compose` has it.

    Args:
        space: the space.
        name: under which mteb keeps results, such as `me/stamps`.
        audio: the modality for sounds, where the space has more than one.
    """

    def __init__(self, space: JointSpace, name: str, *, audio: str | None = None) -> None:
        names = names_of([*space.modalities], audio) | ({"text": "text"} if "text" in space.modalities else {})
        revision = fingerprint(*(f"{one} {digits}" for one, digits in space.fingerprints().items()))
        super().__init__(names, name, revision, space.dim, sum(one.numel() for one in space.parameters()))
        self.space = space.eval()

    @classmethod
    def load(
        cls,
        folder: str | Path,
        name: str,
        *,
        audio: str | None = None,
        device: str | None = None,
        trust_code: bool = False,
    ) -> Self:
        """Load the space in a folder; the options are those of `JointSpace.load`."""
        return cls(JointSpace.load(folder, trust_code, device=device), name, audio=audio)

    def embed_rows(self, rows: Sequence[Row]) -> Tensor:
        """Return unit embeddings [B, D]."""
        total = torch.zeros(len(rows), self.space.dim, device=self.space.device)
        for column, modality in self.names.items():
            places = [i for i, row in enumerate(rows) if column in row]
            if places:
                total[places] += self.space.embed({modality: [rows[i][column] for i in places]})[modality]
        return F.normalize(total, dim=-1)
