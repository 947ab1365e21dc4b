"""A lost, silent or wrong engine is an error in words, and never a wait without end."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest
import torch

from omni.answering.engine.client import EngineError, EngineModel, VLLMClient, encode_embeddings
from omni.answering.engine.served import lora_sets


class _Engine(BaseHTTPRequestHandler):
    """A server that answers what the test says; `None` = it says nothing until the test is over."""

    replies: dict[str, tuple[int, str] | None]
    over: Event

    def do_GET(self) -> None:
        reply = self.replies.get(self.path, (404, "{}"))
        if reply is None:
            self.over.wait(30)
            return
        status, text = reply
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def engine(**replies: tuple[int, str] | None) -> Iterator[str]:
    """A server with replies to `completions`, `models` and `health`."""
    paths = {"completions": "/v1/completions", "models": "/v1/models", "health": "/health"}
    handler = type(
        "Handler",
        (_Engine,),
        {"replies": {"/health": (200, "")} | {paths[k]: v for k, v in replies.items()}, "over": Event()},
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            handler.over.set()
            server.shutdown()
            thread.join()


def events(url: str) -> list[Any]:
    async def collect() -> list[Any]:
        client = VLLMClient(url, silence=0.1)
        try:
            return [event async for event in client.stream({"model": "m"})]
        finally:
            await client.close()

    return asyncio.run(collect())


def models(url: str) -> list[EngineModel]:
    async def ask() -> list[EngineModel]:
        client = VLLMClient(url)
        try:
            return await client.models()
        finally:
            await client.close()

    return asyncio.run(ask())


LISTED = (
    '{"data": [{"id": "a", "parent": null, "max_model_len": 9}, {"id": "b", "parent": "a", "max_model_len": null}]}'
)


def test_events_and_models_are_read() -> None:
    stream = 'data: {"choices": [1]}\n\n: a comment\n\ndata: {"choices": [2]}\n\ndata: [DONE]\n\n'
    with engine(completions=(200, stream), models=(200, LISTED)) as url:
        assert events(f"{url}/v1/") == [{"choices": [1]}, {"choices": [2]}]
        assert models(url) == [EngineModel("a", None, 9), EngineModel("b", "a", None)]


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ({"completions": (200, 'data: {"choices": []}\n\n')}, "ended in the middle of an answer"),
        ({"completions": (200, "data: <html>\n\n")}, "does not answer in JSON"),
        ({"completions": (200, 'data: {"error": {"message": "boom"}}\n\n')}, "failed: boom"),
        ({"completions": (400, '{"error": {"message": "You must set --enable-prompt-embeds"}}')}, "start it with"),
        ({"completions": (401, "{}")}, "another token"),
        ({"completions": (404, "{}")}, "no vLLM server at"),
        ({"completions": None, "health": (503, "")}, r"not well \(status 503\)"),
        ({"completions": None, "health": (404, "")}, r"not well \(status 404\)"),
    ],
)
def test_what_goes_wrong_is_said(replies: dict[str, Any], message: str) -> None:
    with engine(**replies) as url, pytest.raises(EngineError, match=message):
        events(url)


def test_an_engine_that_is_well_may_think_as_long_as_it_likes() -> None:
    async def wait(url: str) -> None:
        client = VLLMClient(url, silence=0.05)
        try:
            async with asyncio.timeout(1.0):
                async for _ in client.stream({}):
                    pass
        finally:
            await client.close()

    begin = time.monotonic()
    with engine(completions=None, health=(200, "")) as url, pytest.raises(TimeoutError):
        asyncio.run(wait(url))
    assert time.monotonic() - begin > 0.9


def test_nobody_there_and_no_address() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{one.getsockname()[1]}"
    for ask in (events, models):
        with pytest.raises(EngineError, match="cannot be reached, or was lost"):
            ask(url)
    for wrong in ("127.0.0.1:8000", "ftp://here", "http://"):
        with pytest.raises(ValueError, match=r"address .* is none"):
            models(wrong)
    with engine(models=(200, "[]")) as url, pytest.raises(EngineError, match="does not list models"):
        models(url)


def test_embeddings_are_sent_as_vllm_reads_them() -> None:
    import base64
    import io

    embeds = torch.randn(6, 4)[::2].requires_grad_()
    found = torch.load(io.BytesIO(base64.b64decode(encode_embeddings(embeds))), weights_only=True)
    assert torch.equal(found, embeds)
    assert found.untyped_storage().nbytes() == 3 * 4 * 4  # and not all of what it is a part of


def test_sets_of_loras() -> None:
    assert lora_sets([]) == [frozenset()]
    assert lora_sets(["default"]) == [frozenset({"default"})]
    assert {*lora_sets(["a", "b"])} == {frozenset(), frozenset("a"), frozenset("b"), frozenset("ab")}
    assert len(lora_sets([*"abcdefgh"])) == 10
