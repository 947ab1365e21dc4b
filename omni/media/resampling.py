"""Resampling of mono blocks of samples from one rate to another, block by block and without seams."""

from collections.abc import Iterator

import numpy as np
import soxr


def resampled(blocks: Iterator[np.ndarray], source_rate: int, rate: int) -> Iterator[np.ndarray]:
    """Yield the blocks `[t]`, float32, at another rate in Hz."""
    if source_rate == rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(source_rate, rate, 1, dtype="float32")
    last = np.zeros(0, np.float32)
    produced = 0
    for block in blocks:
        if len(last):
            output = stream.resample_chunk(last)
            produced += len(output)
            yield output
        last = np.ascontiguousarray(block, dtype=np.float32)
    if len(last):
        output = stream.resample_chunk(last, last=True)
        # A handful of samples can round down to none; the sound is still not empty.
        yield output if produced + len(output) else last[:1]
