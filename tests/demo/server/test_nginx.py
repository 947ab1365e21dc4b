"""The nginx configuration of the documentation: requests are shared and streamed, a lost replica is passed over."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.documents import REPOSITORY

CONFIG = REPOSITORY / "docs/examples/many_machines/nginx.conf"
NGINX = os.environ.get("OMNI_NGINX") or shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine: apt-get install nginx")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def replica(name: str) -> Iterator[int]:
    """A server that sends its name, then what it was sent, half a second apart."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(name.encode())
            self.wfile.flush()
            time.sleep(0.5)
            self.wfile.write(body[-4:] + self.headers["Host"].encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def proxy(folder: Path, first: int, second: int) -> Iterator[str]:
    port = free_port()
    text = CONFIG.read_text()
    for before, after in (("8001", first), ("8002", second), ("8000;", f"{port};")):
        assert f"127.0.0.1:{before}" in text
        text = text.replace(f"127.0.0.1:{before}", f"127.0.0.1:{after}")
    (folder / "nginx.conf").write_text(text)
    assert NGINX is not None
    as_root = ["-g", "user root;"] if os.getuid() == 0 else []  # else its workers may not write to the folder
    command = [NGINX, "-p", str(folder), "-c", "nginx.conf", *as_root]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        for _ in range(200):
            assert process.poll() is None, process.stderr and process.stderr.read()
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_requests_are_shared_streamed_and_taken_over(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(replica("first"))
        inner = stack.enter_context(ExitStack())
        second = inner.enter_context(replica("other"))
        url = stack.enter_context(proxy(tmp_path, first, second))
        found = {httpx.post(f"{url}/v1/x", content=b"text").text for _ in range(4)}
        assert found == {"firsttext127.0.0.1", "othertext127.0.0.1"}

        with httpx.stream("POST", f"{url}/v1/x", content=b"x" * (4 << 20)) as response:
            pieces = [piece for piece in response.iter_text() if piece]
        assert len(pieces) == 2  # what came first was handed over before the rest was there
        assert httpx.post(f"{url}/v1/x", content=b"x" * (65 << 20)).status_code == 413
        assert httpx.get(f"{url}/metrics").status_code == 403

        inner.close()
        found = {httpx.post(f"{url}/v1/x", content=b"text").text for _ in range(4)}
        assert found == {"firsttext127.0.0.1"}
