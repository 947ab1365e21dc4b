"""Answers that a language model judges, as the protocols of ActivityNet-QA and open ClothoAQA have it.

The verdict is `{'pred': 'yes', 'score': 0-5}`, as in Video-ChatGPT (Maaz et al. 2023, arXiv:2306.05424). The figure is
that of one judge: two figures can be compared only if the judge is the same, so its name stands in the settings of the
result. An answer that cannot be judged is left out of the means, and counted in `not_judged`.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from eval.items.item import Item
from eval.scorers.answers import WrittenAnswer
from eval.scorers.base import ItemScore, Scores, mean_of
from eval.scorers.judge_client import PROMPT_VERSION, Judge, Verdict, parse_verdict

_AT_ONCE = 8


@dataclass(frozen=True)
class JudgeScorer:
    """Asks the judge that the environment names; see `eval.scorers.judge_client`."""

    name = "judge"
    version = 1
    takes = (WrittenAnswer,)
    metric = "accuracy"
    percent = True

    def chance(self, items: Sequence[Item]) -> float | None:
        """Return None: nobody guesses an open answer.

        Raises:
            ValueError: the environment names no judge.
        """
        Judge.from_environment()
        return None

    def score(self, answers: Sequence[WrittenAnswer], *, condition: str, seed: int) -> Scores:
        """Return the share of answers that the judge takes for right, its mean score, and the share not judged."""
        judge = Judge.from_environment()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            judged = [*pool.map(lambda answer: _judge(judge, answer), answers)]
        settings = {"judge": f"{judge.model}, prompt {PROMPT_VERSION}"}
        items = [
            ItemScore(math.nan, note=f"not judged: {found}")
            if isinstance(found, str)
            else ItemScore(float(found.right), note=f"judged {found.score:g} of 5")
            for found in judged
        ]
        pairs = [(found, answer) for found, answer in zip(judged, answers, strict=True) if not isinstance(found, str)]
        missing = {"not_judged": mean_of([float(isinstance(found, str)) for found in judged], answers)}
        if not pairs:
            return Scores(missing, not_computed={self.metric: f"no answer could be judged: {judged[0]}"})
        kept = [answer for _, answer in pairs]
        estimates = {
            "accuracy": mean_of([float(found.right) for found, _ in pairs], kept),
            "judge_score": mean_of([found.score for found, _ in pairs], kept, bounds=(0.0, 5.0)),
        }
        return Scores(estimates | missing, items, settings=settings)


def _judge(judge: Judge, answer: WrittenAnswer) -> Verdict | str:
    """Return the verdict, or why there is none."""
    try:
        reply = judge.reply(answer.item.question, answer.target, answer.text)
    except OSError as error:
        return str(error)
    return parse_verdict(reply) or f"the judge replied {reply[:80]!r}"


JUDGE = JudgeScorer()
