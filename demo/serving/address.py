"""The address that a server listens on: whether it is free, whether only this machine reaches it, how it is shown."""

import ipaddress
import socket

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # the address to open if the server listens everywhere


def check_port(host: str, port: int) -> None:
    """Check, before the model is loaded, that the address is free.

    Raises:
        ValueError: it is in use or not one of this machine's.
    """
    listen(host, port).close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the address; the system chooses a port where `port` is 0.

    Raises:
        ValueError: the address is in use or not one of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just left by another server is free
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"cannot listen on {host} port {port}: {reason}. Choose another with --port, such as --port {port + 1}"
        ) from error
    return bound


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def shown_address(host: str, port: int) -> str:
    """Return `HOST:PORT` as it is written into an address bar."""
    shown = ANYWHERE.get(host, f"[{host}]" if ":" in host else host)
    return f"{shown}:{port}"
