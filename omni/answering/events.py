"""What becomes of an answer: pieces of it as they come, its end, and the refusal of a queue that is full."""

import builtins
from dataclasses import dataclass
from typing import Literal

Reason = Literal["stop", "length", "context", "cancelled", "timeout"]


@dataclass(frozen=True)
class TokenLikelihood:
    """A token of an answer with its log-likelihood in nats, as the LLM gave it before any option changed it."""

    token_id: int
    text: str  # U+FFFD stands for bytes that are no whole character
    bytes: builtins.bytes
    logprob: float
    top: tuple[
        tuple[int, str, builtins.bytes, float], ...
    ] = ()  # the most likely tokens in its place, the likeliest first


@dataclass(frozen=True)
class Piece:
    """What is new of an answer."""

    text: str  # whole characters only; never a part of a stop string
    tokens: tuple[TokenLikelihood, ...] = ()  # those that end in this text, if log-likelihoods were asked for


@dataclass(frozen=True)
class Finished:
    """How an answer ended.

    Attributes:
        reason: "stop" (by a token that ends answers, or a stop string), "length" (`max_new_tokens`), "context" (that of
            the LLM is full), "cancelled" or "timeout".
        prompt_tokens: of the conversation, media tokens included.
        answer_tokens: that were generated, the one that ended the answer included.
        media_tokens: of each medium in their order.
        cached_media: how many media were not encoded anew.
    """

    reason: Reason
    prompt_tokens: int = 0
    answer_tokens: int = 0
    media_tokens: tuple[int, ...] = ()
    cached_media: int = 0


@dataclass(frozen=True)
class Statistics:
    """What an `Answering` does and has done since it began; seconds are those of its thread.

    Attributes:
        running: conversations that are being answered.
        waiting: conversations, scores and embeddings that wait for their turn.
        answered: answers that ended by themselves.
        cancelled: answers that were cancelled.
        timed_out: answers that ran out of time.
        failed: answers that ended with an error.
        refused: conversations that found the queue full.
        prompt_tokens: tokens of conversations that were read.
        answer_tokens: tokens that were generated.
        steps: calls of the LLM that made a token for each conversation of a batch.
        cache_tokens: places that the caches of the conversations that are being answered take, pads included.
        encoder_seconds: in encoders and adapters.
        prefill_seconds: in reading conversations.
        step_seconds: in steps, and in answering conversations alone.
        media_kept: media whose features are kept.
        media_kept_bytes: bytes of those.
        media_encoded: media that were encoded.
        media_hits: media that were not, since their features were kept or another of their batch was the same.
    """

    running: int = 0
    waiting: int = 0
    answered: int = 0
    cancelled: int = 0
    timed_out: int = 0
    failed: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    steps: int = 0
    cache_tokens: int = 0
    encoder_seconds: float = 0.0
    prefill_seconds: float = 0.0
    step_seconds: float = 0.0
    media_kept: int = 0
    media_kept_bytes: int = 0
    media_encoded: int = 0
    media_hits: int = 0


class QueueFullError(RuntimeError):
    """Says that too many conversations wait already.

    Args:
        max_waiting: how many may wait.
        retry_after: seconds after which a place is likely to be free.
    """

    def __init__(self, max_waiting: int, retry_after: float) -> None:
        super().__init__(f"{max_waiting} requests wait already; try again in {retry_after:.0f} s")
        self.retry_after = retry_after
