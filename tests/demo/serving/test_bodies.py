"""Bodies of requests: whole up to the limit, looked at, or refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx

from demo.serving.bodies import CheckedBodies


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def _no_bad_words(body: bytes) -> str | None:
    return "it holds a bad word" if b"bad" in body else None


def _post(content: Any, path: str = "/") -> httpx.Response:
    app: Any = CheckedBodies(_echo, _no_bad_words, most=1 << 20, except_for=["/upload"])

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
            return await client.post(path, content=content)

    return asyncio.run(post())


async def _parts(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * (1 << 19)


def test_bodies_arrive_whole_up_to_the_limit() -> None:
    assert _post(b"x" * (1 << 20)).text == "x" * (1 << 20)
    assert _post(_parts(2)).text == "x" * (1 << 20)
    assert _post(b"x" * ((1 << 20) + 1)).status_code == 413
    assert _post(_parts(3)).status_code == 413


def test_what_the_check_says_is_told_in_both_forms() -> None:
    response = _post(b"a bad body")
    assert response.status_code == 400
    assert response.json()["error"]["message"] == response.json()["detail"] == "it holds a bad word"


def test_uploads_are_not_read() -> None:
    assert _post(b"bad" * (1 << 20), "/upload").status_code == 200
