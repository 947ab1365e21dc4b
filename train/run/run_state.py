"""How far a run has come, and what can end it early."""

from collections.abc import Sequence
from dataclasses import dataclass

from train.data.packing import positions_taken


class NonFiniteLossError(RuntimeError):
    """The loss or its gradient became NaN or infinite."""


class RunInterruptedError(Exception):
    """SIGINT or SIGTERM: the run was saved."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number


@dataclass
class RunState:
    """What changes from step to step besides weights and optimiser; JSON values."""

    step: int = 0  # steps done
    samples: int = 0  # usable samples seen
    loss_sum: float = 0.0  # nats, over the answer tokens since the last line of metrics
    token_sum: int = 0
    skipped_steps: int = 0  # because their loss or gradient was not finite
    # of all forward passes so far; see train.packing.positions_taken
    tokens: int = 0
    padded_positions: int = 0
    pack_capacity: int = 0
    evaluated_step: int = -1
    evaluation_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None

    def count_positions(self, lengths: Sequence[int], budget: int | None) -> None:
        """Count the positions of a forward pass over samples of `lengths` tokens."""
        tokens, padded, capacity = positions_taken(lengths, budget)
        self.tokens += tokens
        self.padded_positions += padded
        self.pack_capacity += capacity
