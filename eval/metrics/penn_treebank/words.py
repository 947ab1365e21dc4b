"""From a caption to its words, as COCO's caption evaluation has them (Chen et al. 2015, arXiv:1504.00325, section 3.2).

`pycocoevalcap` passes captions to Stanford's tokenizer 3.4.1 (`-preserveLines -lowerCase`) and takes out punctuation.
Its habits, which published figures have, stay:

- Capitals become small after the tokens are found, and brackets (`-lrb-`) do so before punctuation is taken out, where
  only `-LRB-` is listed: so a bracket is a word. So are `!!` and `?!`, though `!` and `?` are not.
- `isn't` is `is` and `n't`, `cannot` is `can` and `not`; `1 1/2` is one word, with a hard blank in it.
- What the tool does not know falls out, such as most emoji.

Two things differ, both between captions: there, the first word of the next caption decides whether a lone initial at
the end of this one keeps its full stop; and a line break other than a line feed within a caption shifts all that
follow. Here a caption stands for itself, and any line break is a blank.
"""

import functools
import re

from eval.metrics.penn_treebank.characters import symbols
from eval.metrics.penn_treebank.rules import REPLACED, rules

_PUNCTUATION = frozenset({"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"})
_LINE_BREAKS = re.compile("[\n\r\x0b\x0c\u2028\u2029]")
# A word between blanks, to which no rule but that of words applies.
_PLAIN = re.compile(r"(?!(?:cannot|gonna|gotta|lemme|gimme|wanna)\b)[A-Za-z]+(?![^ ])", re.IGNORECASE)


@functools.lru_cache(maxsize=50_000)
def words_ptb(text: str) -> tuple[str, ...]:
    """Return the words of a caption by the rules of the Penn Treebank, in small letters, without punctuation."""
    text = _LINE_BREAKS.sub(" ", text)
    found: list[str] = []
    place = 0
    while place < len(text):
        word, place = _next(text, place)
        if word and word not in _PUNCTUATION:
            found.append(word)
    return tuple(found)


def _next(text: str, place: int) -> tuple[str, int]:
    """Return the token that begins at a place, or "" where none does, and where to read on."""
    plain = _PLAIN.match(text, place)
    if plain:
        return plain[0].lower(), plain.end()
    token, farthest, end = "", place, place + 1
    for pattern, rewrite in rules():
        match = pattern.match(text, place)
        if match and match.end() > farthest:
            token, farthest, end = rewrite(match["t"]), match.end(), match.end("t")
    if farthest == place:
        character = text[place]
        token = REPLACED.get(character, character if character in symbols() else "")
    return token.lower(), end
