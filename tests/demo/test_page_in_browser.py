"""The chat page, served by the real command and opened in a real browser."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from omni.messages import Media, Message, Sample, Text
from omni.readers import write_manifest
from omni.starter.catalogue import find
from omni.starter.locations import STAMP_FILE, stamp_of
from tests.demo.chat import (
    ANSWER_MILLISECONDS,
    CHROMIUM,
    ROOT,
    START_SECONDS,
    Server,
    ask,
    attach,
    browse,
    demo_command,
    serve,
)
from tests.tiny import recording, tiny_model

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"),
]


def _fetched_stamps(folder: Path) -> None:
    """What an example of the empty page is made of."""
    folder.mkdir(parents=True)
    (folder / STAMP_FILE).write_text(json.dumps(stamp_of(find("stamps"))))
    media = Media("image", path=str(_recording(folder, "bird.npy", 2)))
    turns = (Message("user", (media,)), Message("assistant", (Text("A bird."),)))
    write_manifest(folder / "image-test.jsonl", [Sample("bird", turns)])


@pytest.fixture(scope="module")
def server(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("demo")
    tiny_model(tiny_llm).save(folder / "model")
    _fetched_stamps(folder / "home" / "data" / "stamps")
    with serve(folder / "model", folder / "server.txt", variables={"OMNI_HOME": str(folder / "home")}) as server:
        yield server


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    with browse(server.url) as page:
        yield page


def _recording(folder: Path, name: str, seed: int) -> Path:
    np.save(folder / name, recording(seed))
    return folder / name


def test_the_page_shows_the_loaded_model(page: Page) -> None:
    assert page.title() == "omni"
    header = page.inner_text("#header")
    assert "llm" in header
    assert "image" in header
    assert "sound" in header
    assert ".npy" in header
    assert "licence" in header


def test_an_example_is_taken_into_the_text_box_and_answered(page: Page) -> None:
    page.locator("#chat .example").click()
    expect(page.locator("#ask .thumbnail-item")).to_have_count(1, timeout=ANSWER_MILLISECONDS)
    assert page.input_value("#ask textarea") == "What is in the picture? Answer in a few words."
    page.press("#ask textarea", "Enter")
    expect(page.locator("#chat .bot.message")).to_have_text(re.compile(r"\S"), timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#ask .submit-button")).to_be_visible(timeout=ANSWER_MILLISECONDS)


def test_two_files_and_a_question_get_a_streamed_answer(page: Page, tmp_path: Path) -> None:
    attach(page, _recording(tmp_path, "a.npy", 0), _recording(tmp_path, "b.npy", 1))
    ask(page, "What is this?")
    expect(page.locator("#chat .user.message")).to_contain_text("What is this?", timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#chat .bot.message")).to_have_text(re.compile(r"\S"), timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#ask .submit-button")).to_be_visible(timeout=ANSWER_MILLISECONDS)


def test_bad_files_are_explained_and_nothing_typed_is_lost(page: Page, tmp_path: Path) -> None:
    good, broken, other = _recording(tmp_path, "good.npy", 0), tmp_path / "broken.npy", tmp_path / "notes.docx"
    np.save(broken, np.zeros((4, 2)))
    other.write_bytes(b"text")
    attach(page, good, broken, other)
    ask(page, "A long question")
    notice = page.locator("#chat")
    expect(notice).to_contain_text("array [T, 3]", timeout=ANSWER_MILLISECONDS)
    expect(notice).to_contain_text("does not take files of type .docx")
    expect(notice).to_contain_text("image (.npy)")
    assert page.input_value("#ask textarea") == "A long question"
    expect(page.locator("#ask .thumbnail-item")).to_have_count(1)
    page.press("#ask textarea", "Enter")
    expect(page.locator("#chat .user.message")).to_contain_text("A long question", timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#ask .submit-button")).to_be_visible(timeout=ANSWER_MILLISECONDS)
    expect(notice).to_contain_text("does not take files of type .docx")


def test_a_port_in_use_and_a_missing_model_are_clear_errors(server: Server, tmp_path: Path) -> None:
    port = int(server.url.rpartition(":")[2])
    taken = subprocess.run(
        demo_command(server.model, port), capture_output=True, text=True, cwd=ROOT, timeout=START_SECONDS
    )
    assert taken.returncode == 2
    assert f"port {port}" in taken.stderr
    assert "--port" in taken.stderr
    missing = subprocess.run(
        demo_command(tmp_path / "no", 0), capture_output=True, text=True, cwd=ROOT, timeout=START_SECONDS
    )
    assert missing.returncode == 2
    assert "there is no folder" in missing.stderr
    assert "Traceback" not in missing.stderr
