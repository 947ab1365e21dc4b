"""What answers conversations: `Answering` in this process, or an engine elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from torch import Tensor

from omni.answering.events import Finished, Piece, Statistics
from omni.answering.sampling import Sampling
from omni.model.preparation import Messages
from omni.samples.messages import Sample

OnEvent = Callable[[Piece | Finished | Exception], None]


class AnswerInParts(Protocol):
    """An answer that is on its way."""

    def __iter__(self) -> Iterator[Piece]:
        """Yield what is new of the answer, waiting for it; raises what the generation raised."""
        ...

    def finished(self) -> Finished:
        """Return how the answer ended, waiting for it; raises what the generation raised."""
        ...

    def text(self) -> str:
        """Return the whole answer, waiting for it; raises what the generation raised."""
        ...

    def cancel(self) -> None:
        """End the answer as soon as possible; it does nothing to one that has ended."""
        ...


class AnswersQuestions(Protocol):
    """Answers several conversations at once; every method may be called from any thread."""

    def submit(
        self,
        messages: Messages | Sample,
        sampling: Sampling = ...,
        *,
        timeout: float | None = None,
        on_event: OnEvent | None = None,
    ) -> AnswerInParts:
        """Begin to answer a conversation, and return its answer at once.

        Args:
            messages: the conversation.
            sampling: how to choose tokens.
            timeout: seconds after which the answer ends, whatever there is of it.
            on_event: is called with each piece, then with how the answer ended or the error, from a thread that must
                not be kept waiting.

        Raises:
            QueueFullError: too many conversations wait already.
        """
        ...

    def score(
        self,
        messages: Messages | Sample,
        candidates: Sequence[str],
        normalization: str = "sum",
        *,
        timeout: float | None = None,
    ) -> Tensor:
        """Return what `OmniModel.score` returns; TimeoutError after `timeout` seconds."""
        ...

    def embed(self, messages: Messages | Sample, prompt: str | None = None, *, timeout: float | None = None) -> Tensor:
        """Return what `OmniModel.embed` returns for one conversation; TimeoutError after `timeout` seconds."""
        ...

    def statistics(self) -> Statistics:
        """Return what it does and has done."""
        ...

    def close(self) -> None:
        """Cancel everything and let go of what it holds."""
        ...
