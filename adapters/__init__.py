"""Adapters: trainable torch modules that turn the features of a frozen encoder into tokens for a frozen language model."""

from adapters.base import Adapter, Instruction
from adapters.linear import Linear
from adapters.mlp import MLP
from adapters.qformer import QFormer
from adapters.resampler import Resampler

__all__ = ["MLP", "Adapter", "Instruction", "Linear", "QFormer", "Resampler"]
