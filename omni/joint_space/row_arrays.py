"""Rows of numbers that are read a piece at a time, from memory or from a file."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np


class RowArray(Protocol):
    """A two-dimensional array that gives its rows piece by piece."""

    shape: tuple[int, int]
    dtype: np.dtype

    def chunks(self, num_bytes: int) -> Iterator[np.ndarray]:
        """Yield the rows in their order, in pieces of at most `num_bytes`, but of one row at least."""
        ...


class MemoryArray:
    """Rows that are in memory."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.shape: tuple[int, int] = (values.shape[0], values.shape[1])
        self.dtype = values.dtype

    def chunks(self, num_bytes: int) -> Iterator[np.ndarray]:
        """Yield the rows, in pieces of at most `num_bytes`."""
        rows = max(1, num_bytes // self.values[0].nbytes)
        for start in range(0, len(self.values), rows):
            yield self.values[start : start + rows]


class StoredArray:
    """A two-dimensional `.npy` file that is mapped into memory and given back piece by piece."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"{path} is a .npy file of version {version}")
            shape, fortran_order, self.dtype = np.lib.format.read_array_header_1_0(file)
            self._offset = file.tell()
            if fortran_order or len(shape) != 2 or self.dtype not in (np.float32, np.float16):
                raise ValueError(f"{path} holds {self.dtype} {shape}, not rows of float32 or float16")
            self.shape: tuple[int, int] = (shape[0], shape[1])
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # so that torch may take it as it is
        expected = self._offset + shape[0] * shape[1] * self.dtype.itemsize
        if len(self._map) != expected:
            raise ValueError(f"{path} has {len(self._map)} bytes instead of {expected}")

    def chunks(self, num_bytes: int) -> Iterator[np.ndarray]:
        """Yield the rows, in pieces of at most `num_bytes`; each is gone from memory when the next is asked for."""
        width = self.shape[1] * self.dtype.itemsize
        rows = max(1, num_bytes // width)
        for start in range(0, self.shape[0], rows):
            count = min(rows, self.shape[0] - start)
            place = self._offset + start * width
            piece = np.frombuffer(self._map, self.dtype, count * self.shape[1], place)
            yield piece.reshape(count, self.shape[1])
            if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows; pages are read again if they are needed again
                page_start = place // mmap.PAGESIZE * mmap.PAGESIZE
                self._map.madvise(mmap.MADV_DONTNEED, page_start, place + count * width - page_start)
