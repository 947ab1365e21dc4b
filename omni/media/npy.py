"""NPY files: their arrays without ever allocating what a header claims."""

import io

import numpy as np

from omni.media.errors import MediaError
from omni.media.source import what_it_looks_like


def read_npy(content: str | bytes, name: str) -> np.ndarray:
    """Read the array of an NPY file or of its bytes; a file is memory-mapped, so a header cannot claim memory.

    Raises:
        MediaError: it is damaged, or holds objects.
    """
    try:
        if isinstance(content, bytes):
            return _from_bytes(content)
        return np.load(content, mmap_mode="r", allow_pickle=False)
    # A damaged header is read as Python source, and so raises nearly anything.
    except Exception as error:
        raise MediaError(name, f"cannot be read as NPY ({error}){what_it_looks_like(content)}") from error


def _from_bytes(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    # View only the bytes that exist: `np.load` would first allocate whatever the header claims.
    return np.ndarray(shape, dtype, content, file.tell(), order="F" if is_fortran else "C")
