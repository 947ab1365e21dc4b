"""Media at addresses of other servers: only of hosts that are allowed by name, and never of private addresses.

The name is resolved once, every address that it has must be public, and the connection goes to the address that was
checked, so that a name cannot point elsewhere a moment later. Redirects are checked like the first address.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from demo.server.content import too_large
from demo.server.errors import APIError

_PORTS = {"http": 80, "https": 443}
_MOST_REDIRECTS = 3
_BLOCK = 1 << 16
# Addresses that stand for IPv4 addresses, which may be private: NAT64, 6to4, Teredo.
_TUNNELS = [ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet, and not of this machine, its network or its link."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return is_public(mapped)
    is_tunnel = any(address in network for network in _TUNNELS if network.version == address.version)
    return address.is_global and not address.is_multicast and not is_tunnel


class Fetcher:
    """Fetches media by http and https, within limits.

    Args:
        hosts: names, or `NAME:PORT` for another port than the usual one, that may be asked; empty = none.
        most_bytes: the most that one medium may have.
        seconds: the most that fetching one may take.
        is_allowed: whether an address may be connected to.
    """

    def __init__(
        self,
        hosts: Collection[str] = (),
        most_bytes: int = 32 << 20,
        seconds: float = 20.0,
        is_allowed: Callable[[Address], bool] = is_public,
    ) -> None:
        self.hosts = frozenset(host.lower() for host in hosts)
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._is_allowed = is_allowed

    def fetch(self, url: str, where: str) -> bytes:
        """Return what an address holds; blocks.

        Raises:
            APIError: the host is not allowed, the address is private, or the other server gives no content in time.
        """
        deadline = time.monotonic() + self._seconds
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._get(url, where, deadline)
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise APIError(f"{where}: more than {_MOST_REDIRECTS} redirects", param=where)

    def _get(self, url: str, where: str, deadline: float) -> bytes | str:
        """Return the content, or the address that a redirect leads to."""
        parts, port = self._checked(url, where)
        host = parts.hostname or ""
        address = self._resolve(host, port, where)
        try:
            with (
                contextlib.closing(_connect(parts.scheme, host, port, address, deadline)) as connection,
                _ended_at(deadline, connection.sock),
            ):
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("GET", target, headers={"User-Agent": "omni", "Accept-Encoding": "identity"})
                response = connection.getresponse()
                if response.status in (301, 302, 303, 307, 308):
                    return urljoin(url, response.getheader("Location", ""))
                if response.status != 200:
                    raise APIError(f"{where}: {host} answered with the status {response.status}", param=where)
                return self._read(response, where, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            is_late = isinstance(error, TimeoutError) or time.monotonic() >= deadline
            reason = "it took too long" if is_late else type(error).__name__
            raise APIError(f"{where}: nothing could be fetched from {host} ({reason})", param=where) from error

    def _checked(self, url: str, where: str) -> tuple[SplitResult, int]:
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise APIError(f"{where} is no address", param=where) from error
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
            raise APIError(f"{where} must be a data URI, or an address of http or https", param=where)
        if any(ord(letter) <= 32 or ord(letter) >= 127 for letter in url):
            raise APIError(f"{where} holds letters that an address may not have; encode them", param=where)
        name = parts.hostname.lower()
        wanted = name if port == _PORTS[parts.scheme] else f"{name}:{port}"
        if wanted not in self.hosts:
            raise APIError(
                f"{where}: this server fetches nothing from {wanted[:100]}; send the content as a data URI, or start "
                f"the server with --allow_host {wanted[:100]}",
                param=where,
                code="host_not_allowed",
            )
        return parts, port

    def _resolve(self, host: str, port: int, where: str) -> str:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise APIError(f"{where}: the host {host[:100]} is not known", param=where) from error
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not addresses or not all(self._is_allowed(address) for address in addresses):
            message = f"{where}: {host[:100]} is no public address, so nothing is fetched from it"
            raise APIError(message, param=where, code="host_not_allowed")
        return str(addresses[0])

    def _read(self, response: http.client.HTTPResponse, where: str, deadline: float) -> bytes:
        content = bytearray()
        while block := response.read1(_BLOCK):
            content += block
            if len(content) > self._most_bytes:
                raise too_large(self._most_bytes, where)
        _left(deadline)  # the end may be that of the time
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        if not content:
            raise APIError(f"{where}: the address gives no content", param=where)
        return bytes(content)


def _connect(scheme: str, host: str, port: int, address: str, deadline: float) -> http.client.HTTPConnection:
    """Return a connection to the address, under the name of the host."""
    connection = http.client.HTTPConnection(host, port, timeout=_left(deadline))
    connected = socket.create_connection((address, port), timeout=_left(deadline))
    if scheme == "https":
        try:
            connected = ssl.create_default_context().wrap_socket(connected, server_hostname=host)
        except BaseException:
            connected.close()
            raise
    connection.sock = connected
    return connection


@contextlib.contextmanager
def _ended_at(deadline: float, connected: Any) -> Iterator[None]:
    """Cut a connection off at the deadline: a server that sends a byte now and then would never run out of time."""

    def cut() -> None:
        with contextlib.suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_left(deadline), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _left(deadline: float) -> float:
    """Return the seconds that are left; TimeoutError if there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
