"""The words of an answer, each with the tokens that it is made of."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

# Scripts without spaces, by the first word of their characters' names: every character is a word.
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(frozen=True)
class Word:
    """A word of an answer.

    Attributes:
        text: the word, punctuation included.
        start: the first of its tokens, counted from the answer's first.
        end: the token after its last.
        log_likelihood: the sum over its tokens, in nats.
    """

    text: str
    start: int
    end: int
    log_likelihood: float


def words_of(
    tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], log_likelihoods: Sequence[float]
) -> list[Word]:
    """Return the words of an answer's tokens; special tokens, such as the one that ends it, belong to none.

    Words end at blanks, or with every character of a script without spaces. Words that share a token are one.
    """
    special = set(tokenizer.all_special_ids)
    count = next((i for i, one in enumerate(token_ids) if one in special), len(token_ids))
    text, ends = "", []
    for index in range(count):
        text = str(tokenizer.decode([*token_ids[: index + 1]]))
        ends.append(len(text.rstrip("\ufffd")))  # a character that is not whole yet
    numbers = _word_numbers(text)
    spans: list[list[int]] = []  # first and last character, first token and token after the last
    start = 0
    for token, end in enumerate(ends):
        inside = [place for place in range(start, max(start, end)) if numbers[place] >= 0]
        is_new = bool(spans) and bool(inside) and numbers[inside[0]] > numbers[spans[-1][1]]
        if not inside and spans:
            spans[-1][3] = token + 1
        elif is_new or not spans:
            spans.append([*([inside[0], inside[-1]] if inside else [start, start]), token, token + 1])
        else:
            spans[-1][1], spans[-1][3] = inside[-1], token + 1
        start = max(start, end)
    return [
        Word(text[first : last + 1].strip(), begin, end, float(sum(log_likelihoods[begin:end])))
        for first, last, begin, end in spans
    ]


def _word_numbers(text: str) -> list[int]:
    """For each character the number of its word, counted from 0; -1 for blanks."""
    numbers, current, is_open = [], -1, False
    for character in text:
        if character.isspace():
            numbers.append(-1)
            is_open = False
            continue
        stands_alone = unicodedata.name(character, "").startswith(_WITHOUT_SPACES)
        if stands_alone or not is_open:
            current += 1
        is_open = not stands_alone
        numbers.append(current)
    return numbers
