"""Ready-made embeddings: a row of a `.npy` or `.safetensors` file, or an array. Files are memory-mapped, not read."""

from pathlib import Path

import numpy as np
from safetensors import safe_open

from omni.media.errors import MediaError
from omni.media.item import Media
from omni.media.loading import loader
from omni.media.source import check_file, describe_source, option, what_it_looks_like

FEATURE_EXTENSIONS = (".npy", ".safetensors")


@loader
def load_features(
    source: Media | str | Path | np.ndarray, row: int | None = None, key: str | None = None
) -> np.ndarray:
    """Load the features of one media item as float32 `[N, D]` (N features of width D).

    Args:
        source: an item with `features` (or a `.npy`/`.safetensors` path), a path, or an array.
        row: index into the first axis of a file of many items, `[rows, D]` or `[rows, N, D]`; default: the item's own
            `row`, or, without one, the whole array, which is then `[D]` or `[N, D]`.
        key: name of the tensor in a `.safetensors` file (default: the item's option `key`, or the only tensor there).

    Raises:
        MediaError: the file is missing or damaged, row or key are not in it, the rank is wrong, or values are not
            finite.
    """
    name = describe_source(source)
    if isinstance(source, Media):
        row = source.row if row is None else row
        key = option(source, "key", key)
        content = source.features if source.features is not None else source.path if source.path else source.data
    else:
        content = source
    if isinstance(content, np.ndarray):
        values = _take_row(content, row, name)
    elif isinstance(content, str | Path):
        values = _load_file(str(content), row, key, name)
    else:
        raise MediaError(name, "expected features: an array, or a .npy or .safetensors file")
    return _checked(values, name, row)


def _load_file(path: str, row: int | None, key: str | None, name: str) -> np.ndarray:
    check_file(path, name)
    suffix = Path(path).suffix.lower()
    if suffix not in FEATURE_EXTENSIONS:
        raise MediaError(name, f"features must be a file of type {' or '.join(FEATURE_EXTENSIONS)}, got {suffix!r}")
    try:
        if suffix == ".npy":
            return _take_row(np.load(path, mmap_mode="r", allow_pickle=False), row, name)
        return _load_safetensors(path, row, key, name)
    except MediaError:
        raise
    except Exception as error:  # a damaged header of NPY is read as Python source, and so raises nearly anything
        raise MediaError(name, f"cannot be read as {suffix} ({error}){what_it_looks_like(path)}") from error


def _load_safetensors(path: str, row: int | None, key: str | None, name: str) -> np.ndarray:
    # Through torch, because NumPy has no bfloat16.
    with safe_open(path, framework="pt") as file:
        keys = sorted(file.keys())
        if key is None and len(keys) == 1:
            key = keys[0]
        if key not in keys:
            wanted = (
                f"has no tensor {key!r}" if key is not None else "holds several tensors: choose one with option 'key'"
            )
            raise MediaError(name, f"{wanted}; it holds {', '.join(keys) or 'nothing'}")
        tensors = file.get_slice(key)
        if row is None:
            return tensors[:].float().numpy()
        _check_row(row, tensors.get_shape(), name)
        return tensors[row : row + 1].float().numpy()[0]


def _take_row(values: np.ndarray, row: int | None, name: str) -> np.ndarray:
    if row is None:
        return values
    _check_row(row, values.shape, name)
    return values[row]


def _check_row(row: int, shape: tuple[int, ...] | list[int], name: str) -> None:
    if not shape or not 0 <= row < shape[0]:
        raise MediaError(
            name, f"has no row {row}; its shape is {list(shape)}, so rows go from 0 to {[*shape, 0][0] - 1}"
        )


def _checked(values: np.ndarray, name: str, row: int | None) -> np.ndarray:
    if values.dtype.kind not in "fiu":
        raise MediaError(name, f"features must be numbers, got the type {values.dtype}")
    if values.ndim not in (1, 2) or values.size == 0:
        hint = "; give the 'row' of the item" if values.ndim == 3 and row is None else ""
        raise MediaError(name, f"features must be [D] or [N, D], got the shape {list(values.shape)}{hint}")
    values = np.array(values, dtype=np.float32)  # a copy: detached from the memory map
    if not np.isfinite(values).all():
        raise MediaError(name, f"holds {int((~np.isfinite(values)).sum())} NaN or infinite values; remove the row")
    return values.reshape(-1, values.shape[-1])
