"""Bodies of requests are read whole, up to a limit, and looked at before the server sees them."""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping

from demo.serving.access import Application, Message, Receive, Scope, Send

BODY_BYTES = 2 << 20
# Reads the whole body of a request and says what is wrong with it, or None.
BodyCheck = Callable[[bytes], str | None]


class CheckedBodies:
    """ASGI middleware that refuses bodies that are too large (413) or that a check finds wrong (400).

    Args:
        application: the server behind it.
        check: says what is wrong with a body, or None.
        most: the most bytes of a body.
        except_for: paths whose bodies are not read here, such as uploads; `application` limits them itself.
    """

    def __init__(
        self, application: Application, check: BodyCheck, most: int = BODY_BYTES, except_for: Collection[str] = ()
    ) -> None:
        self._application = application
        self._check = check
        self._most = most
        self._except_for = frozenset(except_for)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        is_read = scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if not is_read or scope["path"].rstrip("/") in self._except_for:
            await self._application(scope, receive, send)
            return
        body = await self._read(scope, receive)
        if body is None:
            await refuse(send, 413, f"the request is larger than {self._most >> 20} MB")
            return
        reason = self._check(body)
        if reason is not None:
            await refuse(send, 400, reason)
            return
        await self._application(scope, _replayed(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._most:
            return None
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._most:
                return None
            if message["type"] != "http.request" or not message.get("more_body"):
                return bytes(body)


async def refuse(send: Send, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
    """Answer with an error, in OpenAI's form and (`detail`) in that of Gradio's page."""
    error = {"message": reason, "type": "invalid_request_error", "param": None, "code": None}
    body = json.dumps({"error": error, "detail": reason}).encode()
    shown = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    pairs = [(name.lower().encode(), value.encode()) for name, value in shown.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A `receive` that gives the body that was read already, and then what still comes (the end of the connection)."""
    is_given = False

    async def receive_again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
