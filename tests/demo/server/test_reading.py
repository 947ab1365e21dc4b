"""Bodies of requests, and everything that is wrong with them."""

import json
import socket
import time
from typing import Any

import pytest

from demo.server.errors import APIError
from demo.server.limits import Limits
from demo.server.reading import parse_object
from omni.model import OmniModel
from tests.demo.server.serving import MODEL, Running, asked, serving

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested"),
        (b"[" * 2000 + b"]" * 2000, "values"),
        (b'{"a": ' + b"9" * 5000 + b"}", "JSON"),
        (rb'{"a": ["\ud83d"]}', "half a character"),
        (rb'{"\uDC00": 1}', "half a character"),
    ],
)
def test_what_is_no_object_is_refused(content: bytes, word: str) -> None:
    most = 100_000 if b"[" not in content or content == b"[]" else 1000
    with pytest.raises(APIError, match=word):
        parse_object(content, most)


def test_characters_in_two_halves_are_whole() -> None:
    assert parse_object(rb'{"a": "\ud83d\ude00 \u00e9"}', 9) == {"a": "\N{GRINNING FACE} \xe9"}


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),  # what a page of another site can send without being asked
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, b"{}", 415),
        ({}, b"{}", 415),
        (JSON, b"{", 400),
        (JSON, b"{}", 400),
        (JSON, b'{"model": "tiny", "messages": [{"role": "user", "content": "\\ud83d"}]}', 400),
    ],
)
def test_bodies_that_are_refused(server: Running, headers: dict[str, str], content: bytes, status: int) -> None:
    for path in ("/v1/chat/completions", "/v1/embeddings", "/v1/decisions"):
        answer = server.http.post(path, content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"]


def test_a_body_may_have_so_many_bytes(model: OmniModel) -> None:
    with serving(model, limits=Limits(max_request_mb=0.01)) as server:
        big = json.dumps({"model": MODEL, "messages": asked(text="a" * 20_000)}).encode()
        told = server.http.post("/v1/chat/completions", content=big, headers=JSON)
        untold = server.http.post("/v1/chat/completions", content=iter([big[:9000], big[9000:]]), headers=JSON)
        assert (told.status_code, untold.status_code) == (413, 413)
        assert "0.01 MB" in told.json()["error"]["message"]


def test_all_bodies_together_may_have_so_many_bytes(model: OmniModel) -> None:
    with serving(model, limits=Limits(max_held_mb=0.01)) as server:
        answer = server.chat(messages=asked(text="a" * 20_000))
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert server.chat(messages=asked(), max_tokens=2).status_code == 200  # the room was given back


def test_a_body_that_does_not_arrive_is_given_up(model: OmniModel) -> None:
    with serving(model, limits=Limits(max_upload_s=0.2)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            slow.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert b" 408 " in slow.recv(4096)
        with socket.create_connection((host, int(port)), timeout=20) as gone:  # and one that leaves in the middle
            gone.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        deadline = time.monotonic() + 10
        while server.metric("omni_requests_in_flight"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_errors_of_the_server_show_nothing_of_it(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.served.model is not None

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret of /home/me")

    monkeypatch.setattr(server.served.model.answering, "submit", fail)
    answer = server.chat(messages=asked())
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
