"""Which conversations may be in one call of the LLM: those whose numbers are then the same as alone."""

from bisect import bisect_left
from collections.abc import Sequence


def exact_batches(
    lengths: Sequence[int], ends: Sequence[int], switches: Sequence[int], *, can_batch: bool
) -> list[list[int]]:
    """Return the indices of conversations that may be together.

    Args:
        lengths: tokens of each conversation.
        ends: tokens that each may have at the end, with its answer.
        switches: lengths beyond which the LLM computes all positions of a sequence otherwise, in their order.
        can_batch: whether conversations of different lengths may be together at all.
    """
    if not can_batch:
        return [[index] for index in range(len(lengths))]
    found: dict[int, list[int]] = {}
    alone = []
    for index, (length, end) in enumerate(zip(lengths, ends, strict=True)):
        kind = bisect_left(switches, length)
        if bisect_left(switches, end) == kind:
            found.setdefault(kind, []).append(index)
        else:  # its answer may cross the limit, which no other row of the batch must do with it
            alone.append([index])
    return [*found.values(), *alone]
