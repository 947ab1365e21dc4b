"""An answer that is on its way, as the one who asked sees it."""

import logging
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Event

from omni.answering.contract import OnEvent
from omni.answering.events import Finished, Piece

logger = logging.getLogger(__name__)


class Answer:
    """Hands over pieces as they come; every method may be called from any thread.

    Args:
        cancel: is called when nobody waits for the answer any more.
        on_event: is called with each piece, then with how the answer ended or the error.
        on_end: is called with how the answer ended or the error, before anybody else learns of it.
    """

    def __init__(
        self,
        cancel: Callable[[], None],
        on_event: OnEvent | None = None,
        on_end: Callable[[Finished | Exception], None] | None = None,
    ) -> None:
        self._cancel = cancel
        self._on_end = on_end
        self._on_event = on_event
        self._pieces: SimpleQueue[Piece | None] = SimpleQueue()  # None = there are no more
        self._texts: list[str] = []
        self._end: Finished | Exception | None = None
        self._has_ended = Event()

    def take(self, event: Piece | Finished | Exception) -> None:
        """Take what is new; called by the one who answers."""
        if self._has_ended.is_set():
            return
        if isinstance(event, Piece):
            self._texts.append(event.text)
            self._pieces.put(event)
        else:
            if self._on_end is not None:
                self._on_end(event)
            self._end = event
            self._pieces.put(None)
            self._has_ended.set()
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:  # the caller's own: other answers go on, and this one has nobody who takes it
                logger.exception("on_event of an answer failed; the answer is cancelled")
                self._on_event = None
                self._cancel()

    def __iter__(self) -> Iterator[Piece]:
        """Yield what is new of the answer, each piece once in all; blocks until there is some.

        Raises:
            Exception: whatever the generation raised.
        """
        while (piece := self._pieces.get()) is not None:
            yield piece
        self._pieces.put(None)  # for the next iterator
        self.finished()

    def finished(self) -> Finished:
        """Return how the answer ended; blocks until it has.

        Raises:
            Exception: whatever the generation raised.
        """
        self._has_ended.wait()
        assert self._end is not None
        if isinstance(self._end, Exception):
            raise self._end
        return self._end

    def text(self) -> str:
        """Return the whole answer; blocks until it has ended.

        Raises:
            Exception: whatever the generation raised.
        """
        self.finished()
        return "".join(self._texts)

    def cancel(self) -> None:
        """End the answer at its next token, or at once while it waits; it does nothing to one that has ended."""
        if not self._has_ended.is_set():
            self._cancel()
