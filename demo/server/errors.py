"""Errors in OpenAI's form, `{"error": {"message", "type", "param", "code"}}`, and which exception is which error."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

from omni.answering.engine.client import EngineError
from omni.answering.events import QueueFullError
from omni.media.errors import MediaError
from omni.samples.sample import SampleError, TooLongError

logger = logging.getLogger(__name__)

BAD_REQUEST, NOT_FOUND, TIMEOUT, TOO_LARGE, WRONG_TYPE, TOO_MANY, BROKEN, STOPPING = (
    *(400, 404, 408, 413, 415, 429, 500, 503),
)
_KINDS = {TOO_MANY: "rate_limit_error", TIMEOUT: "timeout_error", BROKEN: "server_error", STOPPING: "server_error"}


class APIError(Exception):
    """A request ends with an HTTP status and words; `param` names the key of the request that is meant."""

    def __init__(
        self,
        message: str,
        status: int = BAD_REQUEST,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return what the client is sent."""
        kind = _KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Return the whole answer."""
        return JSONResponse(self.body(), self.status, self.headers)


def too_many(retry_after: float, message: str = "too many requests are waiting") -> APIError:
    """Return the error that sends a client away for some seconds."""
    seconds = max(1, math.ceil(retry_after))
    headers = {"Retry-After": str(seconds)}
    return APIError(f"{message}; try again in {seconds} s", TOO_MANY, code="queue_full", headers=headers)


def too_slow(seconds: float) -> APIError:
    """Return the error of a request that took longer than it may."""
    return APIError(f"there was no whole answer within {seconds:g} s", TIMEOUT, code="timeout")


def api_error(error: Exception) -> APIError:
    """Return the error for a client; what is no fault of the request is logged, and told without any detail."""
    if isinstance(error, APIError):
        return error
    if isinstance(error, QueueFullError):
        return too_many(error.retry_after)
    if isinstance(error, TooLongError):
        return APIError(error.reason, param="messages", code="context_length_exceeded")
    if isinstance(error, SampleError):
        return APIError(error.reason, param="messages", code="invalid_messages")
    if isinstance(error, MediaError):
        return APIError(str(error), param="messages", code="invalid_media")
    if isinstance(error, EngineError):
        logger.error("%s", error)
        return APIError("the engine behind this server does not answer as it should", STOPPING, code="engine")
    if isinstance(error, TimeoutError):
        return APIError(str(error) or "there was no answer in time", TIMEOUT, code="timeout")
    if isinstance(error, ValidationError):
        return _of_schema(error)
    if isinstance(error, RecursionError):
        return APIError("the JSON is nested too deeply", code="invalid_json")
    logger.error("a request failed", exc_info=error)
    return APIError("the server failed at this request; its log says why", BROKEN, code="internal_error")


def _of_schema(error: ValidationError) -> APIError:
    """Return the first problem that pydantic found, in words that name the key."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return APIError(f"Unrecognized request argument supplied: {place}", param=place, code="unknown_parameter")
    if found["type"] == "missing":
        message = f"you must provide the parameter {place!r}"
        return APIError(message, param=place, code="missing_required_parameter")
    return APIError(f"{place}: {found['msg'].removeprefix('Value error, ')}", param=place, code="invalid_value")
