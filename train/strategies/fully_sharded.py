"""FSDP2: the frozen layers of the LLM are spread by torch's `fully_shard`, and what is trained is copied as in DDP."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn

from omni.llm.language_model import LanguageModel
from omni.recipe.schema import TrainConfig
from train.strategies.base import StepRunner, Strategy
from train.strategies.environment import CONFIGS, is_set
from train.strategies.lockstep import Lockstep
from train.strategies.plain import PlainRunner
from train.strategies.sharded_llm import check_sharding, spread_layers


@dataclass(frozen=True)
class FullyShardedStrategy(Strategy):
    """Spreads the LLM's layers by `fully_shard`; see `train.strategies.base.Strategy`.

    Args:
        reshard_after_forward: whether weights are gathered again for the backward pass, which saves memory.
        offload_parameters: whether each process keeps its share in the CPU's memory.
    """

    distributed_types: ClassVar[tuple[DistributedType, ...]] = (DistributedType.FSDP,)

    reshard_after_forward: bool = True
    offload_parameters: bool = False

    @classmethod
    def from_environment(cls) -> Self:
        """Read the options of an `fsdp_config`.

        Raises:
            ValueError: version 1 of FSDP.
        """
        version = os.environ.get("FSDP_VERSION", "1")
        if version != "2":
            raise ValueError(f"fsdp_config: fsdp_version is {version}; only 2 is supported, see {CONFIGS}fsdp2.yaml")
        return cls(is_set("FSDP_RESHARD_AFTER_FORWARD"), is_set("FSDP_OFFLOAD_PARAMS"))

    @property
    def shards_llm(self) -> bool:
        return True

    @property
    def offloads(self) -> bool:
        return self.offload_parameters

    def check(self, llm: LanguageModel | None, config: TrainConfig) -> None:
        """See `train.strategies.sharded_llm.check_sharding`."""
        check_sharding(llm, config)

    def shard_llm(self, llm: LanguageModel, device: torch.device) -> Lockstep:
        """See `train.strategies.base.Strategy`."""

        def spread(decoder: nn.Module, layers: list[nn.Module], parameters: set[nn.Parameter]) -> None:
            self._fully_shard(decoder, layers, parameters, device)

        return spread_layers(llm, device, spread)

    def make_runner(
        self,
        accelerator: Accelerator,
        training_step: nn.Module,
        optimizer: torch.optim.Optimizer,
        lockstep: Lockstep | None,
        max_grad_norm: float | None,
    ) -> StepRunner:
        """Return the runner of plain copies: what is trained is whole on every process."""
        return PlainRunner(accelerator, training_step, optimizer, lockstep)

    def _fully_shard(
        self, decoder: nn.Module, layers: list[nn.Module], spread: set[nn.Parameter], device: torch.device
    ) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

        mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
        options: dict[str, Any] = {
            "mesh": mesh,
            "reshard_after_forward": self.reshard_after_forward,
            "offload_policy": CPUOffloadPolicy() if self.offload_parameters else OffloadPolicy(),
            "ignored_params": set(decoder.parameters()) - spread,
        }
        for layer in layers:
            fully_shard(layer, **options)
        fully_shard(decoder, **options)  # owns no weight; it lets layers gather the next one's weights ahead of time
