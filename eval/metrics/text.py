"""Text normalisations, each with a version in its name: changing one means adding a `_v2`.

Public code normalises answers in at least four ways, which moves results by several points; hence the names.
"""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_NUMBERS)} | {"none": "0"}
# A comma between digits groups thousands and goes; a full stop between digits is a decimal point and stays.
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_PUNCTUATION = re.compile(r"(?<!\d)\.|\.(?!\d)|[;/\[\]\"{}()=+\\_\-><@`,?!:]")


def words_v1(text: str) -> list[str]:
    """Return the lower-case words of a text, without punctuation; apostrophes inside a word stay (`don't` is one word).

    Stands in for the Penn Treebank tokenizer of the usual caption package, which needs Java; on plain captions both
    give the same words after that package has removed punctuation.
    """
    text = unicodedata.normalize("NFKC", text).replace("\u2019", "'").lower()
    return _WORD.findall(text)


def normalise_vqa_v1(answer: str) -> str:
    """Return an answer in the form in which VQA answers are compared.

    Lower case, no line breaks, no punctuation (decimal points stay), number words up to ten as digits, no articles.
    Follows the rules published with the VQA data set (Antol et al. 2015), without its list of misspelt contractions:
    apostrophes are dropped on both sides instead, which makes `dont` and `don't` equal as the list does.
    """
    answer = unicodedata.normalize("NFKC", answer).replace("\u2019", "'").lower()
    answer = _THOUSANDS.sub("", answer.replace("\n", " ").replace("\t", " ").strip())
    answer = _PUNCTUATION.sub(" ", answer).replace("'", "")
    words = [_NUMBER_WORDS.get(word, word) for word in answer.split()]
    return " ".join(word for word in words if word not in _ARTICLES)
