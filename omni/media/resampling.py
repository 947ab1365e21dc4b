"""Resampling of mono blocks of samples from one rate to another, block by block and without seams."""

from collections.abc import Iterator

import numpy as np
import soxr

_MOST_SAMPLES = 1 << 22  # of a block of the result: 17 MB, as half a million samples at 100 Hz would be 84 million


def resampled(blocks: Iterator[np.ndarray], source_rate: int, rate: int) -> Iterator[np.ndarray]:
    """Yield the blocks `[t]`, float32, at another rate in Hz, in blocks of no more than 4 million samples."""
    if source_rate == rate:
        yield from blocks
        return
    most = max(1, _MOST_SAMPLES * source_rate // rate)
    blocks = (block[begin : begin + most] for block in blocks for begin in range(0, max(len(block), 1), most))
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
