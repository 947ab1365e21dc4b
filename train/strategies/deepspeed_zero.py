"""DeepSpeed's ZeRO: the optimiser's state is shared out, from stage 2 on gradients too, and with stage 3 the LLM."""

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn

from omni.llm.language_model import LanguageModel
from omni.recipe.schema import TrainConfig
from train.strategies.base import StepRunner, Strategy
from train.strategies.deepspeed_setup import start_deepspeed
from train.strategies.environment import CONFIGS
from train.strategies.lockstep import Lockstep
from train.strategies.sharded_llm import check_sharding, spread_layers
from train.strategies.zero import ZeroRunner


@dataclass(frozen=True)
class DeepSpeedStrategy(Strategy):
    """Shares the optimiser out by DeepSpeed; see `train.strategies.base.Strategy`.

    Args:
        zero_stage: 1 and 2 = its sharded optimiser; 3 = the same, and the LLM's layers are sharded.
        deepspeed_config: all that DeepSpeed is configured with.
        offload_optimizer: whether the optimiser's state is kept in the CPU's memory.
        offload_parameters: whether the shares of the LLM are kept there.
    """

    distributed_types: ClassVar[tuple[DistributedType, ...]] = (DistributedType.DEEPSPEED,)

    zero_stage: int
    deepspeed_config: dict[str, Any] = field(default_factory=dict)
    offload_optimizer: bool = False
    offload_parameters: bool = False

    @classmethod
    def from_environment(cls) -> Self:
        """Read the options of a `deepspeed_config`.

        Raises:
            ValueError: DeepSpeed is not installed, or a setting that is not supported or that the recipe decides.
        """
        if importlib.util.find_spec("deepspeed") is None:
            raise ValueError("the launcher asks for DeepSpeed, which is not installed: pip install 'omni[deepspeed]'")
        from accelerate import DeepSpeedPlugin  # which cannot be made without deepspeed

        config = DeepSpeedPlugin().deepspeed_config
        zero = config["zero_optimization"]
        devices = {name: (zero.get(f"offload_{name}") or {}).get("device", "none") for name in ("optimizer", "param")}
        for name, device in devices.items():
            if device not in ("none", "cpu"):
                raise ValueError(f"deepspeed_config: offload_{name}_device is {device!r}; none and cpu are supported")
        for section in ("fp16", "optimizer", "scheduler"):
            if section in config and (section != "fp16" or config[section].get("enabled")):
                raise ValueError(
                    f"deepspeed_config sets {section!r}, which the recipe decides (train.precision, train.lr, "
                    f"train.schedule and so on); remove it, or use a file of {CONFIGS}"
                )
        if zero["stage"] not in (1, 2, 3):
            raise ValueError(f"deepspeed_config: zero_stage is {zero['stage']!r}; use 1, 2 or 3, or {CONFIGS}ddp.yaml")
        return cls(
            zero_stage=int(zero["stage"]),
            deepspeed_config=config,
            offload_optimizer=devices["optimizer"] == "cpu",
            offload_parameters=devices["param"] == "cpu" and zero["stage"] == 3,
        )

    @property
    def shards_llm(self) -> bool:
        return self.zero_stage == 3

    @property
    def offloads(self) -> bool:
        return self.offload_optimizer or self.offload_parameters

    def check(self, llm: LanguageModel | None, config: TrainConfig) -> None:
        """See `train.strategies.sharded_llm.check_sharding`, for stage 3."""
        if self.shards_llm:
            check_sharding(llm, config)

    def shard_llm(self, llm: LanguageModel, device: torch.device) -> Lockstep:
        """See `train.strategies.base.Strategy`."""

        def spread(decoder: nn.Module, layers: list[nn.Module], parameters: set[nn.Parameter]) -> None:
            start_deepspeed(device)
            with _only_modules_with(decoder, parameters):
                _shard(decoder, self.deepspeed_config)

        return spread_layers(llm, device, spread)

    def make_runner(
        self,
        accelerator: Accelerator,
        training_step: nn.Module,
        optimizer: torch.optim.Optimizer,
        lockstep: Lockstep | None,
        max_grad_norm: float | None,
    ) -> StepRunner:
        """See `train.strategies.base.Strategy`; the optimiser must be AdamW."""
        # what stage 3 adds is done by `shard_llm`
        stage = min(2, self.zero_stage)
        return ZeroRunner(accelerator, training_step, optimizer, lockstep, stage, self.deepspeed_config, max_grad_norm)


def _shard(decoder: nn.Module, config: Mapping[str, Any]) -> None:
    from deepspeed.runtime.config import DeepSpeedConfig
    from deepspeed.runtime.zero.parameter_offload import DeepSpeedZeRoOffload
    from deepspeed.utils.timer import NoopTimer

    values = {**config} | {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1}
    values.pop("train_batch_size", None)
    zero = DeepSpeedConfig(values).zero_config
    DeepSpeedZeRoOffload(
        decoder,
        timers=NoopTimer(),
        ds_config=values,
        overlap_comm=bool(zero.overlap_comm),
        prefetch_bucket_size=zero.prefetch_bucket_size,
        max_reuse_distance=zero.max_reuse_distance,
        max_live_parameters=zero.max_live_parameters,
        param_persistence_threshold=zero.param_persistence_threshold,
        model_persistence_threshold=zero.model_persistence_threshold,
        offload_param_config=zero.offload_param,
    )


@contextlib.contextmanager
def _only_modules_with(root: nn.Module, parameters: set[nn.Parameter]) -> Iterator[None]:
    """While this is active, `root` has no modules inside but those that hold some of `parameters`.

    DeepSpeed puts its hooks on what it sees, and demands that all processes run all of it in the same order. The
    dropout of a LoRA, for example, runs only where the LoRA is switched on.
    """
    changed: list[tuple[nn.Module, dict[str, nn.Module | None]]] = []
    for parent in list(root.modules()):
        children = dict(parent._modules)
        kept: dict[str, nn.Module | None] = {
            name: child
            for name, child in children.items()
            if child is not None and any(parameter in parameters for parameter in child.parameters())
        }
        if len(kept) < len(children):
            changed.append((parent, children))
            parent._modules = kept
    try:
        yield
    finally:
        for parent, children in changed:
            parent._modules = children
