"""Generate in a thread and hand over the text as it comes, with a way to stop."""

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer

from omni.model import OmniModel
from omni.samples.messages import Message

REPLACEMENT = "\ufffd"  # stands in decoded text for bytes that are no whole character
LOOK_SECONDS = 0.05  # how often a generation that waits for another checks whether it is still wanted

# Two generations at once would share the model's state. One that was stopped may still be reading its media when the
# next one is asked for.
_generating = Lock()


class _StoppedError(Exception):
    """Unwinds a generation that nobody waits for any more."""


class _AnswerStreamer(BaseStreamer):
    """Queues the answer so far at every token, and ends the generation at the next token once `stopped` is set.

    Unlike transformers' own, which waits for a space: not every script has one between words.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.answers: SimpleQueue[str | None] = SimpleQueue()  # None = it is whole
        self.stopped = Event()
        self._tokenizer = tokenizer
        self._token_ids: list[int] = []

    def put(self, value: torch.Tensor) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        self._token_ids += value.reshape(-1).tolist()  # none at first: the prompt is embeddings
        answer = self._decode()
        if not answer.endswith(REPLACEMENT):  # else a character of which some bytes are still to come
            self.answers.put(answer)

    def end(self) -> None:
        self.answers.put(self._decode())
        self.answers.put(None)

    def _decode(self) -> str:
        return str(self._tokenizer.decode(self._token_ids, skip_special_tokens=True)).strip()


def stream_answer(model: OmniModel, messages: Sequence[Message], **generation_config: Any) -> Iterator[str]:
    """Yield the answer so far, again and again until it is whole; closing the iterator ends the generation.

    The generation ends at its next token.

    Raises:
        Exception: whatever the generation raised.
    """
    streamer = _AnswerStreamer(model.llm.tokenizer)
    errors: list[Exception] = []

    def generate() -> None:
        try:
            while not _generating.acquire(timeout=LOOK_SECONDS):
                if streamer.stopped.is_set():
                    return
            try:
                model.generate(messages, streamer=streamer, **generation_config)
            finally:
                _generating.release()
        except _StoppedError:
            pass
        except Exception as error:  # handed to the caller below: a thread has nobody to raise to
            errors.append(error)
        finally:
            streamer.end()  # also after an error, or the reader would wait forever

    thread = Thread(target=generate, daemon=True)
    thread.start()
    shown = ""
    try:
        while (answer := streamer.answers.get()) is not None:
            if answer != shown:
                shown = answer
                yield answer
    finally:
        streamer.stopped.set()
        thread.join()
    if errors:
        raise errors[0]
