"""`python -m tests.serve_load --model DIR`: many clients at once; no answer may be wrong, mixed up or lost.

It starts the server on the folder, asks it with pictures, sounds and texts from many clients, and compares each answer
with the one that the model gives alone. With `--kill` a client is cut off each second, in the middle of its answer.
"""

import argparse
import base64
import contextlib
import io
import json
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import soundfile
from PIL import Image

from demo.server.limits import Limits
from demo.server.parts import PartReader
from demo.server.served import Served, load_served
from omni.media.sound import SOUND_EXTENSIONS

# so many things that nearly every question has an answer of its own, and a mixed-up one shows
THINGS = ["frog", "river", "train", "violin", "storm", "castle", "lemon", "bridge", "wolf", "candle", "island", "robot"]
NAME = "model"


@dataclass
class Tally:
    """What became of all requests."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    refused: int = 0
    cut_off: int = 0
    tokens: int = 0
    memory: list[float] = field(default_factory=list)  # GB of the server, each second
    lock: threading.Lock = field(default_factory=threading.Lock)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load; the exit status is 1 if an answer was wrong or lost."""
    options = _parser().parse_args(arguments)
    limits = Limits(max_tokens=options.tokens)
    served = load_served(options.model, None, NAME, options.trust_code, limits)
    bodies = make_bodies(served, options.questions, options.seed)
    alone = [answer_alone(served, body, limits) for body in bodies]
    served.close()
    print(f"{len(bodies)} questions, {len({*alone})} different answers", flush=True)
    trust = ["--trust_code"] if options.trust_code else []
    with started(options.model, [*trust, "--max_tokens", str(options.tokens)]) as (process, url):
        tally = load(url, process, bodies, alone, options)
    report(tally, options)
    return 1 if tally.wrong or tally.failed else 0


def make_bodies(served: Served, count: int, seed: int) -> list[dict[str, Any]]:
    """Return requests about made-up media of the modalities that are pictures or sounds, and about none."""
    assert served.model is not None
    rng = np.random.default_rng(seed)
    kinds: list[str | None] = [None]
    for name, accepted in served.model.accepted.items():
        if {".png", *SOUND_EXTENSIONS} & {*accepted.extensions}:
            kinds.append(name)
    bodies = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        thing = THINGS[number % len(THINGS)]
        question = f"Write one sentence about a {thing}" + (f" and {number} more." if kind is None else " and this.")
        content: list[dict[str, Any]] = [{"type": "text", "text": question}]
        if kind is not None:
            is_picture = ".png" in served.model.accepted[kind].extensions
            data = picture(rng) if is_picture else sound(rng)
            content.insert(0, {"type": kind, "data": base64.b64encode(data).decode()})
        bodies.append({"model": NAME, "messages": [{"role": "user", "content": content}]})
    return bodies


def picture(rng: np.random.Generator) -> bytes:
    """Return the PNG of some coloured squares."""
    file = io.BytesIO()
    squares = rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(32, 0).repeat(32, 1)
    Image.fromarray(squares).save(file, "png")
    return file.getvalue()


def sound(rng: np.random.Generator) -> bytes:
    """Return the WAV of a second of some tones."""
    file = io.BytesIO()
    times = np.arange(16000) / 16000
    tones = sum(np.sin(2 * np.pi * pitch * times) for pitch in rng.integers(100, 4000, 3)) / 4
    soundfile.write(file, tones, 16000, format="wav")
    return file.getvalue()


def answer_alone(served: Served, body: dict[str, Any], limits: Limits) -> str:
    """Return the answer of the model without any server."""
    assert served.model is not None
    reader = PartReader(served.model.accepted, limits, lambda url, where: b"")
    messages = reader.messages(body["messages"])
    return str(served.model.model.generate(messages, max_new_tokens=limits.max_tokens))


@contextlib.contextmanager
def started(folder: Path, arguments: list[str]) -> Iterator[tuple[psutil.Process, str]]:
    """Start the server; it must end by itself when it is told to."""
    command = [sys.executable, "-m", "demo.server", "--model", str(folder), "--name", NAME, "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = next(found[0] for line in process.stdout if (found := re.search(r"http://[\w.:]+", line)))
            yield psutil.Process(process.pid), url
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def load(
    url: str, process: psutil.Process, bodies: list[dict[str, Any]], alone: list[str], options: argparse.Namespace
) -> Tally:
    """Ask until the time is over; every request that was begun is waited for."""
    tally = Tally()
    deadline = time.monotonic() + options.seconds
    clients = [
        threading.Thread(target=ask, args=(url, bodies, alone, tally, deadline, random.Random(number)))
        for number in range(options.clients)
    ]
    for client in clients:
        client.start()
    while time.monotonic() < deadline:
        tally.memory.append(process.memory_info().rss / 1e9)
        if options.kill:
            cut_off(url, bodies[tally.cut_off % len(bodies)])
            tally.cut_off += 1
        time.sleep(1)
    for client in clients:
        client.join()
    return tally


def ask(
    url: str, bodies: list[dict[str, Any]], alone: list[str], tally: Tally, deadline: float, chance: random.Random
) -> None:
    """Be one client: ask one question after the other, half of them as a stream."""
    with httpx.Client(base_url=url, timeout=600) as client:
        while time.monotonic() < deadline:
            number = chance.randrange(len(bodies))
            began = time.monotonic()
            try:
                status, text, tokens = answer_of(client, bodies[number], is_stream=chance.random() < 0.5)
            except Exception as error:  # whatever it is, an answer was lost
                status, text, tokens = -1, repr(error), 0
            with tally.lock:
                if status == 429:
                    tally.refused += 1
                elif status != 200:
                    tally.failed.append(f"{status}: {text[:200]}")
                else:
                    tally.seconds.append(time.monotonic() - began)
                    tally.tokens += tokens
                    if text.strip() != alone[number]:
                        tally.wrong.append(f"{number}: {text.strip()!r} instead of {alone[number]!r}")
            if status == 429:
                time.sleep(1)


def answer_of(client: httpx.Client, body: dict[str, Any], is_stream: bool) -> tuple[int, str, int]:
    """Return status, text and number of tokens of an answer."""
    if not is_stream:
        answer = client.post("/v1/chat/completions", json=body)
        if answer.status_code != 200:
            return answer.status_code, answer.text, 0
        found = answer.json()
        return 200, found["choices"][0]["message"]["content"], found["usage"]["completion_tokens"]
    text, tokens, is_whole = "", 0, False
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    with client.stream("POST", "/v1/chat/completions", json=asked) as answer:
        if answer.status_code != 200:
            return answer.status_code, answer.read().decode(), 0
        for line in answer.iter_lines():
            if line == "data: [DONE]":
                is_whole = True
            elif line:
                chunk = json.loads(line.removeprefix("data: "))
                text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
                tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    return (200 if is_whole else -1), text, tokens


def cut_off(url: str, body: dict[str, Any]) -> None:
    """Ask as a client that is killed: its connection ends without a word."""
    host, port = url.removeprefix("http://").split(":")
    content = json.dumps({**body, "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.settimeout(0.5)
        with contextlib.suppress(OSError):
            connection.recv(1)


def report(tally: Tally, options: argparse.Namespace) -> None:
    """Print what was found."""
    count = len(tally.seconds)
    rate = tally.tokens / options.seconds
    print(f"{options.clients} clients, {options.seconds:g} s: {count} answers, {rate:.1f} tokens/s")
    print(f"wrong {len(tally.wrong)}, lost {len(tally.failed)}, refused {tally.refused}, cut off {tally.cut_off}")
    if count:
        median, high = np.percentile(tally.seconds, [50, 99])
        print(f"seconds of an answer: p50 {median:.2f}, p99 {high:.2f}, most {max(tally.seconds):.2f}")
    if tally.memory:
        tenth = max(1, len(tally.memory) // 10)
        first, last = np.mean(tally.memory[tenth : 2 * tenth] or tally.memory), np.mean(tally.memory[-tenth:])
        print(f"GB of the server: {first:.2f} after a tenth, {last:.2f} at the end, most {max(tally.memory):.2f}")
    for line in [*tally.wrong[:5], *tally.failed[:5]]:
        print(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.serve_load", description="Ask a server with many clients.")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder of a saved model")
    parser.add_argument("--clients", type=int, default=64, help="clients at once (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="how long to ask (default: %(default)s)")
    parser.add_argument("--questions", type=int, default=24, help="different requests (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=16, help="most tokens of an answer (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up media (default: %(default)s)")
    parser.add_argument("--kill", action="store_true", help="cut a client off each second")
    parser.add_argument("--trust_code", action="store_true", help="as for python -m demo.server")
    return parser


if __name__ == "__main__":
    sys.exit(main())
