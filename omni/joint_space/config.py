"""What a joint space is made of: the `joint_space:` key of a recipe and of a space's `config.yaml`, which are the
same."""

from dataclasses import dataclass, field

from omni.components import ComponentConfig
from omni.config import EncoderConfig


@dataclass
class SpaceModalityConfig(EncoderConfig):
    """How media of one modality reach the space."""

    # network from features to embeddings: a class of omni.joint_space.heads, or one of your own
    head: ComponentConfig = field(default_factory=lambda: ComponentConfig("omni.joint_space.LinearHead"))
    # random change of media items in training only, such as omni.augmentation.RandomResizedCrop; null = none
    augmentation: ComponentConfig | None = None


@dataclass
class JointSpaceConfig:
    """Encoders and heads of one space; the modality `text` is the one that takes plain texts."""

    # modality name -> its encoder and head
    modalities: dict[str, SpaceModalityConfig]
    # width of the embeddings
    dim: int
    # what cosine similarities are multiplied by before a softmax; training begins with it and learns it
    logit_scale: float = 1 / 0.07

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ValueError("joint_space.modalities is empty; name at least one modality")
        for name in self.modalities:
            if not name.isidentifier():
                raise ValueError(f"joint_space.modalities: {name!r} is no valid name; use letters, digits, underscores")
        if self.dim < 1:
            raise ValueError(f"joint_space.dim is {self.dim}; it must be at least 1")
        if not 0 < self.logit_scale <= 100:
            raise ValueError(f"joint_space.logit_scale is {self.logit_scale}; it must be above 0 and at most 100")
