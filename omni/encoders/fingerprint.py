"""The value of a fingerprint, and the bytes of tensors that go into one."""

import torch
from torch import Tensor


class Fingerprint(str):
    """64 hex digits that tell encoders apart, and the digits under which the same features may have been kept before.

    earlier: the digits by the formula that counted neither constructor arguments nor a declared name; None where that
        formula could not tell two encoders apart, so that what was kept under it may belong to another encoder.
    """

    earlier: str | None

    def __new__(cls, digits: str, earlier: str | None) -> "Fingerprint":
        fingerprint = super().__new__(cls, digits)
        fingerprint.earlier = earlier
        return fingerprint

    def __getnewargs__(self) -> tuple[str, str | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return str(self), self.earlier


def earlier(fingerprint: str) -> str | None:
    """Return `Fingerprint.earlier`; plain digits, which a class of a user's own may return, were always the same."""
    return fingerprint.earlier if isinstance(fingerprint, Fingerprint) else fingerprint


def accepted(fingerprint: str) -> tuple[str, ...]:
    """Return the fingerprints to read features under: the one they are written under, then an earlier one, if any."""
    found = earlier(fingerprint)
    return (fingerprint,) if found is None or found == fingerprint else (fingerprint, found)


def tensor_bytes(tensor: Tensor) -> memoryview:
    """Return the raw bytes of a tensor of any dtype, without a copy where it is contiguous and on the CPU."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
