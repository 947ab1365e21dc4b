"""A modality that omni does not know, from a folder of the user's own: trained, evaluated and used in the chat."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo.chat.chat import ANSWER_MILLISECONDS, CHROMIUM, ask, attach, browse, serve
from tests.train.runs import REPOSITORY, environment

EXAMPLE = REPOSITORY / "docs/examples/motion_sensor"
SHORT = ["--stages.0.train.steps", "2", "--stages.1.train.steps", "2"]
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")


def _run(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def _own_folder(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "mine"))
    _run(folder, "make_recordings.py")
    return folder


def test_the_encoder_of_the_example_is_short() -> None:
    assert len((EXAMPLE / "motion.py").read_text().splitlines()) <= 64  # ten of them draw it for people


@pytest.mark.browser
@needs_browser
def test_a_sensor_of_ones_own_is_trained_evaluated_and_asked_about(tmp_path: Path, tiny_llm: Path) -> None:
    from playwright.sync_api import expect

    folder = _own_folder(tmp_path)
    _run(folder, "-m", "train", "motion.yaml", "--model.llm.name", str(tiny_llm), *SHORT)
    best = folder / "runs/motion/best"
    _run(folder, "-m", "eval", "motion_tasks.py:MOTION", "--model", str(best), "--limit", "14", "--output", "results")
    report = (folder / "results/report.html").read_text()
    assert "Which of seven motions was recorded?" in report
    assert re.search(r"<figcaption><span>motion</span> \d+\.\d s</figcaption>", report)  # by the encoder's own preview
    with serve(best, tmp_path / "server.txt", cwd=folder) as server, browse(server.url) as page:
        expect(page.locator("#welcome")).to_contain_text("Attach a motion file")
        (tmp_path / "broken.csv").write_text("ax,ay,az,gx,gy,gz\n1,2,three,4,5,6\n")
        attach(page, folder / "recordings/test-000.csv", tmp_path / "broken.csv")
        ask(page, "What is going on?")
        expect(page.locator("#ask-notice")).to_contain_text("no CSV of numbers", timeout=ANSWER_MILLISECONDS)
        page.press("#ask textarea", "Enter")  # the good file and the question are still there
        expect(page.locator("#chat .user.message")).to_contain_text("What is going on?", timeout=ANSWER_MILLISECONDS)
        expect(page.locator("#ask .submit-button")).to_be_visible(timeout=ANSWER_MILLISECONDS)


def test_ready_made_embeddings_are_trained_and_evaluated_without_an_encoder(tmp_path: Path, tiny_llm: Path) -> None:
    folder = _own_folder(tmp_path)
    _run(folder, "make_embeddings.py")
    _run(folder, "-m", "train", "embeddings.yaml", "--model.llm.name", str(tiny_llm), *SHORT)
    best = "runs/embeddings/best"
    _run(folder, "-m", "eval", "motion_tasks.py:EMBEDDINGS", "--model", best, "--limit", "14", "--output", "results")
    assert "motion-embeddings" in (folder / "results/results.json").read_text()
