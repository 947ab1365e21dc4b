"""Official files that hold arrays: HDF5, and pickles, of which nothing is run."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

# What a pickle of arrays needs; anything else could run code.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("_codecs", "encode"),  # how protocol 2 writes bytes
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no array")
        return super().find_class(module, name)


def read_pickle(path: Path) -> Any:
    """Return the content of a pickle of lists, texts, numbers and arrays, without running code.

    Raises:
        ValueError: it holds anything else, or is damaged.
    """
    try:
        return _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except (MemoryError, RecursionError):
        raise ValueError(f"{path} is damaged: it asks for more memory than there is") from None
    except Exception as error:  # damaged pickles raise almost anything
        raise ValueError(f"{path} cannot be read as a pickle of arrays ({error}); get it again") from error


def read_hdf5(path: Path, *keys: str) -> dict[str, np.ndarray]:
    """Return the arrays under `keys` of an HDF5 file.

    Raises:
        ValueError: it is damaged, or has no such key.
    """
    import h5py

    found = {}
    try:
        with h5py.File(path, "r") as file:
            for key in keys:
                if not isinstance(file.get(key), h5py.Dataset):
                    raise ValueError(f"{path} has no array {key!r}; found {', '.join(map(str, file)) or 'nothing'}")
                found[key] = np.asarray(file[key])
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as HDF5 ({error}); get it again") from error
    return found
