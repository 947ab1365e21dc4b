"""Texts that the model wrote, compared with their references by one or more metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.items.item import Item
from eval.metrics import CiderD, bleu_4, is_refusal, normalise_vqa_v2, rouge_l, vqa_accuracy
from eval.metrics.clean_answers import normalise_clean_v1
from eval.metrics.gqa import normalise_gqa
from eval.scorers.answers import WrittenAnswer
from eval.scorers.base import ItemScore, Scores
from eval.statistics.intervals import Estimate, bootstrap, mean_interval

# (texts, the references of each, cluster numbers, seed) -> estimate, and the value of each item (empty: there is none)
CorpusMetric = Callable[[Sequence[str], Sequence[Sequence[str]], Sequence[int], int], tuple[Estimate, list[float]]]


@dataclass(frozen=True)
class TextScorer:
    """Scores generated texts.

    Attributes:
        name: what it is called, without its version.
        metrics: name -> metric; the first one is primary.
        percent: whether the primary metric is a share.
        counts_blanks: whether blank answers of annotators are references, too, which an empty text equals.
    """

    name: str
    metrics: Mapping[str, CorpusMetric]
    percent: bool
    version: int = 1
    counts_blanks: bool = False
    takes = (WrittenAnswer,)

    @property
    def metric(self) -> str:
        """See `Scorer`."""
        return next(iter(self.metrics))

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return None: nobody guesses a text."""
        return None

    def score(self, answers: Sequence[WrittenAnswer], *, condition: str, seed: int) -> Scores:
        """Return every metric over all texts."""
        texts = [answer.text for answer in answers]
        blanks = [("",) * answer.item.num_blank if self.counts_blanks else () for answer in answers]
        references = [(*answer.item.references, *blank) for answer, blank in zip(answers, blanks, strict=True)]
        clusters = [answer.item.cluster for answer in answers]
        found = {name: metric(texts, references, clusters, seed) for name, metric in self.metrics.items()}
        values = found[self.metric][1]
        items = [ItemScore(value, note=f"{self.metric} {value:.2f}") for value in values]
        return Scores({name: estimate for name, (estimate, _) in found.items()}, items)


def cider_d_corpus(
    texts: Sequence[str], references: Sequence[Sequence[str]], clusters: Sequence[int], seed: int
) -> tuple[Estimate, list[float]]:
    """Return CIDEr-D, with document frequencies of these references; a `CorpusMetric`."""
    metric = CiderD(references)
    values = [metric.score(text, own) for text, own in zip(texts, references, strict=True)]
    # The document frequencies stay those of the whole test set: the interval is about the items only.
    array = np.asarray(values)
    return bootstrap(lambda indices: float(array[indices].mean()), len(values), seed=seed, clusters=clusters), values


def bleu_4_corpus(
    texts: Sequence[str], references: Sequence[Sequence[str]], clusters: Sequence[int], seed: int
) -> tuple[Estimate, list[float]]:
    """Return BLEU-4, which has no value for a single item; a `CorpusMetric`."""

    def statistic(indices: np.ndarray) -> float:
        chosen = [int(index) for index in indices]
        return bleu_4([texts[index] for index in chosen], [references[index] for index in chosen])

    return bootstrap(statistic, len(texts), seed=seed, clusters=clusters, num_resamples=200), []


def mean_over_items(metric: Callable[[str, Sequence[str]], float]) -> CorpusMetric:
    """Return the corpus metric that is the mean of a share of each text, given its references."""

    def corpus(
        texts: Sequence[str], references: Sequence[Sequence[str]], clusters: Sequence[int], seed: int
    ) -> tuple[Estimate, list[float]]:
        values = [metric(text, own) for text, own in zip(texts, references, strict=True)]
        return mean_interval(values, clusters, bounds=(0.0, 1.0)), values

    return corpus


def exact_match(normalise: Callable[[str], str]) -> Callable[[str, Sequence[str]], float]:
    """Return the metric that is 1 if a text equals one of its references after normalisation, else 0."""

    def metric(text: str, references: Sequence[str]) -> float:
        return float(normalise(text) in {normalise(reference) for reference in references})

    return metric


def clean_vqa_accuracy(text: str, references: Sequence[str]) -> float:
    """Return VQA accuracy after the clean normalisation."""
    return vqa_accuracy(text, references, normalise_clean_v1)


def refusal(text: str, references: Sequence[str]) -> float:
    """Return 1 if a text declines to answer, else 0, whatever the references say."""
    return float(is_refusal(text))


CAPTION_CIDER_D = TextScorer(
    "caption-cider-d",
    {"cider_d": cider_d_corpus, "bleu_4": bleu_4_corpus, "rouge_l": mean_over_items(rouge_l)},
    percent=False,
    version=2,
)
EXACT_MATCH = tuple(
    TextScorer(name, {"exact_match": mean_over_items(exact_match(normalise))}, percent=True, version=version)
    for name, normalise, version in (
        ("exact-match", normalise_vqa_v2, 2),
        ("exact-match-clean", normalise_clean_v1, 1),
        ("exact-match-gqa", normalise_gqa, 1),
    )
)
VQA_ACCURACY = (
    TextScorer("vqa-accuracy", {"vqa_accuracy": mean_over_items(vqa_accuracy)}, percent=True, counts_blanks=True),
    TextScorer(
        "vqa-accuracy-clean",
        {"vqa_accuracy": mean_over_items(clean_vqa_accuracy)},
        percent=True,
        counts_blanks=True,
    ),
)
REFUSAL = TextScorer("refusal", {"refusal": mean_over_items(refusal)}, percent=True)
