"""Captions: what `pycocoevalcap` gave, kept in tests/golden, and the metrics of other languages' words restated."""

import gzip
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from eval.metrics.bleu import bleu_4
from eval.metrics.cider_d import CiderD
from eval.metrics.coco_captions import bleu_counts, rouge_words_ptb, split_words_ptb
from eval.metrics.meteor import Meteor, meteor_of, why_not
from eval.metrics.penn_treebank import words_ptb
from eval.metrics.rouge_l import rouge_l
from tests.check_scorers.comparing import Outcome, compare, item_values, written
from tests.golden_numbers import FOLDER


def java() -> Iterator[Outcome]:
    """Words and caption metrics against figures that `pycocoevalcap`'s Java tools made."""
    golden = json.loads(gzip.decompress((FOLDER / "captions.json.gz").read_bytes()))
    name, tool = "caption-coco-v1", "pycocoevalcap 1.2"
    words = (
        (" ".join(words_ptb(text)) != said, 0) for text, said in zip(golden["texts"], golden["words"], strict=True)
    )
    yield compare(name, "words", f"{tool} (Java)", words)
    rows, single, whole = golden["items"], golden["scores"]["single"], golden["scores"]["whole"]
    references = [row["references"] for row in rows]
    texts = [row["text"] for row in rows]
    cider = CiderD(references, split_words_ptb)
    own = [cider.score(text, refs) for text, refs in zip(texts, references, strict=True)]
    yield compare(name, "CIDEr-D of an item", tool, zip(own, single["cider_d"], strict=True))
    own = [rouge_l(text, refs, rouge_words_ptb) for text, refs in zip(texts, references, strict=True)]
    yield compare(name, "ROUGE-L of an item", tool, zip(own, single["rouge_l"], strict=True))
    counts = bleu_counts(texts, references)
    blocks = [np.arange(index, index + 1) for index in range(len(texts))]
    yield compare(name, "BLEU-1..4 of an item", tool, zip(map(counts.bleu, blocks), single["bleu"], strict=True))
    everything = np.arange(len(texts))
    theirs = [whole[f"bleu_{order}"] for order in range(1, 5)]
    yield compare(name, "BLEU-1..4 of the set", tool, [(counts.bleu(everything), theirs)])
    if reason := why_not():
        print(f"METEOR not compared: {reason}", file=sys.stderr)
        return
    with Meteor() as program:
        lines = [
            program.statistics(words_ptb(text), [words_ptb(one) for one in refs])
            for text, refs in zip(texts, references, strict=True)
        ]
        total, each = program.scores(lines)
    rows = np.array([[float(number) for number in line.split()] for line in lines])
    yield compare(name, "METEOR of an item", tool, zip(each, single["meteor"], strict=True))
    ours = [(meteor_of(rows[n : n + 1]), value) for n, value in enumerate(each)]
    yield compare(name, "METEOR's formula for intervals", "its program", [*ours, (meteor_of(rows), total)])


_WORDS = "frog toad red green sits on a the leaf two of them don't 12 grenouille él मेंढक"


def restated(number: int) -> Iterator[Outcome]:
    """CIDEr-D, BLEU-4 and ROUGE-L on words that need no splitting, from the formulas of their papers."""
    draw, words = random.Random(21), _WORDS.split()

    def text(of: Sequence[str] = ()) -> list[str]:
        kept = [word for word in of if draw.random() < 0.8]
        return kept + draw.choices(words, k=draw.randint(0 if kept else 1, 6))

    rouge, cider, bleu = [], [], []
    while len(bleu) < number:
        references = [[text() for _ in range(draw.randint(1, 3))] for _ in range(draw.choice((4, 8)))]
        said = [text(draw.choice(own)) for own in references]
        answers = [
            written(" ".join(one), " ".join(own[0]), references=tuple(map(" ".join, own)), cluster=n, id=str(n))
            for n, (one, own) in enumerate(zip(said, references, strict=True))
        ]
        for n, answer in enumerate(answers):
            rouge.append((rouge_l(answer.text, answer.item.references), _rouge_l(said[n], references[n])))
        if len(cider) < number:
            values = item_values("caption-cider-d-v2", answers)
            cider += [*zip(values, _cider_d(said, references), strict=True)]
        own = bleu_4([one.text for one in answers], [one.item.references for one in answers])
        bleu.append((own, _bleu_4(said, references)))
    name, rule = "caption-cider-d-v2", "formula of its paper, restated"
    yield compare(name, "CIDEr-D of an item", rule, cider)
    yield compare(name, "BLEU-4 of a set of 4 or 8", rule, bleu)
    yield compare(name, "ROUGE-L of an item", rule, rouge)


def _grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def _cider_d(said: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    """Equations of Vedantam et al. 2015, section 8, with a vector over all n-grams that occur."""
    totals = np.zeros(len(said))
    for n in range(1, 5):
        every = sorted({gram for own in [said, *references] for words in own for gram in _grams(words, n)})
        documents = [{gram for words in own for gram in _grams(words, n)} for own in references]
        weights = np.array([math.log(len(said) / max(1, sum(gram in one for one in documents))) for gram in every])

        def vector(words: Sequence[str], n: int = n, every: list = every, weights: np.ndarray = weights) -> np.ndarray:
            counts = _grams(words, n)
            return np.array([counts[gram] for gram in every]) * weights

        for index, (one, own) in enumerate(zip(said, references, strict=True)):
            left = vector(one)
            for words in own:
                right = vector(words)
                size = np.linalg.norm(left) * np.linalg.norm(right)
                penalty = np.exp(-((len(one) - len(words)) ** 2) / (2 * 6**2))
                totals[index] += 10 / 4 / len(own) * penalty * (np.minimum(left, right) @ right / size if size else 0)
    return totals.tolist()


def _bleu_4(said: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> float:
    """Papineni et al. 2002: clipped precisions, and a penalty against the reference of nearest length."""
    precisions = []
    for n in range(1, 5):
        hits = total = 0
        for one, own in zip(said, references, strict=True):
            counts = _grams(one, n)
            hits += sum(min(count, max(_grams(words, n)[gram] for words in own)) for gram, count in counts.items())
            total += sum(counts.values())
        precisions.append(hits / total if total else 0.0)
    if min(precisions) == 0:
        return 0.0
    length = sum(map(len, said))
    nearest = sum(
        min((abs(len(words) - len(one)), len(words)) for words in own)[1]
        for one, own in zip(said, references, strict=True)
    )
    return min(1.0, math.exp(1 - nearest / length)) * math.exp(sum(map(math.log, precisions)) / 4)


def _rouge_l(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Lin 2004: the longest of all common subsequences, found one by one from the longest possible on."""
    common = [_longest(tuple(said), tuple(own)) for own in references]
    precision = max(one / len(said) for one in common)
    recall = max(one / len(own) for one, own in zip(common, references, strict=True))
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision) if precision and recall else 0.0


def _longest(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    reached = {0: 0}  # length of a common subsequence -> the least number of words of `right` that hold one
    for word in left:
        for length, used in sorted(reached.items(), reverse=True):
            if word in right[used:]:
                end = right.index(word, used) + 1
                reached[length + 1] = min(end, reached.get(length + 1, len(right)))
    return max(reached)
