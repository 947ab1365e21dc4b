"""The next token of each row: penalties, temperature, the most likely tokens, random numbers of the row's own.

Shapes: R rows, V vocabulary.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from omni.answering.sampling import Sampling


@dataclass(frozen=True)
class Chosen:
    """A token with what was asked about it."""

    token_id: int
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()  # the most likely tokens with their log-likelihoods


class Chooser:
    """What one answer's choices depend on: its options, the tokens that it has, its random numbers.

    Args:
        sampling: the options.
        end_token_ids: tokens that end an answer.
    """

    def __init__(self, sampling: Sampling, end_token_ids: Sequence[int]) -> None:
        self.sampling = sampling
        self._end_token_ids = [*end_token_ids]
        self._random = Random(sampling.seed)
        self._counts: Counter[int] = Counter()
        self._chosen = 0
        self._penalizes = (
            sampling.repetition_penalty != 1.0 or sampling.presence_penalty != 0 or sampling.frequency_penalty != 0
        )

    @property
    def is_plain(self) -> bool:
        """Whether the most likely token is all that is asked for now."""
        return (
            self.sampling.temperature == 0
            and self.sampling.top_logprobs is None
            and not self._penalizes
            and self._chosen >= self.sampling.min_new_tokens
        )

    def draw(self) -> float:
        """Return the next random number, from 0 to below 1."""
        return self._random.random()

    def note(self, token_id: int) -> None:
        """Take down that this token was chosen."""
        self._chosen += 1
        if self._penalizes:
            self._counts[token_id] += 1

    def penalize(self, scores: Tensor) -> None:
        """Change logits [V], in float32, by the tokens that the answer has, and by how few they are."""
        if self._counts:
            ids = torch.tensor([*self._counts], device=scores.device)
            found = scores[ids]
            factor = self.sampling.repetition_penalty
            found = torch.where(found > 0, found / factor, found * factor)
            counts = torch.tensor([*self._counts.values()], device=scores.device, dtype=scores.dtype)
            scores[ids] = found - self.sampling.presence_penalty - self.sampling.frequency_penalty * counts
        if self._chosen < self.sampling.min_new_tokens:
            scores[self._end_token_ids] = -torch.inf


def choose(logits: Tensor, choosers: Sequence[Chooser]) -> list[Chosen | None]:
    """Return the next token of each row, and note it; None where logits [R, V] are no numbers."""
    best = logits.argmax(-1)
    is_sound = logits.amax(-1).isfinite()  # the largest of numbers and NaN is NaN
    ids, sound = torch.stack([best, is_sound.to(best.dtype)]).tolist()  # one wait for the device
    special = [r for r, chooser in enumerate(choosers) if sound[r] and not chooser.is_plain]
    details: dict[int, Chosen] = {}
    if special:
        details = dict(zip(special, _choose_slowly(logits[special], [choosers[r] for r in special]), strict=True))
    found = [details.get(r, Chosen(ids[r])) if sound[r] else None for r in range(len(choosers))]
    for chooser, chosen in zip(choosers, found, strict=True):
        if chosen is not None:
            chooser.note(chosen.token_id)
    return found


def _choose_slowly(logits: Tensor, choosers: Sequence[Chooser]) -> list[Chosen]:
    scores = logits.float()
    logprobs = scores.log_softmax(-1) if any(one.sampling.top_logprobs is not None for one in choosers) else None
    scores = scores.clone()
    for row, chooser in zip(scores, choosers, strict=True):
        chooser.penalize(row)
    chosen = scores.argmax(-1)
    drawn = [r for r, chooser in enumerate(choosers) if chooser.sampling.temperature > 0]
    if drawn:
        options = [choosers[r].sampling for r in drawn]
        chosen[drawn] = sample(scores[drawn], options, [choosers[r].draw() for r in drawn])
    if logprobs is None:
        return [Chosen(token_id) for token_id in chosen.tolist()]
    return _with_logprobs(logprobs, chosen, [one.sampling.top_logprobs for one in choosers])


def _with_logprobs(logprobs: Tensor, chosen: Tensor, counts: Sequence[int | None]) -> list[Chosen]:
    most = min(max((count or 0 for count in counts), default=0), logprobs.shape[1])
    values = logprobs.gather(1, chosen[:, None])[:, 0].tolist()
    top_values, top_ids = (part.tolist() for part in logprobs.topk(most, dim=-1))
    found = []
    for r, (token_id, count) in enumerate(zip(chosen.tolist(), counts, strict=True)):
        pairs = [*zip(top_ids[r], top_values[r], strict=True)][: count or 0]
        found.append(Chosen(token_id, 0.0 if count is None else values[r], tuple(pairs)))
    return found


def sample(scores: Tensor, options: Sequence[Sampling], uniforms: Sequence[float]) -> Tensor:
    """Return a token [R] for each row of logits [R, V] and random number from 0 to below 1.

    The token is where the cumulative probability, in the order of the vocabulary, exceeds the number: a rounding error
    of a logit, as another size of the batch makes, changes the token only within a rounding error of a border.
    """
    device = scores.device
    temperature = torch.tensor([one.temperature for one in options], device=device)
    # the largest becomes 0 first, so that a tiny temperature makes nothing infinite
    scaled = (scores - scores.amax(-1, keepdim=True)) / temperature[:, None]
    if any(one.top_k or one.top_p < 1 for one in options):
        scaled = _most_likely(scaled, options)
    cumulative = scaled.double().softmax(-1).cumsum(-1)
    aims = torch.tensor(uniforms, device=device, dtype=torch.float64)[:, None] * cumulative[:, -1:]
    found = torch.searchsorted(cumulative, aims, right=True)
    # rounding may lead past the last token that can be drawn
    last = scaled.shape[1] - 1 - (scaled > -torch.inf).flip(-1).int().argmax(-1, keepdim=True)
    return torch.minimum(found, last)[:, 0]


def _most_likely(scaled: Tensor, options: Sequence[Sampling]) -> Tensor:
    """Logits with -inf outside of the `top_k` most likely tokens, then outside of those that make up `top_p`."""
    ordered, order = scaled.sort(dim=-1, descending=True, stable=True)
    size = scaled.shape[1]
    ranks = torch.arange(size, device=scaled.device)
    top_k = torch.tensor([one.top_k or size for one in options], device=scaled.device)
    top_p = torch.tensor([one.top_p for one in options], device=scaled.device, dtype=torch.float64)
    dropped = ranks >= top_k[:, None]
    before = ordered.masked_fill(dropped, -torch.inf).double().softmax(-1)
    before = before.cumsum(-1) - before  # the probability of all that are likelier
    dropped |= (before >= top_p[:, None]) & (top_p < 1)[:, None]
    dropped[:, 0] = False
    return scaled.masked_fill(torch.zeros_like(dropped).scatter_(1, order, dropped), -torch.inf)
