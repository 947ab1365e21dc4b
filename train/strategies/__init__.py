"""How several processes share one run: plain copies, DeepSpeed's ZeRO, FSDP2. All give the same numbers."""

from train.strategies.base import StepRunner, Strategy
from train.strategies.launch import STRATEGIES, make_accelerator, read_strategy
from train.strategies.lockstep import Lockstep

__all__ = ["STRATEGIES", "Lockstep", "StepRunner", "Strategy", "make_accelerator", "read_strategy"]
