"""The words of a text, for the metrics that compare words. The version is in the name: a change means a `_v3`."""

import functools
import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_CLUSTER = re.compile(r"\S+")
# Between two letters these belong to the word: the apostrophe, the Catalan middle dot, Hebrew geresh and gershayim.
_INNER = frozenset("'\u00b7\u05f3\u05f4")
# The first words of the Unicode names of characters in scripts that put no space between words.
_UNSPACED = (
    *("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HENTAIGANA"),
    *("THAI", "LAO", "KHMER", "MYANMAR", "TAI LE", "NEW TAI LUE", "TAI THAM", "TAI VIET"),
)


@functools.lru_cache(maxsize=20_000)
def words_v2(text: str) -> tuple[str, ...]:
    """Return the lower-case words of a text, without punctuation; apostrophes inside a word stay (`don't` is one word).

    Stands in for the Penn Treebank tokenizer of the usual caption package, which needs Java; on plain English captions
    both give the same words after that package has removed punctuation. In every script a letter keeps its marks (the
    vowel signs of Hindi, the harakat of Arabic), and invisible joiners are left out. Scripts that put no space between
    words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) give one word for each character with its marks, as sacrebleu's
    tokenizer for Chinese does.
    """
    text = unicodedata.normalize("NFKC", text).replace("\u2019", "'").lower()
    if text.isascii():
        return tuple(_WORD.findall(text))
    return tuple(_CLUSTER.findall(_spaced(text)))


def _spaced(text: str) -> str:
    """The text with a space wherever one word ends, and nothing else between words."""
    text = "".join(character for character in text if unicodedata.category(character) != "Cf" or character == "\u200b")
    found: list[str] = []
    in_word = False  # whether a letter that follows joins the word
    for index, character in enumerate(text):
        category = unicodedata.category(character)
        if category[0] == "M" and found and found[-1] != " ":
            found.append(character)  # a mark belongs to what it stands on
        elif category[0] == "L" and unicodedata.name(character, "").startswith(_UNSPACED):
            found += [" ", character]
            in_word = False
        elif category[0] in "LN":
            found += [character] if in_word else [" ", character]
            in_word = True
        elif not (in_word and character in _INNER and _begins_with_letter(text[index + 1 : index + 2])):
            found.append(" ")
            in_word = False
        else:
            found.append(character)
    return "".join(found)


def _begins_with_letter(text: str) -> bool:
    return bool(text) and unicodedata.category(text)[0] in "LN"


def check_references(references: Sequence[str], metric: str) -> None:
    """Check that there is a list of reference texts.

    Raises:
        ValueError: there is none, or a text stands where a list of texts belongs.
    """
    if isinstance(references, str):
        raise ValueError(f"{metric} needs a list of references, not one text; write [{references!r}]")
    if not references:
        raise ValueError(f"{metric} needs at least one reference; got an empty list")
