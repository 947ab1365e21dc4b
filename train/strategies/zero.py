"""DeepSpeed's ZeRO stages 1 and 2 over what is trained: each process updates its share of the weights.

DeepSpeed sees the trained weights only. The frozen ones have no gradient and no state of an optimiser to share, and
DeepSpeed would refuse to hold a bfloat16 LLM beside float32 adapters.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from omni.model.batch import Example
from train.strategies.deepspeed_setup import start_deepspeed
from train.strategies.environment import CONFIGS
from train.strategies.lockstep import Lockstep

_MEANS = ("exp_avg", "exp_avg_sq")  # AdamW's running means, one value for each weight


class ZeroRunner:
    """Runs and updates what is trained; see `train.strategies.base.StepRunner`.

    The optimiser's state is given and taken whole, by parameter: so a run may go on under another strategy, or with
    another number of processes.

    Raises:
        ValueError: an optimiser whose state cannot be spread.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        training_step: nn.Module,
        optimizer: torch.optim.Optimizer,
        lockstep: Lockstep | None,
        stage: int,
        deepspeed_config: Mapping[str, Any],
        max_grad_norm: float | None,
    ) -> None:
        if type(optimizer) is not torch.optim.AdamW:
            raise ValueError(
                f"DeepSpeed spreads the state of AdamW only, not of {type(optimizer).__name__}; "
                f"choose adamw or launch with {CONFIGS}ddp.yaml or fsdp2.yaml"
            )
        self.accelerator = accelerator
        self.training_step = training_step
        self.lockstep = lockstep
        self.optimizer: torch.optim.Optimizer = optimizer
        self.groups: list[list[nn.Parameter]] = [list(group["params"]) for group in optimizer.param_groups]
        state: dict[Any, dict[str, Tensor]] = dict(optimizer.state)  # of a run that goes on
        optimizer.state.clear()
        self._engine = _make_engine(self.groups, optimizer, stage, deepspeed_config, max_grad_norm)
        self._spread_state(state)

    @property
    def _zero(self) -> Any:
        return self._engine.optimizer

    def forward_backward(
        self, batch: Sequence[Example], num_answer_tokens: int, *, is_last: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Forward and backward of a micro-batch; the gradients of a step are added up."""
        with self.accelerator.autocast():
            loss, metrics = self.training_step(batch, num_answer_tokens)
        anchor = None if self.lockstep is None else self.lockstep.finish()
        total = loss if anchor is None else loss + anchor.to(loss.device)
        self._engine.set_gradient_accumulation_boundary(is_last)
        # DeepSpeed averages over processes; the division by num_tokens already makes the mean. It puts gradients into
        # its buckets as they come, so they must come in the same order everywhere: `touch_all_parameters`, which is
        # first in the forward pass and so last in the backward pass, completes them in the order of the parameters.
        self._engine.backward(total * self.accelerator.num_processes)
        return loss.detach(), metrics

    def clip_gradients(self, limit: float) -> float:
        """The norm of the gradients over all that is trained; DeepSpeed scales them down as it updates."""
        norm = float(self._zero.scaled_global_norm())
        return norm if norm >= 0 else math.nan  # DeepSpeed gives -1 for one that is not finite

    def update(self) -> None:
        """One step of the optimiser; gradients are gone afterwards."""
        self._engine.step()

    def discard_gradients(self) -> None:
        """Forget the gradients of this step; what DeepSpeed itself does when a half-precision gradient overflows."""
        zero = self._zero
        zero.micro_step_id = -1
        zero.zero_grad()
        zero._release_preflattened_grad_buffers()
        if zero.cpu_offload:
            zero.reset_cpu_buffers()
        for index in zero.averaged_gradients:
            zero.averaged_gradients[index] = None
            zero.all_grad_tensors[index] = None

    def optimizer_state(self) -> dict[str, Any]:
        """As torch's optimizers give it, whole, gathered from all processes, who all call it."""
        from deepspeed.utils import safe_get_full_optimizer_state

        state: dict[int, dict[str, Tensor]] = {}
        groups: list[dict[str, Any]] = []
        for group, parameters in zip(self.optimizer.param_groups, self.groups, strict=True):
            first = len(state)
            own = self.optimizer.state[group["params"][0]]  # of this process's share
            for parameter in parameters:
                whole = {name: cast(Tensor, safe_get_full_optimizer_state(parameter, name)) for name in _MEANS}
                state[len(state)] = {"step": own["step"].clone(), **whole}
            groups.append(group | {"params": list(range(first, len(state)))})
        return {"state": state, "param_groups": groups}

    def _spread_state(self, state: dict[Any, dict[str, Tensor]]) -> None:
        """Give each process its share of `state`; zeros if there is none.

        Zeros too are put there now and not by AdamW at its first step, since DeepSpeed links parameters to their
        state while the first group is updated, when the other groups do not have any yet.
        """
        from deepspeed.utils import safe_set_full_optimizer_state

        for group, parameters in zip(self.optimizer.param_groups, self.groups, strict=True):
            share = group["params"][0]
            step = state[parameters[0]]["step"].clone() if state else torch.zeros(())
            self.optimizer.state[share] = {"step": step, **{name: torch.zeros_like(share) for name in _MEANS}}
        self._zero._lazy_init_hp_params_optimizer_state()
        for parameter, whole in state.items():
            for name in _MEANS:
                safe_set_full_optimizer_state(parameter, whole[name], name)


def _make_engine(
    groups: list[list[nn.Parameter]],
    optimizer: torch.optim.Optimizer,
    stage: int,
    deepspeed_config: Mapping[str, Any],
    max_grad_norm: float | None,
) -> Any:
    deepspeed = start_deepspeed(groups[0][0].device)
    zero = {**deepspeed_config["zero_optimization"], "stage": stage}
    zero.pop("offload_param", None)
    config = {**deepspeed_config} | {
        "train_micro_batch_size_per_gpu": 1,  # for DeepSpeed's own counts only; the loop makes batches and the mean
        "gradient_accumulation_steps": 1,
        "gradient_clipping": max_grad_norm or 0.0,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # what is trained is small: torch's own AdamW, the same everywhere
        "bf16": {"enabled": False},  # trained weights stay float32, computed with under autocast as everywhere else
    }
    config.pop("train_batch_size", None)
    trained = nn.Module()
    trained.weights = nn.ParameterList([parameter for group in groups for parameter in group])
    engine, *_ = deepspeed.initialize(model=trained, optimizer=optimizer, config=config, dist_init_required=False)
    return engine
