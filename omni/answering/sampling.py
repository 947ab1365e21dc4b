"""How the tokens of an answer are chosen, and where it ends."""

import math
from dataclasses import dataclass
from typing import Any

MOST_TOP_LOGPROBS = 20  # as OpenAI's interface allows


@dataclass(frozen=True)
class Sampling:
    """Options of one answer, under the names and definitions that OpenAI and vLLM give them.

    Args:
        max_new_tokens: the most tokens of the answer, from 1 on; the LLM's context ends it in any case.
        min_new_tokens: tokens before which no token ends the answer; stop strings end it all the same.
        temperature: 0 = the most likely token each time (greedy); above, the logits are divided by it.
        top_p: tokens are drawn from the fewest most likely ones whose probabilities sum to this, above 0 up to 1.
        top_k: tokens are drawn from this many most likely ones; 0 = from all.
        repetition_penalty: divides the logits above 0 of tokens that the answer has already, and multiplies the others
            (Keskar et al. 2019, arXiv 1909.05858); above 0, 1 = none.
        presence_penalty: is taken from the logits of tokens that the answer has already; -2 to 2.
        frequency_penalty: is taken from them once for each time that the answer has the token; -2 to 2.
        seed: of the answer's own random numbers: the same seed gives the same answer, alone or among others. None =
            another answer each time.
        stop: texts before the first of which the answer ends.
        top_logprobs: how many of the most likely tokens come with each token and its log-likelihood, 0 to 20; None =
            no log-likelihoods.
        num_beams: width of a beam search. Above 1 the answer comes as a whole, and temperature, log-likelihoods and
            OpenAI's penalties are refused.

    Raises:
        ValueError: a value that makes no sense.
    """

    max_new_tokens: int = 64
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    num_beams: int = 1

    def __post_init__(self) -> None:
        for name, least in (("max_new_tokens", 1), ("min_new_tokens", 0), ("top_k", 0), ("num_beams", 1)):
            _check_whole(name, getattr(self, name), least)
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(
                f"min_new_tokens is {self.min_new_tokens}, more than max_new_tokens, which is {self.max_new_tokens}"
            )
        _check_number("temperature", self.temperature, 0, math.inf, "0 (greedy) or above")
        _check_number("top_p", self.top_p, 0, 1, "above 0 and at most 1")
        _check_number("repetition_penalty", self.repetition_penalty, 0, math.inf, "above 0; 1 is none")
        for name in ("top_p", "repetition_penalty"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name} is 0, but must be above 0; 1 changes nothing")
        for name in ("presence_penalty", "frequency_penalty"):
            _check_number(name, getattr(self, name), -2, 2, "from -2 to 2")
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int)):
            raise ValueError(f"seed is {self.seed!r}, but must be a whole number or None")
        if isinstance(self.stop, str) or not all(isinstance(text, str) and text for text in self.stop):
            raise ValueError(f"stop is {self.stop!r}, but must be a sequence of texts, none of them empty")
        object.__setattr__(self, "stop", tuple(self.stop))
        if self.top_logprobs is not None:
            _check_whole("top_logprobs", self.top_logprobs, 0, MOST_TOP_LOGPROBS)
        if self.num_beams > 1:
            self._check_beams()

    def _check_beams(self) -> None:
        changed = {
            "temperature": self.temperature != 0,
            "top_logprobs": self.top_logprobs is not None,
            "presence_penalty": self.presence_penalty != 0,
            "frequency_penalty": self.frequency_penalty != 0,
        }
        for name, given in changed.items():
            if given:
                raise ValueError(f"{name} does nothing in a beam search: leave it out, or set num_beams to 1")


def _check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        allowed = f"from {least} on" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} is {value!r}, but must be a whole number {allowed}")


def _check_number(name: str, value: Any, least: float, most: float, allowed: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not least <= value <= most:
        raise ValueError(f"{name} is {value!r}, but must be a number {allowed}")
