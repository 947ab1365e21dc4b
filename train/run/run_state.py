"""How far a run has come, and what can end it early."""

import math
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
    """How far a run has come, besides weights and optimiser; JSON values."""

    step: int = 0  # steps done
    samples: int = 0  # usable samples seen
    loss_sum: float = 0.0  # nats, over the answer tokens since the last line of metrics
    token_sum: int = 0
    skipped_steps: int = 0  # because their loss or gradient was not finite
    trained_steps: int = 0  # that changed weights: with answers to learn from, and a gradient that is not zero
    # of all forward passes so far; see train.data.packing.positions_taken
    tokens: int = 0
    padded_positions: int = 0
    pack_capacity: int = 0
    evaluated_step: int = -1
    evaluation_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None

    @property
    def mean_loss(self) -> float:
        """The loss per answer token since the last line of metrics, in nats; NaN if there was none."""
        return self.loss_sum / self.token_sum if self.token_sum else math.nan

    def add_loss(self, loss: float, num_tokens: int) -> None:
        """Count the loss of a step, which is the mean over `num_tokens` answer tokens."""
        self.loss_sum += loss * num_tokens
        self.token_sum += num_tokens

    def clear_loss(self) -> None:
        """Begin a new line of metrics."""
        self.loss_sum, self.token_sum = 0.0, 0

    def note_evaluation(self, loss: float) -> bool:
        """Take note of the evaluation loss at this step; return whether it is the best so far."""
        self.evaluated_step, self.evaluation_loss = self.step, loss
        is_best = math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss)
        if is_best:
            self.best_loss, self.best_step = loss, self.step
        return is_best

    def count_positions(self, lengths: Sequence[int], budget: int | None) -> None:
        """Count the positions of a forward pass over samples of `lengths` tokens."""
        tokens, padded, capacity = positions_taken(lengths, budget)
        self.tokens += tokens
        self.padded_positions += padded
        self.pack_capacity += capacity
