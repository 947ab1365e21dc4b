"""An answer in the form of OpenAI's chat completions, whole and in chunks."""

import time
import uuid
from typing import Any

from demo.server.errors import STOPPING, APIError, too_slow
from demo.server.events import ChoiceEvent
from omni.answering.events import Finished, Piece, TokenLikelihood

_REASONS = {"stop": "stop", "length": "length", "context": "length"}


class Completion:
    """Gathers the answers to one request.

    Args:
        model: the name of the model.
        num_choices: how many answers there are.
        has_likelihoods: whether tokens come with their log-likelihoods.
        seconds: the most that an answer may take, for the error that says so.
    """

    def __init__(self, model: str, num_choices: int, has_likelihoods: bool, seconds: float) -> None:
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self._model = model
        self._created = int(time.time())
        self._has_likelihoods = has_likelihoods
        self._seconds = seconds
        self._texts = [""] * num_choices
        self._tokens: list[list[dict[str, Any]]] = [[] for _ in range(num_choices)]
        self._ends: list[Finished | None] = [None] * num_choices

    def add(self, event: ChoiceEvent) -> None:
        """Take in what happened to one of the answers.

        Raises:
            APIError: 408 it took too long, 503 the server is stopping.
        """
        if isinstance(event.event, Piece):
            self._texts[event.index] += event.event.text
            self._tokens[event.index] += map(_token, event.event.tokens)
        else:
            self._check_end(event.event)
            self._ends[event.index] = event.event

    def _check_end(self, end: Finished) -> None:
        if end.reason == "timeout":
            raise too_slow(self._seconds)
        if end.reason == "cancelled":
            raise APIError("the server is stopping", STOPPING, code="stopping")

    def whole(self) -> dict[str, Any]:
        """Return the answers as one object."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": {"content": tokens, "refusal": None} if self._has_likelihoods else None,
                "finish_reason": None if end is None else _REASONS[end.reason],
            }
            for index, (text, tokens, end) in enumerate(zip(self._texts, self._tokens, self._ends, strict=True))
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": self.usage()}

    def first_chunk(self, index: int) -> dict[str, Any]:
        """Return the chunk that begins an answer."""
        return self._chunk(index, {"role": "assistant", "content": "", "refusal": None})

    def chunk(self, event: ChoiceEvent) -> dict[str, Any]:
        """Return the chunk of an event that `add` has taken in."""
        if isinstance(event.event, Finished):
            return self._chunk(event.index, {}, reason=_REASONS[event.event.reason])
        tokens = [*map(_token, event.event.tokens)] if self._has_likelihoods else None
        return self._chunk(event.index, {"content": event.event.text}, tokens)

    def usage_chunk(self) -> dict[str, Any]:
        """Return the chunk that ends a stream with the number of tokens."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage()}

    def usage(self) -> dict[str, Any]:
        """Return the numbers of tokens; a question that is answered several times counts once, as at OpenAI."""
        ends = [end for end in self._ends if end is not None]
        prompt = max((end.prompt_tokens for end in ends), default=0)
        answers = sum(end.answer_tokens for end in ends)
        media = ends[0].media_tokens if ends else ()
        return {
            "prompt_tokens": prompt,
            "completion_tokens": answers,
            "total_tokens": prompt + answers,
            "prompt_tokens_details": {"cached_tokens": 0, "media_tokens": [*media]},
        }

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self._created, "model": self._model}

    def _chunk(
        self, index: int, delta: dict[str, Any], tokens: list[Any] | None = None, reason: str | None = None
    ) -> dict[str, Any]:
        likelihoods = None if tokens is None else {"content": tokens, "refusal": None}
        choice = {"index": index, "delta": delta, "logprobs": likelihoods, "finish_reason": reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}


def _token(token: TokenLikelihood) -> dict[str, Any]:
    top = [_likelihood(text, content, logprob) for _, text, content, logprob in token.top]
    return {**_likelihood(token.text, token.bytes, token.logprob), "top_logprobs": top}


def _likelihood(text: str, content: bytes, logprob: float) -> dict[str, Any]:
    # -9999 stands at OpenAI for what is too unlikely to be told; JSON has no minus infinity
    return {"token": text, "bytes": [*content], "logprob": max(logprob, -9999.0)}
