"""The chat page, served by the real command and opened in a real browser.

With OMNI_SCREENSHOTS=FOLDER the pictures of docs/chat.md are written there; OMNI_SCREENSHOT_MODEL names a trained
model to talk to in them, and OMNI_SCREENSHOT_MEDIA the folder of the starter pictures.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.demo.chat.chat import (
    ANSWER_MILLISECONDS,
    CHROMIUM,
    DESKTOP,
    PHONE,
    ROOT,
    START_SECONDS,
    Server,
    answered,
    ask,
    attach,
    browse,
    demo_command,
    ready,
    serve,
)
from tests.demo.chat.kinds import every_modality, every_space, media_files

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"),
]
PICTURES = os.environ.get("OMNI_SCREENSHOTS")


@pytest.fixture(scope="module")
def server(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as here:
        here.setenv("OMNI_HOME", str(folder / "home"))
        every_modality(tiny_llm).save(folder / "model")
        every_modality(tiny_llm, seed=1).save(folder / "other")
        every_space().save(folder / "space")
    more = ["--compare", str(folder / "other"), "--space", str(folder / "space")]
    with serve(folder / "model", folder / "server.txt", more, variables={"OMNI_HOME": str(folder / "home")}) as server:
        yield server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return media_files(tmp_path_factory.mktemp("media"))


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    with browse(server.url) as page:
        yield page


def _picture(page: Page, name: str) -> None:
    if PICTURES:
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def _said(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator("#ask-notice")).to_contain_text(text, timeout=ANSWER_MILLISECONDS)


def test_every_modality_is_drawn_asked_about_and_answered(page: Page, files: dict[str, Path]) -> None:
    assert page.title() == "omni"
    assert page.locator("#header").bounding_box()["height"] < 60  # type: ignore[index]
    attach(page, *files.values())
    expect(page.locator("#ask-tray .item img")).to_have_count(7)  # the sound could be speech, so it is asked about
    _picture(page, "attach")
    page.fill("#ask textarea", "What is ")
    page.locator("#ask-tray [data-mark='[1]']").click()
    page.keyboard.type(", and what is [4]?")
    page.press("#ask textarea", "Enter")
    _said(page, "bell.wav: say below whether it is sound or speech")
    assert page.input_value("#ask textarea") == "What is [1], and what is [4]?"
    page.locator("#ask-tray input[value=sound]").check()
    page.press("#ask textarea", "Enter")
    answered(page)
    question = page.locator("#chat .user.message").first
    for words in ("leaf.png · image", "bell.wav · sound", "ball.gif · video", "ring.obj · point cloud",
                  "room.tiff · depth picture",
                  "hand.tif · thermal picture", "walk.csv · IMU", "sensor.npy · motion"):  # fmt: skip
        expect(page.locator("#chat")).to_contain_text(words)
    expect(page.locator("#chat")).to_contain_text("1.00 to 4.00 m")
    assert page.locator("#chat audio, #chat .waveform-container, #chat [data-testid*=audio]").count() > 0
    assert page.locator("#chat [data-testid=model3d]").count() == 1
    shown = page.locator("#chat").inner_text()
    assert shown.index("What is") < shown.index("leaf.png") < shown.index("and what is") < shown.index("ring.obj")
    expect(question).to_be_visible()
    expect(page.locator("#chat")).to_contain_text("Cut at the longest answer of 64 tokens")
    assert page.inner_text("#ask-notice").strip() == ""
    page.mouse.move(640, 300)
    _picture(page, "modalities")


def test_stop_regenerate_edit_undo_and_reload(page: Page, files: dict[str, Path]) -> None:
    page.click("#side-toggle")
    page.locator("#side input[type=number]").first.fill("2000")
    page.click("#side-toggle")
    attach(page, files["image"])
    ask(page, "Tell me all about [1]")
    expect(page.locator("#chat .bot.message")).to_have_text(re.compile(r"\S"), timeout=ANSWER_MILLISECONDS)
    page.locator("#ask .stop-button").click(timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#ask .submit-button")).to_be_visible(timeout=ANSWER_MILLISECONDS)
    first = page.locator("#chat .bot.message").inner_text()
    page.click("#side-toggle")
    page.locator("#side input[type=number]").first.fill("12")
    page.click("#regenerate")
    expect(page.locator("#chat .bot.message")).to_contain_text("drawn at temperature 0.7", timeout=ANSWER_MILLISECONDS)
    answered(page)
    assert page.locator("#chat .bot.message").inner_text() != first
    ask(page, "And more?")
    answered(page, 2)
    page.reload()
    ready(page)
    expect(page.locator("#chat .bot.message")).to_have_count(2, timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#chat")).to_contain_text("leaf.png · image")
    page.click("#undo")
    expect(page.locator("#chat .bot.message")).to_have_count(1, timeout=ANSWER_MILLISECONDS)
    page.click("#edit")
    expect(page.locator("#ask textarea")).to_have_value("Tell me all about [1]", timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#ask-tray .item")).to_have_count(1)
    expect(page.locator("#welcome")).to_be_visible()


def test_several_conversations_are_kept_opened_exported_and_deleted(page: Page) -> None:
    for question in ("The first question", "The second question"):
        ask(page, question)
        answered(page)
        page.click("#side-toggle")
        page.click("#new")
        expect(page.locator("#welcome")).to_be_visible(timeout=ANSWER_MILLISECONDS)
        page.click("#side-toggle")
    page.reload()
    ready(page)
    page.click("#side-toggle")
    rows = page.locator("#shelf .row")
    expect(rows).to_have_count(2)
    rows.nth(1).locator("button").first.click()
    expect(page.locator("#chat .user.message")).to_contain_text("The first question", timeout=ANSWER_MILLISECONDS)
    with page.expect_download() as download:
        page.click("#export")
    exported = json.loads(Path(download.value.path()).read_text())
    assert [turn["role"] for turn in exported["messages"]] == ["user", "assistant"]
    assert exported["messages"][0]["content"] == [{"type": "text", "text": "The first question"}]
    page.on("dialog", lambda dialog: dialog.accept())
    rows.first.locator("button.remove").click()
    expect(rows).to_have_count(1)


def test_labels_are_ranked_and_two_models_compared(page: Page, files: dict[str, Path]) -> None:
    page.get_by_role("tab", name="Which of these?").click()
    attach(page, files["image"], box="labels-ask")
    page.fill("#labels textarea", "A frog.\nA bell.\nA leaf.")
    page.click("#rank")
    expect(page.locator("#ranking tbody tr")).to_have_count(3, timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#ranking")).to_contain_text("Without them")
    expect(page.locator("#ranking")).to_contain_text("In the joint space")
    page.get_by_role("tab", name="Compare").click()
    attach(page, files["image"], box="compare-ask")
    page.fill("#compare-ask textarea", "What is it?")
    page.click("#compare")
    for index in (0, 1):
        expect(page.locator(f"#compare-{index}")).to_have_text(re.compile(r"[^\s…]"), timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#compare-1")).to_contain_text("Cut at", timeout=ANSWER_MILLISECONDS)
    assert page.inner_text("#compare-0") != page.inner_text("#compare-1")


def test_the_nearest_of_a_gallery_are_shown(page: Page, files: dict[str, Path]) -> None:
    page.get_by_role("tab", name="Retrieve").click()
    page.set_input_files("#gallery-files input[type=file]", [str(files["image"]), str(files["sound"])])
    expect(page.locator("#gallery-held")).to_contain_text("2 added", timeout=ANSWER_MILLISECONDS)
    attach(page, files["image"], box="retrieve-ask")
    page.fill("#retrieve-ask textarea", "a green leaf")
    page.fill("#weights textarea, #weights input", "1 0.2")
    page.click("#retrieve")
    expect(page.locator("#results")).to_contain_text(re.compile(r"leaf\.png · \d\.\d"), timeout=ANSWER_MILLISECONDS)
    expect(page.locator("#results")).to_contain_text(re.compile(r"bell\.wav · -?\d\.\d"))
    _picture(page, "retrieve")


def test_bad_files_are_explained_and_nothing_typed_is_lost(page: Page, files: dict[str, Path], tmp_path: Path) -> None:
    broken, other = tmp_path / "broken.png", tmp_path / "notes.docx"
    broken.write_bytes(b"no picture")
    other.write_bytes(b"text")
    attach(page, files["image"], broken, other)
    ask(page, "A long question")
    _said(page, "broken.png cannot be used as image")
    _said(page, "does not take files of type .docx")
    assert page.locator("#chat .bot.message").count() == 0  # a notice is no message of the model
    assert page.input_value("#ask textarea") == "A long question"
    expect(page.locator("#ask .thumbnail-item")).to_have_count(1)
    page.press("#ask textarea", "Enter")
    answered(page)
    expect(page.locator("#chat .user.message").last).to_contain_text("A long question")


def test_markup_in_a_question_is_shown_as_it_was_typed(page: Page) -> None:
    typed = "<b>a</b> <img src=x> *b* <script>alert(1)</script> # c"
    ask(page, typed)
    question = page.locator("#chat .user.message")
    expect(question).to_contain_text(typed, timeout=ANSWER_MILLISECONDS)
    assert question.locator("b, img, em, script").count() == 0
    answered(page)


_SCRIPTS = [
    "<script>ran()</script>", "<img src=x onerror=ran()>", "<svg onload=ran()>", "<svg><script>ran()</script></svg>",
    "<iframe srcdoc='<script>parent.ran()</script>'></iframe>", "<a href='javascript:ran()'>a</a>",
    "[a](javascript:ran())", "<details open ontoggle=ran()>", "<math><mtext><style><img src=x onerror=ran()></style>",
    "<body onload=ran()>", "<input autofocus onfocus=ran()>", "<video><source onerror=ran()></video>",
    "<object data='javascript:ran()'></object>", "<b onmouseover=ran()>b</b>", "![x](x'onerror='ran())",
    "$$\\href{javascript:ran()}{x}$$", "<form action=javascript:ran()>",
]  # fmt: skip


def test_no_script_in_a_kept_conversation_runs(page: Page) -> None:
    turns = [
        {"role": role, "parts": [script], "note": script if role == "assistant" else ""}
        for script in _SCRIPTS
        for role in ("user", "assistant")
    ]
    page.evaluate("() => { window.ran = () => { document.title = 'ran' } }")
    page.evaluate("(text) => omni.send('opened', text)", json.dumps({"id": "0" * 32, "turns": turns}))
    expect(page.locator("#chat .bot.message")).to_have_count(len(_SCRIPTS), timeout=ANSWER_MILLISECONDS)
    for link in page.locator("#chat a").all():
        assert not (link.get_attribute("href") or "").startswith("javascript")
    page.wait_for_timeout(500)
    assert page.title() == "omni"


def test_an_answer_cannot_make_the_browser_ask_another_machine_for_a_picture(page: Page) -> None:
    blocked = page.evaluate("""() => new Promise(resolve => {
        document.addEventListener("securitypolicyviolation", event => resolve(event.blockedURI))
        document.body.insertAdjacentHTML("beforeend", "<img src='http://192.0.2.1/?secret'>")
    })""")
    assert blocked.startswith("http://192.0.2.1/")


def test_a_question_longer_than_the_context_is_said_in_words_and_can_be_taken_back(page: Page) -> None:
    ask(page, "word " * 3000)
    _said(page, "more than the LLM's context")
    assert "(conversation)" not in page.inner_text("#ask-notice")
    page.click("#edit")
    expect(page.locator("#ask textarea")).to_have_value(re.compile("^(word ){3000}$"), timeout=ANSWER_MILLISECONDS)


_FAINT = """() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const background = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || (colour.length === 4 && colour[3] > 0.9)) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility({ opacityProperty: true })) continue;
    const box = element.getBoundingClientRect();
    if (box.width < 2 || box.height < 2 || element.closest("script, style, .sr-only, [disabled]")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(background(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${walker.currentNode.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_is_strong_enough_to_read(server: Server, files: dict[str, Path], scheme: str) -> None:
    with browse(server.url, scheme=scheme) as page:
        assert page.evaluate(_FAINT) == []
        attach(page, files["image"], files["sound"])
        ask(page, "What?")
        _said(page, "bell.wav")
        page.click("#side-toggle")
        page.wait_for_timeout(700)
        assert page.evaluate(_FAINT) == []
        page.locator("#ask-tray input[value=sound]").check()
        page.press("#ask textarea", "Enter")
        answered(page)
        assert page.evaluate(_FAINT) == []
        for tab in ("Which of these?", "Compare", "Retrieve"):
            page.get_by_role("tab", name=tab).click()
            page.wait_for_timeout(500)
            assert page.evaluate(_FAINT) == [], tab


def test_nothing_runs_off_the_screen_of_a_phone(server: Server, files: dict[str, Path]) -> None:
    with browse(server.url, PHONE) as page:
        fits: Any = "() => document.documentElement.scrollWidth <= window.innerWidth"
        assert page.evaluate(fits)
        assert page.locator("#header").bounding_box()["height"] < 60  # type: ignore[index]
        expect(page.locator("#welcome h2")).to_be_in_viewport()
        expect(page.locator("#ask textarea")).to_be_in_viewport()
        attach(page, files["image"], files["imu"])
        ask(page, "What is [1]?")
        answered(page)
        assert page.evaluate(fits)
        expect(page.locator("#ask textarea")).to_be_in_viewport()
        page.click("#look")
        expect(page.locator("#looking figure")).to_have_count(2, timeout=ANSWER_MILLISECONDS)
        assert page.evaluate(fits)
        page.click("#side-toggle")
        page.wait_for_timeout(700)
        assert page.evaluate(fits)


def test_a_port_in_use_and_a_missing_model_are_clear_errors(server: Server, tmp_path: Path) -> None:
    port = int(server.url.rpartition(":")[2])
    for arguments, words in (
        (demo_command(server.model, port), (f"port {port}", "--port")),
        (demo_command(tmp_path / "no", 0), ("there is no folder",)),
    ):
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, timeout=START_SECONDS)
        assert done.returncode == 2
        assert all(word in done.stderr for word in words), done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(not (PICTURES and os.environ.get("OMNI_SCREENSHOT_MODEL")), reason="only to draw docs/chat.md")
def test_pictures_of_a_trained_model(tmp_path: Path) -> None:
    model = Path(os.environ["OMNI_SCREENSHOT_MODEL"])
    stamps = Path(os.environ["OMNI_SCREENSHOT_MEDIA"])
    picture = stamps / "animals/birds/blackbird.png"
    with serve(model, tmp_path / "server.txt") as server:
        with browse(server.url) as page:
            for _ in range(12):  # examples are looked for once, in the background
                if page.locator("#welcome .example").count() > 1:
                    break
                page.wait_for_timeout(10_000)
                page.reload()
                ready(page)
            _picture(page, "welcome")
            if page.locator("#welcome .example").count():
                page.locator("#welcome .example").first.click()
                expect(page.locator("#ask-tray .item")).to_have_count(1, timeout=ANSWER_MILLISECONDS)
            else:
                attach(page, picture)
                page.fill("#ask textarea", "What is it? Answer in a few words.")
            page.press("#ask textarea", "Enter")
            answered(page)
            _picture(page, "chat")
            page.click("#look")
            expect(page.locator("#looking img")).to_have_count(1, timeout=ANSWER_MILLISECONDS)
            page.locator("#looking").scroll_into_view_if_needed()
            _picture(page, "looking")
            page.get_by_role("tab", name="Which of these?").click()
            attach(page, picture, box="labels-ask")
            page.fill("#labels textarea", "A blackbird.\nA boat.\nA frog.\nA hat.\nAn apple.\nA guitar.")
            page.click("#rank")
            expect(page.locator("#ranking tbody tr")).to_have_count(6, timeout=ANSWER_MILLISECONDS)
            page.locator("#ranking").scroll_into_view_if_needed()
            _picture(page, "labels")
        for name, size, scheme in (("phone", PHONE, "light"), ("settings-dark", DESKTOP, "dark")):
            with browse(server.url, size, scheme) as other:
                other.locator("#welcome .example").last.click()
                expect(other.locator("#ask-tray .item")).to_have_count(1, timeout=ANSWER_MILLISECONDS)
                other.press("#ask textarea", "Enter")
                answered(other)
                if scheme == "dark":
                    other.click("#side-toggle")
                _picture(other, name)
