"""VQA answers: the published way to compare them, and VQA accuracy (Antol et al. 2015, arXiv:1505.00468).

`normalise_vqa_v2` follows the evaluation code that was published with the VQA data set to the letter, its faults
included, since published figures have them:

- A text in which two digits stand on either side of a comma loses all punctuation without a blank in its place:
  `1,000` is `1000`, and `1,2` is `12`.
- Elsewhere a punctuation mark becomes a blank, unless the mark stands next to a blank somewhere in the text.
- Every full stop goes that no digit follows, also the last one of `3.`; but only the first 32 of a text, since the code
  passes a flag where a count belongs.
- `a`, `an` and `the` go wherever they stand: `vitamin A` is `vitamin`.
- Colons and apostrophes stay, and only contractions on a list get a missing apostrophe back: `lets` and `shes` do not.

Three things differ. The published code leaves an annotation as it is if all annotators agree, and never takes number
words and articles out of annotations; here both sides are treated alike, as the VQA challenge's server does. What would
leave nothing stays: the answer `A` is `a`, and not equal to an empty answer. And letters that Unicode writes in two
ways, or apostrophes of two kinds, are one.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

from eval.metrics.text import check_references

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_NUMBERS)} | {"none": "0"}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGITS_AROUND_COMMA = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_MOST_FULL_STOPS = 32

# A word that is one of these but for one apostrophe gets it back.
_CONTRACTIONS = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
_MISSPELT = {
    word[: match.start()] + word[match.end() :]: word
    for word in _CONTRACTIONS.split()
    for match in re.finditer("'", word)
} | {"somebody'd": "somebodyd"}  # the published list has this pair the wrong way round


def normalise_vqa_v2(answer: str) -> str:
    """Return an answer in the form in which VQA answers are compared; see the module's text for the rules."""
    answer = unicodedata.normalize("NFC", answer).replace("\u2019", "'")
    answer = answer.replace("\n", " ").replace("\t", " ").strip()
    words = [_NUMBER_WORDS.get(word, word) for word in _without_punctuation(answer).lower().split()]
    kept = [_MISSPELT.get(word, word) for word in words if word not in _ARTICLES]
    return " ".join(kept or words) or answer.lower()


def _without_punctuation(answer: str) -> str:
    has_comma = _DIGITS_AROUND_COMMA.search(answer) is not None
    found = answer
    for mark in _PUNCTUATION:
        at_blank = f"{mark} " in answer or f" {mark}" in answer
        found = found.replace(mark, "" if at_blank or has_comma else " ")
    return _FULL_STOP.sub("", found, count=_MOST_FULL_STOPS)


def vqa_accuracy(answer: str, annotations: Sequence[str], normalise: Callable[[str], str] = normalise_vqa_v2) -> float:
    """Return the agreement of one answer with several annotators, in [0, 1].

    For each annotator: min(1, matches among the *other* annotators / 3), then the mean over annotators. With a single
    annotation there are no others, and the value is exact match. Answers are compared after `normalise`.

    Raises:
        ValueError: no annotation is given, or one text in place of a list.
    """
    check_references(annotations, "vqa_accuracy")
    predicted = normalise(answer)
    matches = [normalise(annotation) == predicted for annotation in annotations]
    if len(matches) == 1:
        return float(matches[0])
    total = sum(matches)
    return sum(min(1.0, (total - match) / 3) for match in matches) / len(matches)
