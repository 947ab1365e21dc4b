"""What an explanation costs, which is known before the model is asked anything."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_PASSES = 4096  # of one explanation: hours on a slow machine, so surely a mistake


@dataclass(frozen=True)
class Cost:
    """The work of an explanation.

    Attributes:
        passes: conversations that the LLM reads, each with its answer.
        encoded: media items that encoders read.
        tokens: tokens that the LLM reads in all, media tokens included.
    """

    passes: int
    encoded: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.passes} passes of the LLM over {self.tokens} tokens in all, {self.encoded} media encoded"


def cost_of(parts: Sequence[int], length: int) -> Cost:
    """Return the cost for media of so many `parts`, in a conversation of at most `length` tokens.

    Raises:
        ValueError: it is more than `MOST_PASSES`.
    """
    passes = 2 + sum(count + 1 for count in parts)  # as it is, with attention, and each medium whole and part by part
    if passes > MOST_PASSES:
        raise ValueError(
            f"an explanation by {sum(parts)} parts takes {passes} passes of the LLM, more than {MOST_PASSES}; give a "
            "smaller number of parts, or explain a conversation with fewer media"
        )
    return Cost(passes, passes - 1, passes * length)
