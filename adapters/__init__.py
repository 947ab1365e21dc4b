"""Adapters: trainable torch modules, from the features of a frozen encoder to tokens for a frozen language model."""

from adapters.attended import AttendedAdapter
from adapters.base import Adapter, Instruction
from adapters.cross_attention import GatedCrossAttention
from adapters.experts import Experts
from adapters.linear import Linear
from adapters.mlp import MLP
from adapters.pooled import PooledMLP
from adapters.qformer import QFormer
from adapters.resampler import Resampler
from adapters.routed import ExpertUsage, RoutedAdapter, Routing

__all__ = [
    "MLP",
    "Adapter",
    "AttendedAdapter",
    "ExpertUsage",
    "Experts",
    "GatedCrossAttention",
    "Instruction",
    "Linear",
    "PooledMLP",
    "QFormer",
    "Resampler",
    "RoutedAdapter",
    "Routing",
]
