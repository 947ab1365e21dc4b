"""The body of a request: read within its limits, parsed as JSON."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request

from demo.server.errors import TIMEOUT, TOO_LARGE, WRONG_TYPE, APIError, too_many
from demo.server.limits import Limits

_RETRY_SECONDS = 5.0
_HALF = re.compile(rb"\\u[dD][89abAB-F]")  # the escape of half a character, which another one may make whole


class Bodies:
    """Counts the bytes of the requests that are held in memory, and reads new ones while there is room."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0

    @contextmanager
    def room(self) -> Iterator["Body"]:
        """Give room for the body of one request until it has been answered."""
        body = Body(self, self._limits)
        try:
            yield body
        finally:
            self.held -= body.taken

    def take(self, count: int) -> None:
        """Count more bytes.

        Raises:
            APIError: 429, all that may be held is held.
        """
        if self.held + count > self._limits.held_bytes:
            raise too_many(_RETRY_SECONDS, "the server holds as many bytes of requests as it may")
        self.held += count


class Body:
    """The body of one request; `taken` bytes of it are counted."""

    def __init__(self, bodies: Bodies, limits: Limits) -> None:
        self._bodies = bodies
        self._limits = limits
        self.taken = 0

    async def read_json(self, request: Request) -> dict[str, Any]:
        """Read the body, which must be an object of JSON.

        Raises:
            APIError: 415 another type, 413 too large, 408 too slow, 429 no room, 400 no JSON.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # other types reach a server from any page without the browser asking first
            raise APIError(f"the content type must be application/json, got {kind[:100]!r}", WRONG_TYPE)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise APIError("a body must not be compressed", WRONG_TYPE)
        self._check_size(_length(request))
        try:
            async with asyncio.timeout(self._limits.max_upload_s):
                content = await self._receive(request)
        except TimeoutError as error:
            message = f"the body did not arrive within {self._limits.max_upload_s:g} s"
            raise APIError(message, TIMEOUT, code="timeout") from error
        return await asyncio.to_thread(parse_object, content, self._limits.max_values)

    async def _receive(self, request: Request) -> bytearray:
        content = bytearray()
        async for chunk in request.stream():
            self._check_size(len(content) + len(chunk))
            self._bodies.take(len(chunk))
            self.taken += len(chunk)
            content += chunk
        return content

    def _check_size(self, size: int) -> None:
        if size > self._limits.request_bytes:
            message = f"a request may have {self._limits.max_request_mb:g} MB; send smaller or fewer media"
            raise APIError(message, TOO_LARGE, code="request_too_large")


def parse_object(content: bytes | bytearray, max_values: int) -> dict[str, Any]:
    """Parse an object of JSON.

    Raises:
        APIError: it is none, it is too deep, or it has more values than it may.
    """
    # Counted before anything is built: a byte of `[[[[` would become 60 bytes of lists.
    count = content.count(b",") + content.count(b"[") + content.count(b"{")
    if count > max_values:
        message = f"the JSON has more than {max_values:,} values; send arrays as base64 (see docs/serving.md)"
        raise APIError(message, TOO_LARGE, code="request_too_large")
    try:
        value = json.loads(content.decode(), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise APIError("the JSON is nested too deeply", code="invalid_json") from error
    except UnicodeDecodeError as error:
        raise APIError("the body is not UTF-8", code="invalid_json") from error
    except ValueError as error:
        raise APIError(f"the body is not valid JSON: {str(error)[:200]}", code="invalid_json") from error
    if not isinstance(value, dict):
        raise APIError("the body must be an object of JSON", code="invalid_json")
    if _HALF.search(content) is not None:
        _check_characters(value)
    return value


def _check_characters(value: dict[str, Any]) -> None:
    """Refuse half a character, as JSON cut within an escape has it: no answer could repeat it."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise APIError(f"the body holds half a character ({half})", code="invalid_json") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _length(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdigit() else 0
