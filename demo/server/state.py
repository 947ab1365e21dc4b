"""What the endpoints of one server share."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from demo.server.errors import NOT_FOUND, APIError, too_many, too_slow
from demo.server.fetching import Fetcher
from demo.server.limits import Limits
from demo.server.metrics import Metrics
from demo.server.parts import Accepted, PartReader
from demo.server.reading import Bodies
from demo.server.served import Served, ServedModel, ServedSpace

Result = TypeVar("Result")

_RETRY_SECONDS = 5.0


class Turns:
    """Runs work in threads, with a bound on what waits for one.

    Args:
        workers: how much is done at once.
        waiting: how much may wait.
    """

    def __init__(self, workers: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="turns")
        self._most = workers + waiting
        self._taken = 0

    async def run(self, work: Callable[[], Result], seconds: float) -> Result:
        """Return what `work` returns; what has not begun when the time is over, or nobody waits, never does.

        Raises:
            APIError: 429 too much waits, 408 it took too long.
        """
        if self._taken >= self._most:
            raise too_many(_RETRY_SECONDS)
        self._taken += 1
        deadline = time.monotonic() + seconds
        future = self._pool.submit(work)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._release))
        try:
            async with asyncio.timeout_at(loop.time() + deadline - time.monotonic()):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                raise  # the work's own
            raise too_slow(seconds) from error
        finally:
            future.cancel()

    def _release(self) -> None:
        self._taken -= 1

    def close(self) -> None:
        """Let nothing more begin."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class ServerState:
    """The model, the limits and the measurements of a server, and its threads."""

    served: Served
    limits: Limits
    fetcher: Fetcher
    metrics: Metrics
    bodies: Bodies
    parsing: Turns  # base64, arrays, and media from elsewhere
    scoring: Turns  # waits for likelihoods and embeddings of the language model, which have a queue of their own
    embedding: Turns  # one at a time: a joint space

    def find(self, name: str) -> ServedModel | ServedSpace:
        """Return what is served under a name.

        Raises:
            APIError: 404, there is nothing of that name.
        """
        for one in self.served:
            if one.name == name:
                return one
        there = " and ".join(one.name for one in self.served)
        message = f"the model {name[:200]!r} does not exist here; there is {there}"
        raise APIError(message, NOT_FOUND, param="model", code="model_not_found")

    def find_model(self, name: str) -> ServedModel:
        """Return the model with a language model.

        Raises:
            APIError: 404 there is nothing of that name, 400 it is a joint space.
        """
        found = self.find(name)
        if found is not self.served.model:
            message = f"{name} is a joint space: it embeds (/v1/embeddings) and has no language model"
            raise APIError(message, param="model", code="unsupported_model")
        assert self.served.model is not None
        return self.served.model

    def close(self) -> None:
        """End all answers, and let nothing more begin."""
        for turns in (self.parsing, self.scoring, self.embedding):
            turns.close()
        self.served.close()

    def reader(self, accepted: dict[str, Accepted]) -> PartReader:
        """Return a reader of the parts of one request."""
        return PartReader(accepted, self.limits, self.fetcher.fetch)


def make_state(served: Served, limits: Limits, fetcher: Fetcher) -> ServerState:
    """Return the state of a new server."""
    statistics = None if served.model is None else served.model.answering.statistics
    return ServerState(
        served,
        limits,
        fetcher,
        Metrics(statistics),
        Bodies(limits),
        parsing=Turns(4, limits.max_running + limits.max_waiting),
        scoring=Turns(limits.max_running, limits.max_waiting),
        embedding=Turns(1, limits.max_waiting),
    )
