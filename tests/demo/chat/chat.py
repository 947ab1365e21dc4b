"""The chat page as its users meet it: the real command, a real browser; and the page in this process, for clients."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).parents[3]
START_SECONDS = 240  # only to notice a server that hangs
ANSWER_MILLISECONDS = 120_000  # and a page
# of a desktop and of a phone
DESKTOP, PHONE = (1280, 800), (390, 844)


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    model: Path


def demo_command(model: Path, port: int, more: Sequence[str] = ()) -> list[str]:
    """The command line of the chat."""
    return [sys.executable, "-m", "demo", "--model", str(model), "--port", str(port), *more]


@contextmanager
def serve(
    model: Path, log: Path, more: Sequence[str] = (), cwd: Path = ROOT, variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Serve `model` until the block ends; Ctrl-C must then end the server cleanly."""
    port = free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT), **(variables or {})}
    with log.open("w") as output:
        process = subprocess.Popen(
            demo_command(model, port, more), stdout=output, stderr=output, text=True, cwd=cwd, env=environment
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
def browse(url: str, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> Iterator[Page]:
    """The page at `url` in a browser, ready to type in; it must ask nothing of any other machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, accept_downloads=True
        )  # type: ignore[arg-type]
        elsewhere: list[str] = []
        page.on(
            "request",
            lambda request: None if request.url.startswith((url, "data:", "blob:")) else elsewhere.append(request.url),
        )
        page.on(
            "requestfailed", lambda request: elsewhere.remove(request.url) if request.failure == "csp" else None
        )  # refused by the page's own policy
        page.goto(url)
        ready(page)
        yield page
        browser.close()
    assert elsewhere == [], "the page must ask nothing of any other machine"


def ready(page: Page) -> None:
    """Wait until the page can be typed into and has restored what it keeps."""
    expect(page.locator("#ask textarea")).to_be_visible(timeout=ANSWER_MILLISECONDS)
    page.wait_for_timeout(1000)


def attach(page: Page, *files: Path, box: str = "ask") -> None:
    """Attach files to the next question, and wait until they are drawn."""
    page.set_input_files(f"#{box} input[type=file]", [str(file) for file in files])
    expect(page.locator(f"#{box}-tray .item")).to_have_count(len(files), timeout=ANSWER_MILLISECONDS)


def ask(page: Page, text: str) -> None:
    """Type a question and press Enter."""
    page.fill("#ask textarea", text)
    page.press("#ask textarea", "Enter")


def answered(page: Page, count: int = 1) -> None:
    """Wait until `count` answers are there and none is being written."""
    expect(page.locator("#chat .bot.message")).to_have_count(count, timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#ask .submit-button")).to_be_visible(timeout=ANSWER_MILLISECONDS)


def free_port() -> int:
    """A port that the system chooses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def launched(llm: Path, folder: Path, token: str | None = None) -> Iterator[str]:
    """The page over a tiny model in this process, for clients that are no browsers: its address."""
    from demo.chat.app import Parts
    from demo.chat.launching import launch
    from demo.chat.loading import describe
    from tests.demo.chat.kinds import every_modality

    former = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    parts = Parts(describe(every_modality(llm)), folder)
    port = free_port()
    page, _, _ = launch(parts, "127.0.0.1", port, token=token, finds_examples=False)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        page.close(verbose=False)
        parts.close()
        os.environ.pop("GRADIO_TEMP_DIR") if former is None else os.environ.update(GRADIO_TEMP_DIR=former)
