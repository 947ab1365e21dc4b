"""The chat page as its users meet it: the real command, a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).parents[3]
START_SECONDS = 240  # only to notice a server that hangs
ANSWER_MILLISECONDS = 120_000  # and a page


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    model: Path


def demo_command(model: Path, port: int) -> list[str]:
    """The command line of the chat."""
    return [sys.executable, "-m", "demo", "--model", str(model), "--port", str(port)]


@contextmanager
def serve(model: Path, log: Path, cwd: Path = ROOT, variables: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serve `model` until the block ends; Ctrl-C must then end the server cleanly."""
    port = _free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT), **(variables or {})}
    with log.open("w") as output:
        process = subprocess.Popen(
            demo_command(model, port), stdout=output, stderr=output, text=True, cwd=cwd, env=environment
        )
    deadline = time.monotonic() + START_SECONDS
    while "press Ctrl-C" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    assert f"http://127.0.0.1:{port}" in log.read_text()
    try:
        yield Server(process, f"http://127.0.0.1:{port}", model)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, "Ctrl-C must end the server cleanly"
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        process.kill()


@contextmanager
def browse(url: str) -> Iterator[Page]:
    """The page at `url` in a browser, ready to type in; it must ask nothing of any other machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        elsewhere: list[str] = []
        page.on(
            "request",
            lambda request: None if request.url.startswith((url, "data:", "blob:")) else elsewhere.append(request.url),
        )
        page.on(
            "requestfailed", lambda request: elsewhere.remove(request.url) if request.failure == "csp" else None
        )  # refused by the page's own policy
        page.goto(url)
        expect(page.locator("#ask textarea")).to_be_visible(timeout=ANSWER_MILLISECONDS)
        yield page
        browser.close()
    assert elsewhere == [], "the page must ask nothing of any other machine"


def attach(page: Page, *files: Path) -> None:
    """Attach files to the next question."""
    page.set_input_files("#ask input[type=file]", [str(file) for file in files])
    expect(page.locator("#ask .thumbnail-item")).to_have_count(len(files), timeout=ANSWER_MILLISECONDS)


def ask(page: Page, text: str) -> None:
    """Type a question and press Enter."""
    page.fill("#ask textarea", text)
    page.press("#ask textarea", "Enter")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
