"""Media at other addresses: allowed hosts only, public addresses only, within limits."""

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo.server.errors import APIError
from demo.server.fetching import Fetcher, is_public


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/media":
            self._send(200, b"content")
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/big":
            self._send(200, b"a" * 100_000)
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"a")
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"a")
                self.wfile.flush()
                time.sleep(0.05)
        else:
            self._send(404, b"no")

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # a client that had enough
            super().handle()


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield f"localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def fetcher(host: str, **options: float) -> Fetcher:
    """One that may connect to this machine, as a real one may not."""
    return Fetcher([host], most_bytes=10_000, is_allowed=lambda address: address.is_loopback, **options)


def test_an_allowed_host_is_fetched_from(other: str) -> None:
    assert fetcher(other).fetch(f"http://{other}/media", "url") == b"content"
    assert fetcher(other).fetch(f"http://{other}/to//media", "url") == b"content"  # a redirect on the same host


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/nothing", "status 404"),
        ("/big", "limit of a medium"),
        ("/short", "IncompleteRead"),
        ("/to/http://127.0.0.1/media", "fetches nothing from 127.0.0.1"),
        ("/to/file:///etc/passwd", "http"),
        ("/to/to/to/to/to/media", "redirects"),
        ("/ media", "letters"),
    ],
)
def test_what_is_not_given_is_an_error(other: str, path: str, word: str) -> None:
    with pytest.raises(APIError, match=word):
        fetcher(other).fetch(f"http://{other}{path}", "url")


def test_a_server_that_drips_is_cut_off(other: str) -> None:
    with pytest.raises(APIError, match="too long"):
        fetcher(other, seconds=0.3).fetch(f"http://{other}/slow", "url")


def test_this_machine_is_not_fetched_from_though_its_name_is_allowed(other: str) -> None:
    with pytest.raises(APIError, match="no public address"):
        Fetcher([other]).fetch(f"http://{other}/media", "url")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/a",
        "http://127.0.0.1/a",
        "http://[::1]/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://2130706433/a",
        "http://0x7f.1/a",
        "http://169.254.169.254/latest/meta-data",
        "http://allowed.example@127.0.0.1/a",
        "http://allowed.example:8080/a",
        "http://127.0.0.1#@allowed.example/a",
        "gopher://allowed.example/a",
        "//allowed.example/a",
        "http:///a",
        "http://allowed.example:99999/a",
    ],
)
def test_other_hosts_are_refused_before_anything_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    with pytest.raises(APIError):
        Fetcher(["allowed.example"]).fetch(url, "url")


def test_every_address_of_a_name_must_be_public(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("1.1.1.1", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it was connected to"))
    with pytest.raises(APIError, match="no public address"):
        Fetcher(["allowed.example"]).fetch("http://allowed.example/a", "url")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
        *("::", "::1", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
        *("2002:7f00:1::1", "2001::1", "2001:db8::1"),
    ],
)
def test_private_addresses_are_known(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_known(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
