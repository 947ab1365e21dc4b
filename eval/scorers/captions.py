"""English captions, scored as `pycocoevalcap` scores them: the figures that papers report of COCO and its kin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.items.item import Item
from eval.metrics import CiderD, rouge_l
from eval.metrics.coco_captions import bleu_counts, rouge_words_ptb, split_words_ptb
from eval.metrics.meteor import Meteor, meteor_of
from eval.metrics.penn_treebank import words_ptb
from eval.scorers.answers import WrittenAnswer
from eval.scorers.base import ItemScore, Scores, mean_of
from eval.statistics.intervals import Estimate, bootstrap

_NUM_RESAMPLES = 200
_NO_SPICE = (
    "SPICE (and SPIDEr, its mean with CIDEr-D) needs Stanford's parser and its models, which are fetched from the "
    "network; score the answers of results.json by pycocoevalcap's `Spice`"
)


@dataclass(frozen=True)
class CocoCaptionScorer:
    """Reports CIDEr-D (in [0, 10]), BLEU-1 to BLEU-4, ROUGE-L and METEOR on words by the rules of the Penn Treebank.

    The document frequencies of CIDEr-D are those of the references of the items that were answered, as there.
    """

    name = "caption-coco"
    version = 1
    takes = (WrittenAnswer,)
    metric = "cider_d"
    percent = False

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return None: nobody guesses a caption."""
        return None

    def score(self, answers: Sequence[WrittenAnswer], *, condition: str, seed: int) -> Scores:
        """Return every metric over all texts; METEOR is not computed where its program is missing."""
        texts = [answer.text for answer in answers]
        references = [answer.item.references for answer in answers]
        clusters = [answer.item.cluster for answer in answers]

        def over_items(statistic: Callable[[np.ndarray], float]) -> Estimate:
            return bootstrap(statistic, len(texts), seed=seed, clusters=clusters, num_resamples=_NUM_RESAMPLES)

        cider = CiderD(references, split_words_ptb)
        values = np.array([cider.score(text, own) for text, own in zip(texts, references, strict=True)])
        rouge = [rouge_l(text, own, rouge_words_ptb) for text, own in zip(texts, references, strict=True)]
        counts = bleu_counts(texts, references)
        estimates = {"cider_d": over_items(lambda chosen: float(values[chosen].mean()))}
        for order in range(4):
            estimates[f"bleu_{order + 1}"] = over_items(_bleu(counts.bleu, order))
        estimates["rouge_l"] = mean_of(rouge, answers)
        missing = {"SPICE": _NO_SPICE}
        try:
            estimates["meteor"] = _meteor(texts, references, over_items)
        except (ValueError, OSError) as error:
            missing["METEOR"] = str(error)
        items = [ItemScore(float(value), note=f"cider_d {value:.2f}") for value in values]
        return Scores(estimates, items, not_computed=missing)


def _bleu(bleu: Callable[[np.ndarray], np.ndarray], order: int) -> Callable[[np.ndarray], float]:
    return lambda chosen: float(bleu(chosen)[order])


def _meteor(
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    over_items: Callable[[Callable[[np.ndarray], float]], Estimate],
) -> Estimate:
    with Meteor() as program:
        found = [
            program.statistics(words_ptb(text), [words_ptb(reference) for reference in own])
            for text, own in zip(texts, references, strict=True)
        ]
        whole, _ = program.scores(found)
    counts = np.array([[float(number) for number in line.split()] for line in found])
    return replace(over_items(lambda chosen: meteor_of(counts[chosen])), value=whole)


CAPTION_COCO = CocoCaptionScorer()
