"""One modality of a joint space: its encoder and its head.

Shapes: B items, C clips of an item, N features, F width of the features, D width of the space.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from omni.augmentation import RandomVersions
from omni.config import SpaceModalityConfig
from omni.config.components import admit, build
from omni.encoders.base import Encoder, Features
from omni.encoders.building import admit_media, build_encoder
from omni.joint_space.heads import Head, IdentityHead
from omni.model.modality import EncodedModality


class SpaceModality(EncodedModality):
    """Encoder and head of one modality.

    Args:
        encoder: media -> features.
        head: features -> embeddings.
        config: how to build both again; needed to save the space.
        augmentation: random changes of media items in training; None = none.
    """

    trained_part_name = "head"
    config_key = "joint_space.modalities"

    def __init__(
        self,
        encoder: Encoder,
        head: Head,
        config: SpaceModalityConfig | None = None,
        augmentation: RandomVersions | None = None,
    ) -> None:
        super().__init__(encoder, config, augmentation)
        if encoder.dim != head.feature_dim:
            raise ValueError(
                f"{type(head).__name__} takes features of width {head.feature_dim}, but {type(encoder).__name__} "
                f"gives width {encoder.dim}"
            )
        self.head = head
        self.config: SpaceModalityConfig | None = config

    @property
    def carries_logit_scale(self) -> bool:
        """Whether its embeddings, as the head gives them, are times a published logit scale."""
        return isinstance(self.head, IdentityHead) and self.encoder.carries_logit_scale

    def embed(self, features: Sequence[Features], device: torch.device) -> Tensor:
        """Features of items ([C, N, F], [C, N] each) -> embeddings [B, D] float32 as the head gives them."""
        values, mask = _rows(features, device)
        return self.head(values, mask).float()

    def embed_tokens(self, features: Sequence[Features], device: torch.device) -> tuple[Tensor, Tensor]:
        """Features of items -> an embedding of every feature, all clips together, [B, C * N, D], and which are real."""
        values, mask = _rows(features, device)
        return self.head.tokens(values).float(), mask


def admit_space_modality(config: SpaceModalityConfig, name: str) -> None:
    """Check the classes of the modality `name` of a folder, before anything is built.

    Raises:
        ValueError: naming the class that may not run, or is of another kind than is expected.
    """
    admit_media(config, name, SpaceModality.config_key)
    admit(config.head, f"{SpaceModality.config_key}.{name}.head", Head)


def build_space_modality(config: SpaceModalityConfig, name: str, dim: int) -> SpaceModality:
    """Build encoder and head of the modality `name`; the head is told the widths.

    Raises:
        ValueError: naming the key of the config that does not fit.
    """
    key = f"{SpaceModality.config_key}.{name}"
    encoder = build_encoder(config, name, SpaceModality.config_key)
    head = build(config.head, f"{key}.head", Head, feature_dim=encoder.dim, dim=dim)
    augmentation = None if config.augmentation is None else RandomVersions(config.augmentation, f"{key}.augmentation")
    return SpaceModality(encoder, head, config, augmentation)


def _rows(features: Sequence[Features], device: torch.device) -> tuple[Tensor, Tensor]:
    values = pad_sequence([item.values.flatten(0, 1).to(device).float() for item in features], batch_first=True)
    return values, pad_sequence([item.mask.flatten().to(device) for item in features], batch_first=True)
