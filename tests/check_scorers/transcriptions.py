"""Word and character error rates against jiwer, after Whisper's own normalisers."""

import random
from collections.abc import Iterator

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from eval.metrics.transcription import character_errors, normalise_whisper_english, normalise_whisper_marks, word_errors
from tests.check_scorers.comparing import Outcome, compare, figures, written


def english(number: int) -> Iterator[Outcome]:
    """Error rates of single items in English."""
    draw = random.Random(5)
    words = ["the", "cat", "isn't", "colour", "twenty", "five", "uh", "um", "Mr.", "Smith", "won't", "£5", "two"]
    words += ["hundred", "grey", "[noise]", "hello,", "world", "go", "going"]
    normalise = EnglishTextNormalizer()
    pairs = []
    while len(pairs) < number:
        reference = " ".join(draw.choice(words) for _ in range(draw.randint(2, 12)))
        text = " ".join(word for word in reference.split() if draw.random() < 0.8) or draw.choice(words)
        if not normalise(reference).strip():
            continue
        plain = [" ".join(normalise(one).split()) for one in (reference, text)]
        own = [normalise_whisper_english(one) for one in (text, reference)]
        errors = [word_errors(*own), character_errors(*own)]
        pairs.append(([one.edits / one.length for one in errors], [jiwer.wer(*plain), jiwer.cer(*plain)]))
    yield compare("transcription-english-v1", "WER, CER", "jiwer", pairs)


def others(number: int) -> Iterator[Outcome]:
    """Error rates of sets in other languages, in letters that have no marks, which Whisper's normaliser takes out."""
    draw = random.Random(23)
    words = ["der", "Frosch,", "sitzt", "(nicht)", "[hm]", "лягушка!", "Он", "βάτραχος", "3,5", "l'eau", "—", "d’été"]
    words = [word for word in words if word == BasicTextNormalizer(preserve_marks=True)(word).strip() or word.isascii()]
    normalise = BasicTextNormalizer()
    single, sets = [], []
    for _ in range(number // 20 + 1):
        references = [" ".join(draw.choices(words, k=draw.randint(2, 12))) for _ in range(20)]
        said = [" ".join(word for word in one.split() if draw.random() < 0.8) for one in references]
        rows = [(text, one) for text, one in zip(said, references, strict=True) if normalise(one).strip()]
        plain = [[" ".join(normalise(one).split()) for one in own] for own in rows]
        for row, (text, reference) in zip(rows, plain, strict=True):
            own = [normalise_whisper_marks(one) for one in row]
            errors = [word_errors(own[0], own[1]), character_errors(own[0], own[1])]
            single.append(([one.edits / one.length for one in errors], _rates([reference], [text])))
        answers = [written(text, one, id=str(n), cluster=n) for n, (text, one) in enumerate(rows)]
        found = figures("transcription-other-v1", answers)
        texts, right = ([own[place] for own in plain] for place in range(2))
        sets.append(([found["wer"], found["cer"]], _rates(right, texts)))
    yield compare("transcription-other-v1", "WER, CER of an item", "jiwer", single)
    yield compare("transcription-other-v1", "WER, CER of a set of 20", "jiwer", sets)


def _rates(references: list[str], texts: list[str]) -> list[float]:
    return [jiwer.wer(references, texts), jiwer.cer(references, texts)]
