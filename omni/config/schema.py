"""Dataclasses for models and joint spaces: the keys `model` and `joint_space` of a recipe and of a `config.yaml`."""

from dataclasses import dataclass, field
from typing import Any, Literal

from omni.config.components import ComponentConfig

DType = Literal["float32", "bfloat16", "float16"]


@dataclass
class LoRAConfig:
    """Low-rank adaptation of the LLM (Hu et al. 2021), through PEFT."""

    # rank of the update
    r: int = 8
    # the update is scaled by alpha / r
    alpha: int = 16
    # dropout before the low-rank update
    dropout: float = 0.0
    # names of the linear layers to adapt; null = PEFT's choice for the architecture; "all-linear" = every one
    target_modules: list[str] | str | None = None
    # one LoRA for everything, or one for each modality, active where that modality is present
    mode: Literal["shared", "per_modality"] = "shared"
    # weight-decomposed variant, DoRA (Liu et al. 2024)
    use_dora: bool = False
    # scale by alpha / sqrt(r), rsLoRA (Kalajdzievski 2023)
    use_rslora: bool = False
    # further arguments of peft.LoraConfig, such as bias, layers_to_transform, rank_pattern, init_lora_weights
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.r < 1:
            raise ValueError(f"lora.r must be at least 1, not {self.r}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"lora.dropout must be in [0, 1), not {self.dropout}")


@dataclass
class LLMConfig:
    """The frozen causal language model."""

    # a Hugging Face id, a local folder, or starter:smollm2
    name: str
    # number format of its weights
    dtype: DType = "float32"
    # bitsandbytes quantisation of its linear layers
    quantization: Literal["nf4", "int8"] | None = None
    # low-rank adaptation; null = the LLM stays exactly as it is
    lora: LoRAConfig | None = None
    # transformers' attention implementation; sdpa means eager for architectures that have no sdpa; flash_attention_2 is
    # for CUDA devices, and computes in 16 bits only
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    # licence for the model card, where the LLM's own card does not state it
    licence: str | None = None

    def __post_init__(self) -> None:
        if self.attention == "flash_attention_2" and self.dtype == "float32":
            raise ValueError(
                "llm.attention: flash_attention_2 takes no float32 weights; set llm.dtype to bfloat16 or float16, or "
                "llm.attention to sdpa"
            )


@dataclass
class EncoderConfig:
    """How media of one modality become features."""

    # frozen network from media to features
    encoder: ComponentConfig

    @property
    def components(self) -> list[ComponentConfig]:
        """What is built for it, without the parts of these parts."""
        return [self.encoder]


@dataclass
class ModalityConfig(EncoderConfig):
    """How media of one modality reach the LLM."""

    # trained network from features to media tokens
    adapter: ComponentConfig
    # modalities with the same word here share what their adapters have in common: the experts of adapters.Experts, the
    # inserted layers of adapters.GatedCrossAttention, all of any other adapter where their encoders give features of
    # one width; their `adapter` must be the same. null = it shares nothing
    share_adapter: str | None = None
    # text before the media tokens
    cue: str = ""
    # true: the adapter sees all clips of an item at once; false: each clip by itself, as X-InstructBLIP does
    join_clips: bool = True
    # random change of media items in training only, such as omni.augmentation.RandomResizedCrop; null = none
    augmentation: ComponentConfig | None = None
    # standard deviation of the normal noise on features in training, in the features' own scale
    feature_noise: float = 0.0

    @property
    def components(self) -> list[ComponentConfig]:
        return [self.encoder, self.adapter, *([] if self.augmentation is None else [self.augmentation])]

    def __post_init__(self) -> None:
        if not 0 <= self.feature_noise < float("inf"):
            raise ValueError(f"feature_noise is {self.feature_noise}; allowed: a number of at least 0")


@dataclass
class PromptConfig:
    """A layout without chat template, such as that of BLIP-2, InstructBLIP and X-InstructBLIP.

    A user's turn consists of its prefix, its media in their order, each after its cue, and its text. Each of these
    pieces is tokenised by itself, and so is the answer.
    """

    # token that begins pieces, such as </s>; null = none
    start_token: str | None = None
    # pieces that it begins: each one (but for the answer), or the first of a conversation only
    start: Literal["each", "first"] = "each"
    # text before the media of a user's turn
    prefix: str = ""
    # text directly after the user's
    postfix: str = ""
    # text directly before an answer, unless it answers no text at all
    answer_prefix: str = ""
    # token that ends an answer; null = the LLM's end token
    answer_end: str | None = None
    # false: only the adapters read the user's text
    show_text: bool = True


@dataclass
class ModelConfig:
    """Encoders, adapters and LLM of one model."""

    # the language model
    llm: LLMConfig
    # modality name -> its encoder and adapter
    modalities: dict[str, ModalityConfig] = field(default_factory=dict)
    # system message where a conversation has none; null = the chat template's own default
    system: str | None = None
    # layout of conversations; null = the LLM's chat template
    prompt: PromptConfig | None = None

    def __post_init__(self) -> None:
        for name in self.modalities:
            if not name.isidentifier():
                raise ValueError(f"model.modalities: {name!r} is no valid name; use letters, digits and underscores")


@dataclass
class SpaceModalityConfig(EncoderConfig):
    """How media of one modality reach the space."""

    # network from features to embeddings: a class of omni.joint_space.heads, or one of your own
    head: ComponentConfig = field(default_factory=lambda: ComponentConfig("omni.joint_space.LinearHead"))
    # random change of media items in training only, such as omni.augmentation.RandomResizedCrop; null = none
    augmentation: ComponentConfig | None = None

    @property
    def components(self) -> list[ComponentConfig]:
        return [self.encoder, self.head, *([] if self.augmentation is None else [self.augmentation])]


@dataclass
class JointSpaceConfig:
    """Encoders and heads of one space; the modality `text` is the one that takes plain texts."""

    # modality name -> its encoder and head
    modalities: dict[str, SpaceModalityConfig]
    # width of the embeddings
    dim: int
    # factor of cosine similarities before a softmax; training begins with it and learns it
    logit_scale: float = 1 / 0.07
    # how two items are compared: pooled = one embedding each; late = feature by feature. Training sets it by its loss:
    # late for omni.losses.FILIP, pooled for the others
    interaction: Literal["pooled", "late"] = "pooled"

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


@dataclass
class AdapterSourceConfig:
    """Where an adapter's first weights come from."""

    # a model folder that training wrote, a Hugging Face folder, or a file (.safetensors, .bin, .pt, .pth)
    path: str
    # which modality of it, where it has several; null = the one of the same name, or the only one
    modality: str | None = None
    # names of the weights to take, as the adapter has them; * crosses dots; null = all
    include: list[str] | None = None
    # names that keep their random values, such as projection or layers.*.attention
    exclude: list[str] | None = None
