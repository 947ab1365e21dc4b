"""One request and its answer: read, watched for a client that goes away, measured, and ended in words if it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from demo.server.errors import api_error
from demo.server.metrics import RequestTimes
from demo.server.state import ServerState

Result = TypeVar("Result")


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Exchange:
    """What an endpoint needs to answer one request.

    Attributes:
        state: the server's.
        body: the parameters that were sent.
        times: when the request arrived.
        cleanup: what is closed once the answer has been sent, or the client has gone.
    """

    state: ServerState
    body: dict[str, Any]
    times: RequestTimes
    cleanup: AsyncExitStack

    def seconds_left(self) -> float:
        """Return how many seconds the answer may still take."""
        return self.times.left(self.state.limits.max_wait_s)

    async def read(self, work: Callable[[], Result]) -> Result:
        """Return what `work` makes of the parameters, and let go of their texts, media in base64 among them.

        Raises:
            APIError: they cannot be used, or there is no time left.
        """
        found = await self.state.parsing.run(work, self.seconds_left())
        self.body.clear()
        return found


class Endpoint:
    """An ASGI application that reads an object of JSON and sends what `handle` makes of it.

    Args:
        name: of the endpoint, in measurements.
        state: the server's.
        handle: makes the answer.
    """

    def __init__(self, name: str, state: ServerState, handle: Callable[[Exchange], Awaitable[Response]]) -> None:
        self._name = name
        self._state = state
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        with self._state.metrics.request(self._name) as times:
            async with AsyncExitStack() as cleanup:
                with suppress(ClientGoneError, ClientDisconnect):
                    await self._answer(Request(scope, receive), send, times, cleanup)

    async def _answer(self, request: Request, send: Send, times: RequestTimes, cleanup: AsyncExitStack) -> None:
        gone: asyncio.Future[None] | None = None
        try:
            body = cleanup.enter_context(self._state.bodies.room())
            parameters = await body.read_json(request)
            self._state.metrics.count_body(body.taken)
            gone = _watch(request)
            cleanup.callback(gone.cancel)
            exchange = Exchange(self._state, parameters, times, cleanup)
            del parameters
            response = await _until(gone, self._respond(exchange))
        except (ClientGoneError, ClientDisconnect):
            raise
        except Exception as error:  # a client gets an answer whatever fails; `api_error` logs what is our fault
            response = api_error(error).response()
        times.status = response.status_code
        sending = response(request.scope, request.receive, send)
        try:
            await (sending if gone is None else _until(gone, sending))
        except (ClientGoneError, ClientDisconnect):
            times.status = 499
            raise

    async def _respond(self, exchange: Exchange) -> Response:
        return await self._handle(exchange)


def _watch(request: Request) -> "asyncio.Future[None]":
    """Return a future that is done once the client has gone; the body of the request must have been read."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return asyncio.ensure_future(watch())


async def _until(gone: "asyncio.Future[None]", work: Coroutine[Any, Any, Result]) -> Result:
    """Return what `work` returns, or end it when the client goes.

    Raises:
        ClientGoneError: the client went first.
        Exception: what the work raised.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGoneError
    finally:
        if not task.done():
            task.cancel()
            with suppress(BaseException):
                await task
