"""Generate in a thread and hand over the text as it comes, with a way to stop."""

from collections.abc import Iterator, Sequence
from threading import Event, Thread
from typing import Any

import torch
from transformers import TextIteratorStreamer

from omni.messages import Message
from omni.model import OmniModel


class _StoppedError(Exception):
    """Unwinds a generation that nobody waits for any more."""


class _StoppableStreamer(TextIteratorStreamer):
    """Gives out text like its base class, and ends the generation at the next token once `stopped` is set."""

    def __init__(self, tokenizer: Any) -> None:
        # Without skip_prompt: the model is fed embeddings, so its prompt never passes through here as tokens.
        super().__init__(tokenizer, skip_special_tokens=True)
        self.stopped = Event()

    def put(self, value: torch.Tensor) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        if value.numel():  # generation begins by putting the token ids of the prompt: none
            super().put(value.reshape(-1))


def stream_answer(model: OmniModel, messages: Sequence[Message], **generation_config: Any) -> Iterator[str]:
    """The answer so far, again and again until it is whole. Closing the iterator ends the generation at the next token.

    Raises:
        Exception: whatever the generation raised.
    """
    streamer = _StoppableStreamer(model.llm.tokenizer)
    errors: list[Exception] = []

    def generate() -> None:
        try:
            model.generate(messages, streamer=streamer, **generation_config)
        except _StoppedError:
            pass
        except Exception as error:  # handed to the caller below: a thread has nobody to raise to
            errors.append(error)
        finally:
            streamer.end()  # also after an error, or the reader would wait forever

    thread = Thread(target=generate, daemon=True)
    thread.start()
    answer = ""
    try:
        for piece in streamer:
            answer += piece
            if piece:
                yield answer
    finally:
        streamer.stopped.set()
        thread.join()  # two generations at once would share the model's state
    if errors:
        raise errors[0]
