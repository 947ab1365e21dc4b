"""Who may ask: tokens in headers, cookies and addresses, and the names of the machine."""

import asyncio
from typing import Any

import pytest

from demo.serving.access import HEADERS, AccessControl, choose_token

TOKEN = "a-token-of-a-test"


def ask(
    control: AccessControl, path: str = "/", query: str = "", kind: str = "http", **headers: str
) -> tuple[int, dict[str, str]]:
    """Return the status and headers of the answer to one request; 0 = a websocket was accepted."""
    sent: list[Any] = []
    raw = [(b"host", b"localhost"), *((name.encode(), value.encode("latin-1")) for name, value in headers.items())]
    scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": [*dict(raw).items()]}

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(control(scope, receive, send))
    first = sent[0]
    return first.get("status", first.get("code", 0)), {
        name.decode(): value.decode() for name, value in first.get("headers", ())
    }


async def _page(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"SAMEORIGIN")]})
    await send({"type": "http.response.body", "body": b"hello"})


def test_headers_are_added_where_there_are_none_of_their_names() -> None:
    status, headers = ask(AccessControl(_page))
    assert status == 200
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert {name.decode() for name, _ in HEADERS} <= {*headers}


def test_a_browser_shows_its_token_once() -> None:
    control = AccessControl(_page, TOKEN, for_browsers=True)
    assert ask(control)[0] == 401
    assert ask(control, query="token=wrong")[0] == 401
    status, headers = ask(control, "/a b", f"x=1&token={TOKEN}")
    assert (status, headers["location"]) == (303, "/a%20b?x=1")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ask(control, cookie=cookie.partition(";")[0])[0] == 200
    assert ask(control, cookie="omni_token=wrong")[0] == 401
    assert ask(control, cookie="\xff=;;")[0] == 401
    assert ask(control, authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(control, authorization="Bearer t\xf6ken")[0] == 401


def test_no_address_with_a_token_leads_to_another_site() -> None:
    control = AccessControl(_page, TOKEN, for_browsers=True)
    for path in ("//evil.example/a", "/\\evil.example", "///evil.example"):
        location = ask(control, path, f"token={TOKEN}")[1]["location"]
        assert location.startswith("/")
        assert location[1:2] not in ("/", "\\")
    assert "\n" not in ask(control, "/a\r\nset-cookie: b", f"token={TOKEN}")[1]["location"]


def test_programs_show_their_token_with_every_request() -> None:
    control = AccessControl(_page, TOKEN, open_paths=["/health"])
    assert ask(control, query=f"token={TOKEN}")[0] == 401
    assert ask(control, cookie=f"omni_token={TOKEN}")[0] == 401
    assert ask(control, "/health")[0] == 200
    assert ask(control, "/health/../v1")[0] == 401


def test_websockets_are_closed() -> None:
    assert ask(AccessControl(_page, TOKEN), kind="websocket")[0] == 1008
    assert ask(AccessControl(_page), kind="websocket", host="evil.example")[0] == 1008
    assert ask(AccessControl(_page), kind="websocket")[0] == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("127.0.0.1:8000", 200), ("[::1]", 200), ("LOCALHOST:1", 200), ("10.0.0.5", 200), ("mine.example", 200)),
        *(("evil.example", 403), ("localhost.evil.example", 403), ("[::1", 403), ("", 403), ("a b", 403)),
        *(("mine.example@evil.example", 403),),
    ],
)
def test_only_names_of_the_machine_are_answered(host: str, status: int) -> None:
    assert ask(AccessControl(_page, names=["Mine.example"]), host=host)[0] == status


def test_a_token_is_needed_where_others_reach_the_server() -> None:
    assert choose_token("127.0.0.1", None) is None
    assert choose_token("::1", None) is None
    assert choose_token("localhost", None) is None
    for host in ("0.0.0.0", "::", "192.168.1.5", "my-machine"):
        token = choose_token(host, None)
        assert token is not None
        assert len(token) >= 24
        assert choose_token(host, None) != token
    assert choose_token("127.0.0.1", None, is_public=True) is not None
    assert choose_token("0.0.0.0", TOKEN) == TOKEN
    for bad in ("", "short", "a token with spaces in it", "ein-schlüssel-mit-ü"):
        with pytest.raises(ValueError, match="--token"):
            choose_token("127.0.0.1", bad)
