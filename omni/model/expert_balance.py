"""The load-balancing loss of adapters that route (`adapters.RoutedAdapter`), and how much each expert is used.

Both are sums over samples, weighted as the language-model loss weighs them (by answer tokens), so that micro-batches
and processes add up to the same whatever the cut. Shapes: E experts.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from adapters import ExpertUsage
from omni.model.encoder_stack import EncoderStack
from omni.model.expert_routing import routed_adapters
from omni.model.routing_log import RoutingLog

BALANCE_LOSS = "balance_loss"
_USE = "expert_use"


def expert_balance(log: RoutingLog, num_answer_tokens: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a micro-batch's share, and metrics that add up over micro-batches and processes.

    `balance_loss` is the load-balancing loss before its weight (mean over the answer tokens of samples with routed
    media; 1 = even use), `expert_use/MODALITY/NUMBER` how much of a modality an expert served (see `with_shares`).
    """
    total = torch.zeros(())
    metrics: dict[str, Tensor] = {}
    for passes in log.modalities.values():
        for items in passes:
            loss = items.balance_loss() / num_answer_tokens
            total = total.to(loss.device) + items.adapter.balance_weight * loss
            metrics[BALANCE_LOSS] = metrics.get(BALANCE_LOSS, 0) + loss.detach()
    return total, {**metrics, **expert_use(log, num_answer_tokens)}


def expert_use(log: RoutingLog, num_answer_tokens: int) -> dict[str, Tensor]:
    """Return how much of each modality each expert served, to be summed up (see `with_shares`)."""
    return {
        _key(name, index): use
        for name, passes in log.modalities.items()
        for index, use in enumerate(torch.stack([items.weighted_use() for items in passes]).sum(0) / num_answer_tokens)
    }


def update_usage(model: EncoderStack, metrics: Mapping[str, float]) -> None:
    """Take the summed metrics of a step into what the experts know of their use; the same on all processes."""
    pools: dict[ExpertUsage, list[str]] = {}
    for name, adapter in routed_adapters(model).items():
        pools.setdefault(adapter.expert_usage, []).append(name)
    for pool, names in pools.items():
        use = torch.tensor([sum(metrics.get(_key(name, i), 0.0) for name in names) for i in range(pool.num_experts)])
        if use.sum() > 0:
            pool.update_usage(use / use.sum())


def with_shares(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of a step with each modality's expert use as shares that sum to 1."""
    totals: dict[str, float] = {}
    for name, value in metrics.items():
        if name.startswith(f"{_USE}/"):
            modality = name.rpartition("/")[0]
            totals[modality] = totals.get(modality, 0.0) + value
    return {name: value / (totals.get(name.rpartition("/")[0]) or 1.0) for name, value in metrics.items()}


def _key(modality: str, index: int) -> str:
    return f"{_USE}/{modality}/{index}"
