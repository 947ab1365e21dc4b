"""A clean way to compare short answers, without the faults of the published VQA normalisation (version 1)."""

import re
import unicodedata

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_NUMBERS)}
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_INITIALS = re.compile(r"(?<!\w)[^\W\d_](?:\.[^\W\d_])+(?!\w)\.?")
_SIGNS = "%+$€£¥°#&=<>"
_WORD = re.compile(
    rf"(?<![^\s{_SIGNS}])-?(?:\d*(?:[.:]\d+)+|\d+(?=[\s.:'{_SIGNS}-]|$))"  # 3.5, 10:30, -5, .5
    rf"|[^\s.:'{_SIGNS}-]+(?:'[^\s.:'{_SIGNS}-]+)*|[{_SIGNS}]"
)


def normalise_clean_v1(answer: str) -> str:
    """Return an answer in the form in which clean exact match and clean VQA accuracy compare it.

    - Capitals, white space and the way in which Unicode writes a letter or an apostrophe do not count.
    - Punctuation becomes a blank. Apostrophes go (`don't` is `dont`), and so do the full stops of initials (`U.S.` is
      `us`). Signs that mean something stay, each as a word: `%`, `+`, `$` and other currencies, `°`, `#`, `&`, `=`,
      `<`, `>`.
    - Numbers keep their decimal point, colon and sign (`3.5`, `10:30`, `-5`), and lose commas between thousands:
      `1,000` is `1000`, but `1,2` is `1 2`. Number words up to twenty are digits.
    - `a`, `an` and `the` go before another word only: `the frog` is `frog`, `vitamin A` and `A` stay.
    - An answer that would lose everything stays as it is.
    """
    text = unicodedata.normalize("NFKC", answer).casefold().replace("\u2019", "'")
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _INITIALS.sub(lambda match: match[0].replace(".", ""), text)
    text = "".join(sign if _counts(sign) else " " for sign in text)
    found: list[str] = _WORD.findall(text)
    plain = [word.replace("'", "") for word in found]
    words = [_NUMBER_WORDS.get(word, word) for word in plain]
    kept = [
        word
        for place, word in enumerate(words)
        if word not in _ARTICLES or place + 1 == len(words) or not words[place + 1][0].isalnum()
    ]
    return " ".join(kept) or " ".join(text.split())


def _counts(sign: str) -> bool:
    return sign in ".:'-" or sign in _SIGNS or unicodedata.category(sign)[0] in "LNM"
