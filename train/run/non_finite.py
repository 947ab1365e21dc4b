"""Steps whose loss or gradient is NaN or infinite: skipped or the end of the run, and written down in either case."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from omni.recipe.schema import TrainConfig
from train.run.run_state import NonFiniteLossError
from train.runtime.save_errors import append_line

NON_FINITE_STEPS = "non_finite.jsonl"


@dataclass(frozen=True)
class NonFiniteStep:
    """A step that cannot be used, and the samples among which its cause is."""

    step: int
    loss: float
    gradient_norm: float
    samples: list[str]

    def __str__(self) -> str:
        what = (
            f"loss is {self.loss}" if not math.isfinite(self.loss) else f"norm of the gradient is {self.gradient_norm}"
        )
        return f"step {self.step}: the {what}. The samples are among {self.samples}"

    def write(self, folder: Path) -> None:
        """Add a line with the step, the reason and the ids to the run's non_finite.jsonl."""
        row = {"step": self.step, "loss": str(self.loss), "gradient_norm": str(self.gradient_norm)}
        append_line(folder / NON_FINITE_STEPS, json.dumps(row | {"samples": self.samples}, ensure_ascii=False))

    def stop_or_go_on(self, config: TrainConfig, num_skipped: int) -> None:
        """Go on if the recipe allows to skip this step, the `num_skipped`-th of its kind.

        Raises:
            NonFiniteLossError: it does not.
        """
        if config.non_finite == "skip" and num_skipped <= config.max_non_finite:
            return
        advice = (
            "Look for broken values in their media, lower train.lr, or raise train.warmup_steps; "
            "last/ holds the latest checkpoint"
        )
        if config.non_finite == "skip":
            raise NonFiniteLossError(
                f"{self}. That is more skipped steps than train.max_non_finite allows ({config.max_non_finite}), all "
                f"of them are in {NON_FINITE_STEPS}. {advice}"
            )
        raise NonFiniteLossError(f"{self}. {advice}, and train.non_finite: skip goes on without such steps")
