"""Insert true attributes of things into a text: "the frog" becomes "the small green frog".

A model that understands the text answers as before (cross-modal attribute insertions, Ramshetty et al. 2023,
arXiv:2306.11065, where a detector names the attributes; here the row of the data does).
"""

import re
from collections.abc import Mapping, Sequence

from eval.items.item import Item

KEY = "attributes"  # of a row: thing -> its attributes, such as {"frog": ["small", "green"]}

_VOWELS = "aeiou"


def attributes_of(item: Item) -> Mapping[str, Sequence[str]]:
    """Return the attributes that the row of an item says of things; empty where it says none.

    Raises:
        ValueError: it has something else under the key.
    """
    value = item.meta.get(KEY)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"item {item.id!r}: {KEY!r} must be an object of things with their attributes")
    found = {}
    for thing, names in value.items():
        names = [names] if isinstance(names, str) else names
        if names is None:  # tables give every row the things of all rows
            continue
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name.strip() for name in names):
            raise ValueError(f"item {item.id!r}: the attributes of {thing!r} must be a list of texts")
        if names:
            found[str(thing)] = [name.strip() for name in names]
    return found


def with_attributes(text: str, attributes: Mapping[str, Sequence[str]]) -> str:
    """Return an English text with the attributes of each thing before its first mention.

    The article goes with the word that follows it now. A thing that is not in the text, or that has one of its
    attributes before it already, changes nothing.
    """
    for thing, names in attributes.items():
        match = re.search(rf"(?:\b(an?)(\s+))?\b({re.escape(thing)})\b", text, re.IGNORECASE)
        if match is None or any(re.search(rf"\b{re.escape(name)}\s+$", text[: match.start(3)]) for name in names):
            continue
        inserted = " ".join(names)
        article = ""
        if match[1]:
            right = "an" if inserted[0].lower() in _VOWELS else "a"
            article = (right.capitalize() if match[1][0].isupper() else right) + match[2]
        text = f"{text[: match.start()]}{article}{inserted} {match[3]}{text[match.end() :]}"
    return text
