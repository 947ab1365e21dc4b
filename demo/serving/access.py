"""Who may ask a server: a token where one is set, host names that are its own, and no pages of other sites.

A page of another site can make its visitor's browser send requests to this machine. Three checks end that: the Host
header must be an address or a name of this machine (DNS rebinding makes a foreign name point here), the Origin header,
where there is one, must be that of the same host, and no header opens the server to other origins (CORS).
"""

import hmac
import ipaddress
import json
import secrets
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from demo.serving.address import is_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE, QUERY = "omni_token", "token"
# What a browser is told with every answer: no frames around it, no guessing of types, no address passed on.
HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_SHORTEST_TOKEN = 16  # characters


def choose_token(host: str, token: str | None, *, is_public: bool = False) -> str | None:
    """Return the token that visitors must show: the one that is given, a random one where one is needed, or None.

    Args:
        host: the address to listen on.
        token: what the user gave.
        is_public: whether others reach the server although it listens on loopback, as through a tunnel.

    Raises:
        ValueError: the token is short enough to be guessed, or no header can hold it.
    """
    if token is None:
        return None if is_loopback(host) and not is_public else secrets.token_urlsafe(24)
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(
            f"--token must be at least {_SHORTEST_TOKEN} letters, digits and signs without spaces; leave it out for a "
            "random one"
        )
    return token


class AccessControl:
    """ASGI middleware that refuses requests with 401 or 403, and tells browsers `HEADERS` with every answer.

    Args:
        application: the server behind it.
        token: what requests must show; None = nothing.
        names: host names, besides addresses, `localhost` and this machine's own name, that requests may be for.
        open_paths: paths that need no token.
        for_browsers: whether the token may also come as `?token=...`, which becomes a cookie.
    """

    def __init__(
        self,
        application: Application,
        token: str | None = None,
        names: Iterable[str] = (),
        open_paths: Collection[str] = (),
        for_browsers: bool = False,
    ) -> None:
        self._application = application
        self._token = token
        self._names = {"localhost", socket.gethostname().lower(), *(name.lower() for name in names)}
        self._open_paths = frozenset(open_paths)
        self._for_browsers = for_browsers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        headers = _headers(scope)
        refusal = self._foreign(headers)
        if refusal is not None:
            await _refuse(scope, send, 403, refusal, "forbidden")
        elif self._token is None or scope["path"] in self._open_paths or self._shows_token(headers):
            await self._application(scope, receive, _with_headers(send))
        elif self._for_browsers and self._matches(_query(scope).get(QUERY, [""])[0]):
            await _keep_token(scope, send, self._token)
        else:
            message = "this server needs its token: send the header 'Authorization: Bearer TOKEN'"
            if self._for_browsers:
                message += f", or open the address with ?{QUERY}=TOKEN at its end"
            await _refuse(scope, send, 401, message, "invalid_api_key")

    def allow(self, name: str) -> None:
        """Answer to one more host name, such as that of a tunnel that is opened after the start."""
        self._names.add(name.lower())

    def _foreign(self, headers: dict[str, str]) -> str | None:
        """Return why a request comes from another site's page; None where it does not."""
        host = headers.get("host", "")
        if not self._is_own(host):
            return f"the host {host[:100]!r} is none of this server's; allow a name with --public_name NAME"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "pages of other sites may not use this server"
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True  # an address is no name that could be made to point elsewhere

    def _shows_token(self, headers: dict[str, str]) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._matches(token.strip()):
            return True
        if not self._for_browsers:
            return False
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and self._matches(cookie.value)

    def _matches(self, token: str) -> bool:
        return self._token is not None and hmac.compare_digest(token.encode(), self._token.encode())


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode("latin-1"))


def _with_headers(send: Send) -> Send:
    async def send_more(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", ())}
            added = [pair for pair in HEADERS if pair[0] not in present]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return send_more


async def _refuse(scope: Scope, send: Send, status: int, message: str, code: str) -> None:
    """Answer with an error in OpenAI's form; a websocket is closed."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": message[:100]})
        return
    kind = "authentication_error" if status == 401 else "permission_error"
    body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _keep_token(scope: Scope, send: Send, token: str) -> None:
    """Put the token of an address into a cookie, and show the address without it."""
    rest = {name: values for name, values in _query(scope).items() if name != QUERY}
    target = quote(scope["path"]) + (f"?{urlencode(rest, doseq=True)}" if rest else "")
    target = "/" + target.lstrip("/\\")  # never the address of another site
    cookie = SimpleCookie({COOKIE: token})
    cookie[COOKIE].update({"path": "/", "httponly": "yes", "samesite": "Strict"})
    headers = [
        (b"location", target.encode()),
        (b"set-cookie", cookie[COOKIE].OutputString().encode()),
        (b"cache-control", b"no-store"),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
