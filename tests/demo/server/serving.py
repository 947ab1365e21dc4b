"""A server in a thread, on a port of the system's choice, over tiny models."""

import base64
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import openai
import uvicorn

from demo.server.app import create_app
from demo.server.fetching import Fetcher
from demo.server.limits import Limits
from demo.server.served import Served, serve_model, serve_space
from demo.serving.address import listen
from omni.joint_space import JointSpace
from omni.model import OmniModel
from tests.tiny import recording

MODEL, SPACE = "tiny", "tiny-space"


@dataclass
class Running:
    """A server that answers, with both kinds of clients."""

    url: str
    served: Served
    openai: openai.OpenAI
    http: httpx.Client

    def chat(self, **parameters: Any) -> httpx.Response:
        """Post to the chat endpoint as a client of no library would."""
        return self.http.post("/v1/chat/completions", json={"model": MODEL, **parameters})

    def metric(self, name: str) -> float:
        """Return a measurement without labels."""
        lines = self.http.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


@contextmanager
def serving(
    model: OmniModel | None = None,
    space: JointSpace | None = None,
    limits: Limits | None = None,
    token: str | None = None,
    fetcher: Fetcher | None = None,
) -> Iterator[Running]:
    """Serve until the block ends; the server must then end by itself."""
    limits = limits or Limits(max_running=8, max_tokens=64)
    served = Served(
        None if model is None else serve_model(model, MODEL, limits),
        None if space is None else serve_space(space, SPACE),
    )
    app = create_app(served, limits, token, fetcher=fetcher)
    with listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        config = uvicorn.Config(app, http="h11", ws="none", log_level="warning", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        url = f"http://127.0.0.1:{port}"
        key = token or "none is needed"
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.005)
            with client, httpx.Client(base_url=url, headers=headers, timeout=60) as http:
                yield Running(url, served, client, http)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def npy(array: np.ndarray) -> str:
    """Return an array as the base64 of an NPY file."""
    file = io.BytesIO()
    np.save(file, array)
    return base64.b64encode(file.getvalue()).decode()


def sent(modality: str, seed: int, length: int = 6) -> dict[str, Any]:
    """Return a part for `tests.tiny.SensorEncoder`, whose content is that of `tests.tiny.sensor`."""
    return {"type": modality, "data": npy(recording(seed, length))}


def asked(*parts: Any, text: str = "what is this?") -> list[dict[str, Any]]:
    """Return a conversation of one question about media."""
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]
