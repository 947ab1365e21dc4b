"""Word and character error rates of transcriptions, through jiwer, after Whisper's normalisation.

Error rates can only be compared after the same normalisation. Whisper's (Radford et al. 2022, arXiv:2212.04356,
appendix C) is that of most published figures. For English it writes numbers as digits, spells in the American way,
writes contractions out, and takes out fillers such as `um` and what stands in brackets. For other languages it takes
out punctuation and what stands in brackets. One thing differs there: marks stay, since a word of Hindi or Arabic falls
apart without its vowel signs.
"""

import functools
from dataclasses import dataclass

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer


@dataclass(frozen=True)
class Errors:
    """The edits between a text and its reference, in words or characters; the error rate is edits over length.

    Attributes:
        edits: substitutions, deletions and insertions.
        length: of the reference. 0 where normalisation leaves nothing of it, so that every word is an insertion.
    """

    edits: int
    length: int


def word_errors(text: str, reference: str) -> Errors:
    """Return the edits between the words of two normalised texts."""
    if not reference.split():
        return Errors(len(text.split()), 0)
    return _errors(jiwer.process_words(reference, text))


def character_errors(text: str, reference: str) -> Errors:
    """Return the edits between the characters of two normalised texts, with one blank between words."""
    text, reference = " ".join(text.split()), " ".join(reference.split())
    if not reference:
        return Errors(len(text), 0)
    return _errors(jiwer.process_characters(reference, text))


def _errors(found: jiwer.WordOutput | jiwer.CharacterOutput) -> Errors:
    missed = found.substitutions + found.deletions
    return Errors(missed + found.insertions, found.hits + missed)


def normalise_whisper_english(text: str) -> str:
    """Return an English transcription in the form in which Whisper's figures compare it."""
    return _english()(text).strip()


def normalise_whisper_marks(text: str) -> str:
    """Return a transcription of another language in the form of Whisper's figures, but for marks, which stay."""
    return _basic()(text).strip()


@functools.cache
def _english() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()


@functools.cache
def _basic() -> BasicTextNormalizer:
    return BasicTextNormalizer(preserve_marks=True)
