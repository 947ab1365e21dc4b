"""Letters that count options: A is the first one."""

import re
import string

LETTERS = string.ascii_uppercase
_LETTER = re.compile(r"\s*[(\[]?\s*([A-Za-z])\s*[)\].:]*\s*")


def letter_index(text: object) -> int | None:
    """Return the index that a text names by a letter alone, such as `B`, `(b)` or `B.`; None if it is anything else."""
    found = _LETTER.fullmatch(text) if isinstance(text, str) else None
    return LETTERS.index(found[1].upper()) if found else None
