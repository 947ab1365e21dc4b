"""Open answers to questions about videos: word for word and, where WordNet is there, by what their words mean."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eval.items.item import Item
from eval.metrics.wordnet import HOW_TO_GET, WordNet, find_wordnet, open_wordnet
from eval.metrics.wups import content_words, wups
from eval.scorers.answers import WrittenAnswer
from eval.scorers.base import Scores, mean_of
from eval.scorers.text import EXACT_MATCH, TextScorer

_THRESHOLDS = {"wups_at_0": 0.0, "wups_at_0.9": 0.9}
# NExT-QA's questions whose answers are yes or no, or a number: right is only what is the same.
_CLOSED_TYPES = ("DB", "DC")


@dataclass(frozen=True)
class WupsScorer:
    """Adds WUPS to exact match, which stays the primary metric; of several references the likest counts.

    Items with a `type` of NExT-QA's closed questions (DB, DC) get 1 for the same words, else 0, as in its own code.

    Attributes:
        exact: compares word for word.
    """

    exact: TextScorer
    name = "wups"
    version = 1
    takes = (WrittenAnswer,)
    percent = True

    @property
    def metric(self) -> str:
        """See `Scorer`."""
        return self.exact.metric

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return None: nobody guesses a text."""
        return None

    def score(self, answers: Sequence[WrittenAnswer], *, condition: str, seed: int) -> Scores:
        """Return exact match, and WUPS at 0 and 0.9 where WordNet is there."""
        found = self.exact.score(answers, condition=condition, seed=seed)
        folder = find_wordnet()
        if folder is None:
            return replace(found, not_computed=dict.fromkeys(_THRESHOLDS, HOW_TO_GET))
        wordnet = open_wordnet(folder)
        estimates = {
            name: mean_of([_value(answer, threshold, wordnet) for answer in answers], answers)
            for name, threshold in _THRESHOLDS.items()
        }
        settings = {"wups": f"WordNet in {folder}, base forms without a tagger"}
        return replace(found, estimates={**found.estimates, **estimates}, settings=settings)


def _value(answer: WrittenAnswer, threshold: float, wordnet: WordNet) -> float:
    said = content_words(answer.text, wordnet)
    right = [content_words(reference, wordnet) for reference in answer.item.references]
    if answer.item.meta.get("type") in _CLOSED_TYPES:
        return float(said in right)
    return max(wups(said, reference, threshold, wordnet) for reference in right)


WUPS = WupsScorer(EXACT_MATCH[0])
