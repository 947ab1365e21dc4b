"""Texts that say the same in another spelling: `November` and `november.` are one answer, not two candidates."""

import unicodedata
from collections.abc import Sequence

_AT_THE_ENDS = " \t\n.,;:!?…\"'“”‘’«»"


def one_spelling(texts: Sequence[str]) -> list[str]:
    """Return for each text the first spelling, in sorted order, of those among the texts that say the same.

    They differ in capitals, white space, the way Unicode writes a letter, or the punctuation at either end. A single
    letter is told apart by its case.
    """
    first: dict[str, str] = {}
    for text in sorted(set(texts)):
        first.setdefault(_said(text), text)
    return [first[_said(text)] for text in texts]


def _said(text: str) -> str:
    found = " ".join(unicodedata.normalize("NFKC", text).split()).strip(_AT_THE_ENDS)
    return (found.casefold() if len(found) > 1 else found) or text
