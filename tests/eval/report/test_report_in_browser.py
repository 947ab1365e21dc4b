"""The page in a real browser: nothing hangs over on a phone, all text can be read, players know their length."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from eval.report import CurveSection, FreeAnswer, FreeAnswersSection, TableSection, sections_of, write_report
from eval.report.sections import Contrast, ContrastSection
from eval.run.results import not_computed
from tests.demo.chat.chat import CHROMIUM, DESKTOP, PHONE
from tests.eval.results import run_result, task_result

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"),
]

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft of all the captions."

# The smallest contrast of any text with what is behind it (WCAG 2.2, section 1.4.3), and that text.
CONTRAST = """() => {
  const colour = text => { const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    c.clearRect(0, 0, 1, 1); c.fillStyle = text; c.fillRect(0, 0, 1, 1);
    const d = c.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const over = (top, below) => below.map((v, i) => i < 3 ? top[i] * top[3] + v * (1 - top[3]) : 1);
  const behind = e => { const layers = [];
    for (; e; e = e.parentElement) layers.push(colour(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]); };
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  let worst = [99, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !e.getClientRects().length || e.closest('title')) continue;
    const style = getComputedStyle(e);
    let back = behind(e);
    if (e.classList.contains('count')) {
      const cell = getComputedStyle(e.previousElementSibling), fill = colour(cell.fill);
      fill[3] *= parseFloat(cell.fillOpacity);
      back = over(fill, back);
    }
    const front = over(colour(e.closest('svg') ? style.fill : style.color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x), ratio = (a + .05) / (b + .05);
    if (ratio < worst[0]) worst = [ratio, text];
  }
  return worst;
}"""

# Texts whose right end is outside the box they belong to.
CLIPPED = """() => [...document.querySelectorAll(
    '.value, .candidates b, .badge, .bubble, .finding, h1, h2, .tile *, .scale span')]
  .filter(e => e.getClientRects().length)
  .map(e => [e, e.closest('.card') || document.body])
  .filter(([e, box]) => e.getBoundingClientRect().right > box.getBoundingClientRect().right + .5)
  .map(([e]) => e.outerHTML.slice(0, 90))"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a section of each kind, four tasks, long words, classes and failures."""
    folder = tmp_path_factory.mktemp("report")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(folder / "frog.png")
    soundfile.write(folder / "frog.wav", np.sin(np.arange(12_000) / 20), 8000)
    media = [{"type": "image", "path": str(folder / "frog.png")}, {"type": "sound", "path": str(folder / "frog.wav")}]
    values = [1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1]
    tasks = [task_result(values, name=f"task-{number}-{LONG}") for number in range(4)]
    for task in tasks:
        task.description = f"Which of these? {LONG}"
        task.items = [replace(item, media=media, top=[(LONG, 0.56), *item.top]) for item in task.items]
    names = [f"class {number} {LONG}" for number in range(8)]
    items = [replace(item, target=names[n % 8], answer=names[n * n % 8]) for n, item in enumerate(tasks[0].items)]
    tasks[0] = replace(tasks[0], items=items, settings={"kind": "choose", "candidates": "labels, 8"})
    run = run_result(*tasks, not_computed("speech-choice", 1, "", "choice-pmi-v1", f"needs {LONG}"))
    sections = [
        *sections_of(run),
        FreeAnswersSection("It writes.", [FreeAnswer(media, "What?", LONG * 9, "A frog.")] * 5),
        CurveSection("Loss", {"image": [(0, 3.0), (150, 1.25)], "sound": [(0, 4.0), (100, 2.0)]}),
        TableSection("Trained", ["a", "b"], [[LONG, LONG]]),
        ContrastSection(
            "Two", ["model"], [["a"]], [Contrast(media, "?", "A", [("a", LONG, True), ("b", "B", False)])], 1
        ),
    ]
    write_report(folder / "report.html", sections, title=LONG)
    return folder / "report.html"


@contextmanager
def opened(report: Path, size: tuple[int, int], scheme: str = "light") -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(report.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        yield page
        browser.close()


def test_a_phone_shows_the_whole_width_in_few_screens(report: Path) -> None:
    with opened(report, PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
        assert page.evaluate(CLIPPED) == []
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = false)")
        assert page.evaluate("document.documentElement.scrollHeight") < 15 * PHONE[1]
        # letters of the curves stay letters
        shown = "document.querySelector('.chart svg').getBoundingClientRect().width / 460 * 13"
        assert page.evaluate(shown) > 9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(report: Path, scheme: str) -> None:
    with opened(report, DESKTOP, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == DESKTOP[0]
        assert page.evaluate(CLIPPED) == []
        contrast, text = page.evaluate(CONTRAST)
        assert contrast >= 4.5, text


def test_players_know_their_length_and_filters_work_without_a_script(report: Path) -> None:
    with opened(report, DESKTOP) as page:
        page.wait_for_function("[...document.querySelectorAll('audio')].every(one => one.duration > 0)")
        assert page.evaluate("document.querySelector('audio').duration") == pytest.approx(1.5, abs=0.05)
        gallery = page.locator(".gallery").first
        shown = gallery.locator(".card:visible")
        assert shown.count() == 12
        gallery.locator("label", has_text="wrong").click()
        assert 0 < shown.count() < 12
        assert gallery.locator(".card.right:visible").count() == 0
