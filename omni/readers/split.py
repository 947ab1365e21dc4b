"""Splits by caption: equal captions stand on one side, always the same, so that a test caption never occurs in
training."""

import hashlib
from collections.abc import Sequence


def is_test_caption(caption: str, test_share: float = 0.2) -> bool:
    """Return whether a caption is on the test side: the hash of its text (case and outer spaces aside) decides.

    Raises:
        ValueError: `test_share` is not between 0 and 1.
    """
    if not 0 <= test_share <= 1:
        raise ValueError(f"test_share must be from 0 to 1, got {test_share}")
    digest = hashlib.sha256(caption.strip().lower().encode()).hexdigest()
    return int(digest[:8], 16) % 100 < round(100 * test_share)


def split_by_caption(captions: Sequence[str], test_share: float = 0.2) -> tuple[list[int], list[int]]:
    """Return the indices of the training rows and of the test rows, in order; `test_share` of the captions are test.

    Raises:
        ValueError: `test_share` is not between 0 and 1.
    """
    sides: tuple[list[int], list[int]] = ([], [])
    for index, caption in enumerate(captions):
        sides[is_test_caption(caption, test_share)].append(index)
    return sides
