"""A disk that is full, for the tests of what writes files."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(limit: int = 4096) -> Iterator[None]:
    """Writing more than `limit` bytes to a file fails, as on a full disk, but for the error's number.

    The limit holds for the whole process, so for pytest's own output too where that goes to a file: keep the block
    around the one call under test, never around a whole test.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
