"""One conversation that is being answered: what it was given, what it has said, and when it ends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from omni.answering.choosing import Chooser, Chosen
from omni.answering.events import Finished, Piece, Reason, TokenLikelihood
from omni.answering.sampling import Sampling
from omni.answering.text import GrowingText
from omni.answering.token_text import TokenTexts
from omni.model.batch import EmbeddedExample, Example


@dataclass(frozen=True)
class Prompt:
    """A conversation that the LLM can read."""

    example: Example
    embedded: EmbeddedExample
    media_tokens: tuple[int, ...]
    cached_media: int

    @property
    def length(self) -> int:
        """Its tokens."""
        return len(self.embedded.labels)


@dataclass(frozen=True)
class Limits:
    """Tokens that an answer may have.

    Attributes:
        most: of them.
        by_context: whether the LLM's context is what allows no more.
    """

    most: int
    by_context: bool

    @classmethod
    def of(cls, sampling: Sampling, length: int, context_length: int) -> "Limits":
        """Return those of an answer to a conversation of `length` tokens, as `OmniModel.generate` has them."""
        room = max(1, context_length - length)
        return cls(min(sampling.max_new_tokens, room), room < sampling.max_new_tokens)


@dataclass
class Row:
    """An answer that grows.

    Args:
        prompt: the conversation.
        sampling: how tokens are chosen.
        limits: how many there may be.
        end_token_ids: tokens that end it.
        tokenizer: the LLM's.
        texts: what single tokens stand for.
        on_event: takes each piece and the end.
        interruption: says why the answer must end now; None = it need not.
    """

    prompt: Prompt
    sampling: Sampling
    limits: Limits
    end_token_ids: Sequence[int]
    tokenizer: PreTrainedTokenizerBase
    texts: TokenTexts
    on_event: Callable[[Piece | Finished | Exception], None]
    interruption: Callable[[], Reason | None]
    num_tokens: int = 0
    last_token: int = -1
    ended: Finished | Exception | None = None
    _likelihoods: list[TokenLikelihood] = field(default_factory=list)
    _handed: int = 0  # of these

    def __post_init__(self) -> None:
        self.chooser = Chooser(self.sampling, self.end_token_ids)
        self.text = GrowingText(self.tokenizer, self.sampling.stop)
        self._ends = frozenset(self.end_token_ids)

    def take(self, chosen: Chosen | None) -> None:
        """Add a token, and hand over what can be shown; `ended` says afterwards whether that was the last one.

        None = the LLM gave no numbers to choose by, which ends the answer with an error.
        """
        if chosen is None:
            self.fail(ValueError(_no_numbers(self.prompt)))
            return
        self.num_tokens += 1
        self.last_token = chosen.token_id
        if chosen.token_id in self._ends:
            self.finish("stop")
            return
        if self.sampling.top_logprobs is not None:
            self._likelihoods.append(self._likelihood(chosen))
        self._hand_over(self.text.add(chosen.token_id), last=False)
        if self.text.stopped:
            self.finish("stop")
        elif self.num_tokens >= self.limits.most:
            self.finish("context" if self.limits.by_context else "length")

    def finish(self, reason: Reason) -> None:
        """End the answer; what was held back of it is handed over."""
        self._hand_over(self.text.finish(), last=True)
        self._end(self.finished(reason))

    def fail(self, error: Exception) -> None:
        """End the answer with an error."""
        self._end(error)

    def finished(self, reason: Reason) -> Finished:
        """Return how the answer ended, if for this reason."""
        prompt = self.prompt
        return Finished(reason, prompt.length, self.num_tokens, prompt.media_tokens, prompt.cached_media)

    def _end(self, ended: Finished | Exception) -> None:
        if self.ended is None:
            self.ended = ended
            self.on_event(ended)

    def _hand_over(self, text: str, *, last: bool) -> None:
        tokens = self._tokens_until(len(self.text.ends) if last else self.text.shown, last)
        if text or tokens:
            self.on_event(Piece(text, tokens))

    def _tokens_until(self, shown: int, last: bool) -> tuple[TokenLikelihood, ...]:
        """The tokens that end in what is shown, or at the end all that stand before a stop string."""
        if not self._likelihoods:
            return ()
        ends, cut = self.text.ends, self.text.cut
        start = self._handed
        while self._handed < len(self._likelihoods):
            end = ends[self._handed]
            if (end > shown) if not last else (cut is not None and end > cut):
                break
            self._handed += 1
        return tuple(self._likelihoods[start : self._handed])

    def _likelihood(self, chosen: Chosen) -> TokenLikelihood:
        top = tuple((token_id, *self.texts.of(token_id), logprob) for token_id, logprob in chosen.top)
        return TokenLikelihood(chosen.token_id, *self.texts.of(chosen.token_id), chosen.logprob, top)


def _no_numbers(prompt: Prompt) -> str:
    media = sorted(prompt.example.modalities)
    cause = f"its media ({', '.join(media)}) may hold values that are no numbers or far too large" if media else ""
    return (
        f"{prompt.example.id}: the LLM's output is not finite (NaN or infinite), so no token can be chosen: "
        + (cause or "the number format may be too narrow for this LLM")
        + "; check them, or load the model with dtype float32"
    )
