"""The events of answers, from the threads that make them to the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from omni.answering.contract import AnswerInParts, AnswersQuestions
from omni.answering.events import Finished, Piece
from omni.answering.sampling import Sampling
from omni.samples.sample import Message

Event = Piece | Finished | Exception


@dataclass(frozen=True)
class ChoiceEvent:
    """What happened to one of the answers to a request."""

    index: int
    event: Piece | Finished


class Answers:
    """The answers to one request, one for each sampling, on their way; `close` cancels those that are not whole.

    Raises:
        QueueFullError: too many conversations wait.
    """

    def __init__(
        self,
        answering: AnswersQuestions,
        messages: Sequence[Message],
        samplings: Sequence[Sampling],
        timeout: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._running = len(samplings)
        self._answers: list[AnswerInParts] = []
        try:
            for index, sampling in enumerate(samplings):
                taker = self._taker(index)
                self._answers.append(answering.submit(messages, sampling, timeout=timeout, on_event=taker))
        except BaseException:
            self.close()
            raise

    def _taker(self, index: int) -> Callable[[Event], None]:
        def take(event: Event) -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waits
                self._loop.call_soon_threadsafe(self._queue.put_nowait, (index, event))

        return take

    async def events(self) -> AsyncIterator[ChoiceEvent]:
        """Yield what happens until all answers are whole.

        Raises:
            Exception: what one of the answers raised.
        """
        while self._running:
            index, event = await self._queue.get()
            if isinstance(event, Exception):
                raise event
            self._running -= isinstance(event, Finished)
            yield ChoiceEvent(index, event)

    def close(self) -> None:
        """Cancel all answers that are not whole."""
        for answer in self._answers:
            answer.cancel()
