"""Probabilities of candidate answers, from their log-likelihoods over a shared prefix.

`pmi` is the pointwise mutual information of candidate and input, log p(c | input, question) - log p(c | question). It
takes out that some candidates are likelier texts than others (Holtzman et al. 2021, arXiv 2104.08315). What is left out
for the base are the media, or, where there are none, the whole input.
"""

from collections.abc import Callable, Sequence

import numpy as np

from omni.media.item import Media
from omni.samples.sample import Message, Text

PMI = "pmi"
Score = Callable[[Sequence[Message], Sequence[str], str], Sequence[float]]


def question(given: Sequence[Message], instructions: Sequence[Text | Media]) -> list[Message]:
    """Return the input with a question at the end of the user's last turn.

    Args:
        given: the turns of the input; empty = only the question.
        instructions: the question.
    """
    if given and given[-1].role == "user":
        last = given[-1]
        gap = (Text("\n"),) if isinstance(last.content[-1], Text) and isinstance(instructions[0], Text) else ()
        return [*given[:-1], Message("user", (*last.content, *gap, *instructions))]
    return [*given, Message("user", tuple(instructions))]


def without_input(given: Sequence[Message]) -> list[Message]:
    """Return the input without its media, or, where it has none, only what the system says."""
    if not any(message.media for message in given):
        return [message for message in given if message.role == "system"]
    bare = [
        Message(message.role, tuple(part for part in message.content if isinstance(part, Text))) for message in given
    ]
    return [message for message in bare if message.content]


def probabilities(
    given: Sequence[Message], instructions: Sequence[Text | Media], candidates: Sequence[str], kind: str, score: Score
) -> list[float]:
    """Return the probability of each candidate as the answer, which sum to 1.

    Args:
        given: the turns of the input.
        instructions: the question.
        candidates: the answers.
        kind: "pmi", or a normalization of `OmniModel.score`.
        score: returns the log-likelihoods of candidates.
    """
    values = np.asarray(
        score(question(given, instructions), candidates, "sum" if kind == PMI else kind), dtype=np.float64
    )
    if kind == PMI:
        base = question(without_input(given), [part for part in instructions if isinstance(part, Text)])
        values = values - np.asarray(score(base, candidates, "sum"), dtype=np.float64)
    shifted = np.exp(values - values.max())
    return (shifted / shifted.sum()).tolist()
