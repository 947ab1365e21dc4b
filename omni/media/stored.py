"""Files of pictures whose numbers Pillow changes or refuses, with the numbers that they store."""

import io
from dataclasses import dataclass

import numpy as np

from omni.media import pgm, tiff


@dataclass(frozen=True)
class StoredNumbers:
    """`values` are `[H, W]` or `[H, W, 2 to 4]`; `white` is the number that is white, if it is not the type's largest
    or 1; with `zero_is_white` a viewer shows the negative."""

    values: np.ndarray
    white: int | None = None
    zero_is_white: bool = False


def read_stored(content: str | bytes, name: str, page: int = 0) -> StoredNumbers | None:
    """Return the numbers of PGM, and of TIFF that Pillow changes or refuses; None for anything else.

    `page` is that of a TIFF of several.

    Raises:
        MediaError: it is damaged or cut off, or has too many pixels.
    """
    with io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(pgm.MAGIC):
            values, white = pgm.read_pgm(file, name)
            return StoredNumbers(values, white=white)
        found = tiff.read_tiff(file, name, page) if magic.startswith(tiff.MAGIC) else None
    return None if found is None else StoredNumbers(found[0], zero_is_white=found[1])
