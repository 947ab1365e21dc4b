"""The dataclasses that a recipe's YAML is read into; the comment above each field is its help text.

Values are checked twice: types and key names by `omni.config.from_dict`, ranges here in `__post_init__`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from omni.config import AdapterSourceConfig, DType, JointSpaceConfig, LoRAConfig, ModalityConfig, ModelConfig
from omni.config.components import ComponentConfig
from omni.config.trust import following_recipe
from omni.recipe.instructions import INSTRUCTIONS

# The names that a recipe may give to objectives in place of a class path
OBJECTIVES = {
    "language_model": "train.objectives.LanguageModelObjective",
    "align": "train.objectives.AlignObjective",
    "preference": "train.objectives.PreferenceObjective",
    "bind": "train.objectives.BindObjective",
}
# keys of `train` that are about the LLM
LLM_KEYS = ("packing", "activation_checkpointing", "compile", "offload_activations", "fused_loss")

FP16_REFUSED = (
    "train.precision: fp16 overflows in the LLM's activations and gives NaN losses (salesforce/LAVIS issues 111 and "
    "267); use bf16 on hardware that has it, else no (float32)"
)
FLOAT16_LLM_REFUSED = (
    "model.llm.dtype: float16 overflows in the LLM's activations and gradients and gives NaN losses "
    "(salesforce/LAVIS issues 111 and 267), so it is for generation only; train with bfloat16, or float32"
)


HeldOutBy = Literal["rows", "answers"]


@dataclass
class SourceConfig:
    """One data set."""

    # a file, folder, hf:OWNER/NAME, starter:NAME, or tar shards: a-{000..999}.tar, pipe:COMMAND, a list of such
    path: str | list[str]
    # share of this data set in the mix, relative to the others' weights; null = square root of its size
    weight: float | None = None
    # texts appended to user turns that have none: a name from omni/recipe/instructions.py or a list; null = none
    instructions: str | list[str] | None = None
    # use only the first rows; null = all
    limit: int | None = None
    # also train on the text of user turns, as in SQ-LLaVA (self-questioning)
    train_on_questions: bool = False
    # data sets whose answers must not be taught: rows with one of them, in whatever case, are left out
    without_answers_of: list[str] = field(default_factory=list)
    # each row's media give way to one item of this modality: the text of its answer; see docs/joint_space.md
    media_from_answer: str | None = None
    # further arguments of the reader, such as split or image_folder
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The path as messages show it."""
        if isinstance(self.path, str):
            return self.path
        return self.path[0] + (f" and {len(self.path) - 1} more" if len(self.path) > 1 else "")

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("data: path is empty; name a data set or at least one shard")
        if isinstance(self.instructions, str) and self.instructions not in INSTRUCTIONS:
            raise ValueError(
                f"data: instructions {self.instructions!r} of {self.name} is no known list; "
                f"choose one of {sorted(INSTRUCTIONS)} or write a list of your own texts"
            )
        if isinstance(self.instructions, list) and not all(text.strip() for text in self.instructions):
            raise ValueError(f"data: instructions of {self.name} holds an empty text")
        if self.instructions == []:
            raise ValueError(f"data: instructions of {self.name} is an empty list; write null for none")
        if self.weight is not None:
            _require(0 < self.weight < float("inf"), f"data: weight of {self.name}", self.weight, "above 0")
        if self.limit is not None:
            _require(self.limit >= 1, f"data: limit of {self.name}", self.limit, "at least 1, or null")


@dataclass
class DataConfig:
    """What is trained and evaluated on."""

    # data sets that are mixed for training
    train: list[SourceConfig]
    # held-out data sets for the evaluation loss during training; empty = no evaluation
    evaluation: list[SourceConfig] = field(default_factory=list)
    # share of data.train that is kept out of training and added to the evaluation instead
    held_out_share: float = 0.0
    # what it is a share of: rows, so that every answer stays in training as far as it can; answers, with all their rows
    held_out_by: HeldOutBy = "rows"
    # stop when more than this share of the samples seen could not be used
    max_bad_share: float = 0.05

    def __post_init__(self) -> None:
        _require(len(self.train) > 0, "data.train", self.train, "a list of at least one data set")
        _require(0 <= self.held_out_share < 1, "data.held_out_share", self.held_out_share, "at least 0 and below 1")
        _require(0 <= self.max_bad_share <= 1, "data.max_bad_share", self.max_bad_share, "from 0 to 1")


@dataclass
class ParameterGroupConfig:
    """Parameters with a learning rate or weight decay of their own."""

    # names of parameters or modules, such as modalities.image.adapter or *.lora_*; * crosses dots
    match: str | list[str]
    # highest learning rate, which follows train.schedule; null = train.lr
    lr: float | None = None
    # decay of the weights of linear and convolution layers; null = train.weight_decay
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        _require(len(self.match) > 0, "train.parameter_groups: match", self.match, "a pattern or a list of patterns")
        for name in ("lr", "weight_decay"):
            value = getattr(self, name)
            allowed = value is None or 0 <= value < float("inf")
            _require(allowed, f"train.parameter_groups: {name} of {self.match!r}", value, "at least 0, or null")


@dataclass
class TrainConfig:
    """How it is trained."""

    # folder for checkpoints, metrics and the report of bad samples
    output_dir: str
    # seed of initial weights, data order, instructions and dropout
    seed: int = 0
    # optimiser steps; set exactly one of steps and epochs
    steps: int | None = None
    # passes over the mixed data; set exactly one of steps and epochs
    epochs: float | None = None
    # samples of one forward pass of one process
    batch_size: int = 8
    # forward passes of each process before an optimiser step
    accumulation_steps: int = 1
    # adamw of torch, or one of bitsandbytes: states in 8 bits, or paged out to CPU memory when the GPU's is short
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"] = "adamw"
    # parts with a learning rate or weight decay of their own; the first group that matches a parameter has it
    parameter_groups: list[ParameterGroupConfig] = field(default_factory=list)
    # names of parameters or modules that are not trained, such as modalities.image.adapter; * crosses dots
    freeze: list[str] = field(default_factory=list)
    # names that are trained though they would be frozen, such as llm.model.model.norm; applied after freeze
    unfreeze: list[str] = field(default_factory=list)
    # highest learning rate
    lr: float = 1e-3
    # steps over which the learning rate rises from 0
    warmup_steps: int = 0
    # what the learning rate does after the warm-up
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    # learning rate at the end, as a share of the highest
    final_lr_share: float = 0.0
    # AdamW's decay of the weights of linear and convolution layers
    weight_decay: float = 0.05
    # AdamW's decay rates of the running means of gradient and squared gradient
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    # the gradient is scaled down to this norm; null = never
    max_grad_norm: float | None = 1.0
    # a step whose loss or gradient is not finite: stop = end the run, skip = leave the weights as they are and go on
    non_finite: Literal["stop", "skip"] = "stop"
    # with non_finite: skip, most steps of a run that may be skipped
    max_non_finite: int = 10
    # number format of the forward pass: no = that of the weights, bf16 = automatic mixed precision
    precision: Literal["no", "bf16", "fp16"] = "no"
    # several samples per row, without padding
    packing: bool = False
    # tokens of one forward pass of one process, filled with as many samples as fit; null = always batch_size samples
    pack_tokens: int | None = None
    # samples among which those are looked for that fill a forward pass best
    pack_window: int = 1024
    # how the samples of a row are kept apart: auto = the fastest way that works; see omni/llm/packed_attention.py
    pack_attention: Literal["auto", "split", "mask", "varlen", "reference"] = "auto"
    # most tokens of a sample, media tokens included; longer ones count as bad; null = the LLM's context
    max_length: int | None = None
    # processes that read and preprocess data, for each training process
    num_workers: int = 1
    # keep the encoders' features on disk: true = in the shared cache folder, or a folder
    feature_cache: bool | str = False
    # number format of the cached features; float32 gives the very bits of the encoder, the others half the size
    feature_cache_dtype: DType = "float32"
    # most gigabytes (10^9 bytes) that the cache folder may hold; what was not used for longest goes; null = no limit
    feature_cache_max_gb: float | None = None
    # augmented versions of an item that are cached; epoch e uses number e modulo this
    feature_cache_views: int = 1
    # compute the LLM's layers again in the backward pass instead of keeping their activations: less memory, more time
    activation_checkpointing: bool = False
    # compile the LLM's layers with torch.compile: faster steps after a start of a minute or so
    compile: bool = False
    # keep activations in the CPU's memory until the backward pass needs them: for accelerators
    offload_activations: bool = False
    # the loss by Liger Kernel's fused CUDA kernel instead of chunk by chunk; needs the extra flash
    fused_loss: bool = False
    # steps between lines in metrics.jsonl
    log_every: int = 10
    # steps between evaluations; null = only at the end
    evaluate_every: int | None = None
    # steps between checkpoints; null = only at the end and when interrupted
    save_every: int | None = None
    # how many older checkpoints to keep as step-NUMBER, next to last and best
    keep: int = 0
    # continue the run in output_dir: auto = if there is one, must = fail if there is none, never = start anew
    resume: Literal["auto", "never", "must"] = "auto"

    def __post_init__(self) -> None:
        if self.precision == "fp16":
            raise ValueError(FP16_REFUSED)
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(
                f"train: set exactly one of steps and epochs, not steps={self.steps} and epochs={self.epochs}"
            )
        for name in ("steps", "batch_size", "accumulation_steps", "log_every", "evaluate_every", "save_every"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"train.{name}", value, "at least 1")
        _require(self.pack_window >= 1, "train.pack_window", self.pack_window, "at least 1")
        if self.pack_tokens is not None:
            _require(self.pack_tokens >= 2, "train.pack_tokens", self.pack_tokens, "at least 2, or null")
            _require(self.packing, "train.packing", self.packing, "true where train.pack_tokens is set")
        if self.max_length is not None:
            _require(self.max_length >= 2, "train.max_length", self.max_length, "at least 2, or null")
        _require(self.epochs is None or 0 < self.epochs <= 1e9, "train.epochs", self.epochs, "above 0, at most 1e9")
        _require(0 <= self.lr < float("inf"), "train.lr", self.lr, "at least 0")
        _require(self.max_grad_norm is None or self.max_grad_norm > 0, "train.max_grad_norm", self.max_grad_norm, "> 0")
        _require(0 <= self.final_lr_share <= 1, "train.final_lr_share", self.final_lr_share, "from 0 to 1")
        betas_fit = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        _require(betas_fit, "train.betas", self.betas, "two numbers in [0, 1)")
        max_gb = self.feature_cache_max_gb
        _require(max_gb is None or max_gb > 0, "train.feature_cache_max_gb", max_gb, "above 0, or null")
        _require(self.feature_cache_views >= 1, "train.feature_cache_views", self.feature_cache_views, "at least 1")
        for name in ("warmup_steps", "weight_decay", "num_workers", "keep", "seed", "max_non_finite"):
            _require(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "at least 0")


@dataclass
class Recipe:
    """A whole run."""

    # data sets
    data: DataConfig
    # loop, optimiser and output
    train: TrainConfig
    # encoders, adapters and LLM of a new model; set exactly one of model, joint_space and init_from
    model: ModelConfig | None = None
    # encoders and heads of a new joint space, which has no LLM
    joint_space: JointSpaceConfig | None = None
    # folder of an earlier model whose weights the run begins with
    init_from: str | None = None
    # run the code of classes that folders name (init_from, spaces of encoders) though they are neither omni's nor were
    # trained on this machine; see SECURITY.md
    trust_code: bool = False
    # modality name -> a modality to train next to those of init_from, which are frozen unless train.unfreeze names
    # them
    add_modalities: dict[str, ModalityConfig] = field(default_factory=dict)
    # a LoRA to add to the model of init_from, which has none
    add_lora: LoRAConfig | None = None
    # modality name -> where the first weights of its new adapter come from; without, they are random
    init_adapters: dict[str, AdapterSourceConfig] = field(default_factory=dict)
    # what is minimised: a class path and its arguments, or a name: language_model, align, preference, bind
    objective: ComponentConfig = field(
        default_factory=lambda: ComponentConfig("train.objectives.LanguageModelObjective")
    )

    @contextmanager
    def opens_folders(self) -> Iterator[None]:
        """Open inside the folders that it names: what they may run is what it names itself, or allows."""
        models = [model.modalities for model in (self.model, self.joint_space) if model is not None]
        named = [part for model in (*models, self.add_modalities) for one in model.values() for part in one.components]
        with following_recipe([(part.class_path, part.init_args) for part in named], self.trust_code):
            yield

    def __post_init__(self) -> None:
        given = [name for name in ("model", "joint_space", "init_from") if getattr(self, name) is not None]
        if len(given) != 1:
            found = "both " + " and ".join(given) + " are set" if given else "none is set"
            raise ValueError(
                "recipe: set exactly one of model (a new one), joint_space (a new one without LLM) and init_from (a "
                f"folder); {found}"
            )
        if self.joint_space is not None:
            for key in ("add_modalities", "add_lora", "init_adapters"):
                if getattr(self, key):
                    raise ValueError(f"{key} belongs to a model with an LLM; a joint space has none")
            for key in LLM_KEYS:
                if getattr(self.train, key):
                    raise ValueError(f"train.{key} belongs to a model with an LLM; a joint space has none")
        if self.model is not None:
            if self.model.llm.dtype == "float16":
                raise ValueError(FLOAT16_LLM_REFUSED)
            for key, where in (("add_modalities", "model.modalities"), ("add_lora", "model.llm.lora")):
                if getattr(self, key):
                    raise ValueError(f"{key} adds to the model of init_from; with model, write it in {where}")
        for name in self.add_modalities:
            if not name.isidentifier():
                raise ValueError(f"add_modalities: {name!r} is no valid name; use letters, digits and underscores")
        new = self.model.modalities if self.model is not None else self.add_modalities
        for name in self.init_adapters:
            if name not in new:
                raise ValueError(f"init_adapters.{name}: there is no new modality {name!r}; there are {sorted(new)}")


def _require(holds: bool, key: str, value: Any, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{key} is {value!r}, but must be {allowed}")
