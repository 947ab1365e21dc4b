"""WUPS: short answers compared by what their words mean (Malinowski and Fritz 2014, arXiv:1410.0210).

As in the evaluation of NExT-QA's open questions (Xiao et al. 2021, arXiv:2105.08276): answers lose their function
words, the others are taken in their base forms; each word is compared with the likest of the other answer, what is
below the threshold counts a tenth, and the products of either direction are taken, of which the smaller one counts. A
word like none of the other answer is passed over, as it is there.

One thing differs: base forms are WordNet's own, of the noun before the verb, but for words in -ing and -ed of the verb
first. The published code asks a tagger which of them is meant.
"""

import re
from collections.abc import Sequence

from eval.metrics.wordnet import WordNet

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_BELOW = 0.1  # what a similarity below the threshold is multiplied by
# English function words but those of place, direction, number and negation, which answer questions.
_WORDS_WITHOUT_CONTENT = """
a about again ain all am an and any are aren as at be because been being but can could couldn d did didn do does
doesn doing don during each for from further had hadn has hasn have haven having he her here hers herself him
himself his how i if into is isn it its itself just ll m ma me mightn most mustn my myself needn now o of only or
other our ours ourselves own re s shan she should shouldn so some such t than that the their theirs them themselves
then there these they this those through to too until ve very was wasn we were weren what when where which while who
whom why will with won wouldn y you your yours yourself yourselves
"""
_FUNCTION_WORDS = frozenset(_WORDS_WITHOUT_CONTENT.split())


def content_words(text: str, wordnet: WordNet) -> list[str]:
    """Return the words of an answer in their base forms, without function words."""
    words = [word.partition("'")[0] for word in _WORD.findall(text.lower().replace("\u2019", "'"))]
    bases = [_base_form(word, wordnet) for word in words if word not in _FUNCTION_WORDS]
    return [base for base in bases if base not in _FUNCTION_WORDS]


def _base_form(word: str, wordnet: WordNet) -> str:
    for part in "vnar" if word.endswith(("ing", "ed")) else "nvar":
        if forms := wordnet.base_forms(word, part):
            return min(forms, key=len)
    return word


def wups(left: Sequence[str], right: Sequence[str], threshold: float, wordnet: WordNet) -> float:
    """Return the similarity of two answers, in [0, 1].

    Args:
        left: the words of one, as of `content_words`.
        right: those of the other.
        threshold: 0.9 is close to word for word, 0 counts any likeness.
        wordnet: says how alike words are.
    """
    return min(_one_way(left, right, threshold, wordnet), _one_way(right, left, threshold, wordnet))


def _one_way(words: Sequence[str], others: Sequence[str], threshold: float, wordnet: WordNet) -> float:
    likest = [max((_likeness(word, other, threshold, wordnet) for other in others), default=0.0) for word in words]
    product, found = 1.0, False
    for value in filter(None, likest):
        product, found = product * value, True
    return product if found else 0.0


def _likeness(left: str, right: str, threshold: float, wordnet: WordNet) -> float:
    if left == right:
        return 1.0
    synsets = wordnet.first_synset(left), wordnet.first_synset(right)
    if synsets[0] is None or synsets[1] is None:
        return 0.0
    value = wordnet.similarity(synsets[0], synsets[1])
    return value if value >= threshold else _BELOW * value
