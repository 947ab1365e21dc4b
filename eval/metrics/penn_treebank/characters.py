"""The kinds of characters as Stanford's tokenizer 3.4.1 has them; made by `tests/golden/make_captions.py --characters`.

A table, and not Python's own Unicode data, since the tool knows the Unicode of 2012: what it does not know falls out of
a text, and so does everything beyond the first 65,536 code points, such as most emoji.
"""

import functools
import importlib.resources

_FILE = "characters.txt"


@functools.cache
def ranges(kind: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of code points of a kind, both ends included.

    Args:
        kind: `letters` (they join to words, digits apart), `digits`, `marks` (they join to words, but do not follow a
            digit) or `symbols` (a word for each).
    """
    text = importlib.resources.files("eval.metrics.penn_treebank").joinpath(_FILE).read_text(encoding="ascii")
    lines = dict(line.split(" ", 1) for line in text.splitlines())
    ends = [one.split("-") for one in lines[kind].split()]
    return tuple((int(pair[0], 16), int(pair[-1], 16)) for pair in ends)


def character_class(*kinds: str) -> str:
    """Return the inside of a regular expression's character class that has all characters of these kinds."""
    return "".join(f"\\u{low:04x}-\\u{high:04x}" for kind in kinds for low, high in ranges(kind))


@functools.cache
def symbols() -> frozenset[str]:
    """Return the characters that are a word each."""
    return frozenset(chr(code) for low, high in ranges("symbols") for code in range(low, high + 1))
