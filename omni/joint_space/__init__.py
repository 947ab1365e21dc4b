"""One space for media of any modality and texts: embed, classify, retrieve, compose."""

from omni.config import JointSpaceConfig, SpaceModalityConfig
from omni.joint_space.encoder import SpaceEncoder
from omni.joint_space.few_shot import FewShotClassifier
from omni.joint_space.heads import Head, IdentityHead, LinearHead, MLPHead
from omni.joint_space.imagebind import IMAGEBIND_MODALITIES, imagebind_space
from omni.joint_space.index import EmbeddingIndex, Hit
from omni.joint_space.missing import MissingModality
from omni.joint_space.modality import SpaceModality
from omni.joint_space.rows import measure_centers
from omni.joint_space.space import JointSpace, build_space

__all__ = [
    "IMAGEBIND_MODALITIES",
    "EmbeddingIndex",
    "FewShotClassifier",
    "Head",
    "Hit",
    "IdentityHead",
    "JointSpace",
    "JointSpaceConfig",
    "LinearHead",
    "MLPHead",
    "MissingModality",
    "SpaceEncoder",
    "SpaceModality",
    "SpaceModalityConfig",
    "build_space",
    "imagebind_space",
    "measure_centers",
]
