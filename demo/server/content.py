"""The content of a medium as JSON carries it: base64, data URIs, arrays as numbers or raw bytes, features."""

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.torch

from demo.server.errors import TOO_LARGE, APIError
from omni.media.errors import MediaError
from omni.media.item import as_array, shorten
from omni.media.npy import read_npy

_NPY = b"\x93NUMPY"
DTYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64"),
)


@dataclass(frozen=True)
class DataURI:
    """The content of a data URI, and the type that it says it has (`image/png`, or nothing)."""

    kind: str
    content: bytes


def decode_base64(text: Any, most: int, where: str) -> bytes:
    """Return the bytes of a text in base64, of the usual or the URL's alphabet.

    Raises:
        APIError: it is no base64, empty, or more than `most` bytes.
    """
    if not isinstance(text, str):
        raise APIError(f"{where} must be base64 text, got {shorten(text)}", param=where)
    if len(text) * 3 // 4 > most + 1024:  # before anything is copied
        raise too_large(most, where)
    compact = "".join(text.split()).replace("-", "+").replace("_", "/")
    try:
        content = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError) as error:
        raise APIError(f"{where} is not valid base64 ({error})", param=where) from error
    if not content:
        raise APIError(f"{where} is empty", param=where)
    if len(content) > most:
        raise too_large(most, where)
    return content


def too_large(most: int, where: str) -> APIError:
    """Return the error of a medium of too many bytes."""
    message = f"{where} is larger than {most / (1 << 20):g} MB, the limit of a medium here"
    return APIError(message, TOO_LARGE, param=where, code="medium_too_large")


def decode_data_uri(text: str, most: int, where: str) -> DataURI:
    """Return what a text `data:TYPE;base64,...` holds.

    Raises:
        APIError: it is none, or as `decode_base64`.
    """
    header, comma, payload = text.partition(",")
    words = header.removeprefix("data:").split(";")
    if not comma or words[-1].strip().lower() != "base64":
        raise APIError(f"{where} must be a data URI in base64 (data:image/png;base64,...)", param=where)
    return DataURI(words[0].strip().lower(), decode_base64(payload, most, where))


def array_of_numbers(value: Any, where: str) -> np.ndarray:
    """Return nested lists of numbers as an array, float32 unless all are whole numbers.

    Raises:
        APIError: they are something else, or of uneven lengths.
    """
    try:
        array = as_array(value)
    except ValueError as error:
        raise APIError(f"{where}: {error}", param=where) from error
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def array_of_bytes(content: bytes, dtype: Any, shape: Any, where: str) -> np.ndarray:
    """Return raw numbers, little-endian and in C's order, as an array.

    Raises:
        APIError: the type is not known, or the shape has another number of bytes.
    """
    if dtype not in DTYPES:
        raise APIError(f"{where}: dtype is {shorten(dtype)}; allowed: {', '.join(DTYPES)}", param=where)
    kind = np.dtype(dtype).newbyteorder("<")
    sizes = [len(content) // kind.itemsize] if shape is None else shape
    is_shape = isinstance(sizes, list) and 0 < len(sizes) <= 8
    if not is_shape or not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes):
        raise APIError(f"{where}: shape must be a list of whole numbers, got {shorten(shape)}", param=where)
    if math.prod(sizes) * kind.itemsize != len(content):
        found = f"{len(content)} bytes are not an array {sizes} of {dtype}"
        raise APIError(f"{where}: {found}", param=where)
    return np.frombuffer(content, kind).reshape(sizes).astype(np.dtype(dtype))


def array_of_npy(content: bytes, where: str) -> np.ndarray:
    """Return the array of the bytes of an NPY file.

    Raises:
        APIError: it is damaged, or holds no numbers.
    """
    try:
        array = read_npy(content, where)
    except MediaError as error:
        raise APIError(str(error), param=where) from error
    if array.dtype.kind not in "biuf":
        raise APIError(f"{where} must be an array of numbers, got the type {array.dtype}", param=where)
    return array.copy()  # encoders may write into their arrays, but not into the bytes of a request


def is_npy(content: bytes) -> bool:
    """Return whether bytes begin as an NPY file does."""
    return content.startswith(_NPY)


def features_of(value: Any, part: Mapping[str, Any], most: int, where: str) -> np.ndarray:
    """Return ready-made features: nested numbers, or base64 of an NPY or safetensors file or of raw numbers.

    Raises:
        APIError: they are something else.
    """
    if isinstance(value, list):
        return array_of_numbers(value, where)
    if isinstance(value, str) and value.startswith("data:"):
        content = decode_data_uri(value, most, where).content
    else:
        content = decode_base64(value, most, where)
    if part.get("dtype") is not None:
        return array_of_bytes(content, part["dtype"], part.get("shape"), where)
    if is_npy(content):
        return array_of_npy(content, where)
    return _from_safetensors(content, part.get("key"), where)


def _from_safetensors(content: bytes, key: Any, where: str) -> np.ndarray:
    try:
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        message = f"{where} must be NPY, safetensors, numbers, or raw numbers with dtype and shape ({error})"
        raise APIError(message, param=where) from error
    if key is None and len(tensors) == 1:
        key = next(iter(tensors))
    if key not in tensors:
        names = ", ".join(sorted(tensors)) or "nothing"
        raise APIError(f"{where} has no tensor {shorten(key)}; name one of these as 'key': {names}", param=where)
    return tensors[key].float().numpy()
