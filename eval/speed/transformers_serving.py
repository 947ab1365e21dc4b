"""A `transformers serve` of an LLM folder, as a process of its own that ends with the measurement."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

_NEEDED = ("fastapi", "uvicorn", "openai")  # the extra `serving` of transformers
_SECONDS_TO_START = 300
_SECONDS_TO_ANSWER = 3600


def missing_packages() -> list[str]:
    """Return the packages that `transformers serve` needs and that are not installed."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


@dataclass(frozen=True)
class Reply:
    """What came back for one question."""

    text: str
    num_tokens: int


class TransformersServer:
    """The server, for use in `with`.

    Args:
        folder: of the LLM.
        dtype: number format of its weights.
        device: where it runs.
    """

    def __init__(self, folder: Path, dtype: str, device: str) -> None:
        self._folder = str(folder)
        self._options = ["--dtype", dtype, "--device", device]

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        command = [str(Path(sys.executable).with_name("transformers")), "serve", self._folder]
        command += ["--host", "127.0.0.1", "--port", str(self._port), *self._options]
        self._log = tempfile.TemporaryFile()
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, env=environment)
        try:
            self._wait()
            self.answer("Hello", 1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def answer(self, question: str, most: int) -> Reply:
        """Return the greedy answer to a text of at most so many tokens."""
        body = {"model": self._folder, "messages": [{"role": "user", "content": question}]}
        body |= {"max_tokens": most, "temperature": 0, "stream": False}
        found = json.loads(self._get("/v1/chat/completions", body))
        return Reply(found["choices"][0]["message"]["content"], found["usage"]["completion_tokens"])

    def cpu_seconds(self) -> float:
        """Return the processor seconds that it has used."""
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system

    def _wait(self) -> None:
        until = time.monotonic() + _SECONDS_TO_START
        while True:
            try:
                self._get("/health")
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    self._log.seek(0)
                    log = self._log.read().decode(errors="replace")[-2000:]
                    reason = f"transformers serve did not start; leave it out by --no_transformers:\n{log}"
                    raise ValueError(reason) from None
                time.sleep(0.2)

    def _get(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", data)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER) as reply:
            return reply.read()
