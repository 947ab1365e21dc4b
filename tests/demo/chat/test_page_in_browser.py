"""The chat page, served by the real command and opened in a real browser."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from omni.readers import write_manifest
from omni.samples.messages import Media, Message, Sample, Text
from omni.starter.catalogue import find
from omni.starter.locations import STAMP_FILE, stamp_of
from tests.demo.chat.chat import (
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
    with pytest.MonkeyPatch.context() as here:
        here.setenv("OMNI_HOME", str(folder / "home"))
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


def test_markup_in_a_question_is_shown_as_it_was_typed(page: Page) -> None:
    typed = "<b>a</b> <img src=x> *b* <script>alert(1)</script> # c"
    ask(page, typed)
    question = page.locator("#chat .user.message")
    expect(question).to_contain_text(typed, timeout=ANSWER_MILLISECONDS)
    assert question.locator("b, img, em, script").count() == 0
    expect(page.locator("#ask .submit-button")).to_be_visible(timeout=ANSWER_MILLISECONDS)


def test_an_answer_cannot_make_the_browser_ask_another_machine_for_a_picture(page: Page) -> None:
    blocked = page.evaluate("""() => new Promise(resolve => {
        document.addEventListener("securitypolicyviolation", event => resolve(event.blockedURI))
        document.querySelector("#chat").insertAdjacentHTML("beforeend", "<img src='http://192.0.2.1/?secret'>")
    })""")
    assert blocked.startswith("http://192.0.2.1/")


def test_a_question_longer_than_the_context_is_said_in_words_and_can_be_taken_back(page: Page) -> None:
    ask(page, "word " * 3000)
    expect(page.locator("#chat")).to_contain_text("more than the LLM's context", timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#chat")).not_to_contain_text("(conversation)")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#ask textarea")).to_have_value(re.compile("^(word ){3000}$"), timeout=ANSWER_MILLISECONDS)


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
