"""The server as an ASGI application: its paths, and errors in one form."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from demo.server.chat import chat
from demo.server.decisions import decide
from demo.server.embeddings import embed
from demo.server.errors import NOT_FOUND, APIError, api_error
from demo.server.exchange import Endpoint
from demo.server.fetching import Fetcher
from demo.server.limits import Limits
from demo.server.served import Served, ServedModel, ServedSpace, modalities_of
from demo.server.state import ServerState, make_state
from demo.serving.access import AccessControl

OPEN_PATHS = ("/health",)


def create_app(
    served: Served,
    limits: Limits | None = None,
    token: str | None = None,
    names: Collection[str] = (),
    fetcher: Fetcher | None = None,
) -> AccessControl:
    """Return the server over what has been loaded.

    Args:
        served: the model, the joint space, or both; they are closed when the server ends.
        limits: what a request may cost.
        token: what requests must show; None = nothing.
        names: host names that requests may be for, besides this machine's own.
        fetcher: gets media of other servers; None = there are none.
    """
    limits = limits or Limits()
    state = make_state(served, limits, fetcher or Fetcher(most_bytes=limits.medium_bytes))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        state.close()

    app = FastAPI(title="omni", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    for path, handle in (
        ("/v1/chat/completions", chat),
        ("/v1/embeddings", embed),
        ("/v1/decisions", decide),
    ):
        app.router.routes.append(Route(path, Endpoint(path, state, handle), methods=["POST"]))
    _add_reading_paths(app, state)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    return AccessControl(app, token, names, OPEN_PATHS)


def _add_reading_paths(app: FastAPI, state: ServerState) -> None:
    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_described(one, state.limits) for one in state.served]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        try:
            return JSONResponse(_described(state.find(name), state.limits))
        except APIError as error:
            return error.response()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse(state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _described(one: ServedModel | ServedSpace, limits: Limits) -> dict[str, Any]:
    """Return what a client may know of a model: OpenAI's keys, then what it takes."""
    return {
        "id": one.name,
        "object": "model",
        "created": one.created,
        "owned_by": "omni",
        **one.details(),
        "modalities": modalities_of(one.accepted),
        "limits": asdict(limits),
    }


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    allowed = (error.headers or {}).get("Allow")
    if error.status_code == NOT_FOUND:
        message = f"there is no {request.method} {request.url.path[:200]} here"
    elif allowed:
        message = f"{request.url.path[:200]} takes {allowed}, not {request.method}"
    else:
        message = str(error.detail)
    return APIError(message, error.status_code, headers=error.headers).response()


async def _failed(_: Request, error: Exception) -> Response:
    return api_error(error).response()
