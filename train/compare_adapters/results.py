"""The figures of each adapter, and the table of all."""

from collections.abc import Sequence
from dataclasses import dataclass

from omni.runtime.extras import import_extra
from train.compare_adapters.contenders import Budget

HEADER = (
    "| adapter | parameters | media tokens | steps | training, s | peak memory, MB | loss | held-out choice of 10 |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class AdapterResult:
    """What one adapter took, and what it learned."""

    adapter: str
    parameters: int
    media_tokens: int  # of one item, in the LLM's sequence
    steps: int
    seconds: float  # of training
    peak_bytes: int  # of training, above what was taken before
    loss: float  # mean over the last quarter of the steps, nats per answer token
    correct: int
    num_items: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval (Wilson 1927) of the held-out score.

        Raises:
            ModuleNotFoundError: scipy is not installed.
        """
        stats = import_extra("scipy.stats", "train", "intervals")
        found = stats.binomtest(self.correct, self.num_items).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    def line(self) -> str:
        """Return the row of the table."""
        low, high = self.interval
        score = f"{self.correct / self.num_items:.0%} ({low:.0%} to {high:.0%})"
        return (
            f"| {self.adapter} | {self.parameters / 1e6:.2f} M | {self.media_tokens} | {self.steps} | "
            f"{self.seconds:.0f} | {self.peak_bytes / 1e6:.0f} | {self.loss:.2f} | {score} |"
        )


def markdown(results: Sequence[AdapterResult], budget: Budget, num_train: int, threads: int) -> str:
    """Return the table, with a sentence on what was measured."""
    until = "" if budget.seconds is None else f" or {budget.seconds:g} s"
    text = (
        f"{num_train} pictures, batches of {budget.batch_size}, {budget.steps} steps{until}, learning rate "
        f"{budget.lr:g}, {threads} thread(s); {results[0].num_items} held-out pictures, chance 10 %, 95 % intervals."
    )
    return "\n".join([text, "", HEADER, *(one.line() for one in results)])
