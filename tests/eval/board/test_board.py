"""`python -m eval board`: what stands in which cell, and the page in a real browser on desk and phone."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from eval.__main__ import main
from eval.board.cells import cells_of
from eval.board.table import load_board
from eval.run.results import not_computed
from tests.demo.chat.chat import CHROMIUM
from tests.eval.results import SETTINGS, saved, task_result

GOOD, MIDDLE, BAD = [1.0] * 5 + [0.0], [1.0, 0.0] * 3, [0.0] * 5 + [1.0]


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    missing = not_computed("toads", 1, "", "choice-pmi-v1", "needs sound")
    saved(tmp_path / "a" / "evaluation", task_result(MIDDLE), missing, source="runs/middle/best", fingerprint="11")
    saved(tmp_path / "b", task_result(GOOD), task_result(BAD, "toads"), source="runs/good/best", fingerprint="22")
    saved(tmp_path / "c", task_result(BAD), source="runs/bad & <worse>/best", fingerprint="33")
    return [str(tmp_path / name) for name in "abc"]


def test_rows_are_models_and_columns_tasks(folders: list[str]) -> None:
    board = load_board(folders)
    assert [row.name for row in board.rows] == ["middle", "good", "bad & <worse>"]
    assert [column.name for column in board.columns] == ["frogs", "toads"]
    first, second = (cells_of(board, place) for place in (0, 1))
    assert [cell.score for cell in first] == ["50.0 %", "83.3 %", "16.7 %"]
    assert [cell.best for cell in first] == [False, True, False]
    assert [cell.kind for cell in second] == ["missing", "computed", "empty"]
    assert dict(second[0].facts) == {"not computed": "needs sound"}


def test_a_cell_tells_every_control_or_why_it_is_not_there(folders: list[str]) -> None:
    facts = dict(cells_of(load_board(folders), 0)[1].facts)
    assert facts["linear probe"] == "not computed: there are no classes"
    assert facts["chance"] == "33.3 %"
    names = ["shuffled media", "no media (blank)", "linear map", "labels as text (bridge)", "score - linear map"]
    assert all("[" in facts[name] for name in names)


@pytest.mark.parametrize(
    ("changes", "note"),
    [({"version": 2}, "version 2"), ({"settings": {**SETTINGS, "seed": 7}}, "seed 7")],
)
def test_what_was_asked_in_another_way_has_a_column_of_its_own(
    folders: list[str], changes: dict[str, object], note: str, tmp_path: Path
) -> None:
    saved(tmp_path / "d", task_result(GOOD, **changes), fingerprint="44")
    board = load_board([*folders, str(tmp_path / "d")])
    assert [(column.name, column.note) for column in board.columns if column.name == "frogs"] == [
        ("frogs", ""),
        ("frogs", note),
    ]


def test_results_of_one_model_share_a_row_and_models_of_one_name_do_not(folders: list[str], tmp_path: Path) -> None:
    saved(tmp_path / "d", task_result(GOOD[:3]), task_result(GOOD, "newts"), source="runs/good/best", fingerprint="22")
    saved(tmp_path / "e", task_result(BAD), source="elsewhere/good/best", fingerprint="55")
    board = load_board([*folders, str(tmp_path / "d"), str(tmp_path / "e")])
    assert [row.name for row in board.rows] == ["middle", "good (22)", "bad & <worse>", "good (55)"]
    assert [task.num_items for task in board.rows[1].cells.values()] == [6, 6, 6]
    assert "the one on 6 items is shown, the one on 3 is not" in board.notes[0]


def test_an_error_rate_is_best_where_it_is_lowest(tmp_path: Path) -> None:
    for name, values in (("a", GOOD), ("b", BAD)):
        result = task_result(values, metric="word_error_rate")
        result.scores = {"own": {"word_error_rate": result.scores["own"]["accuracy_pmi"]}}
        saved(tmp_path / name, result, fingerprint=name)
    assert [cell.best for cell in cells_of(load_board([str(tmp_path)]), 0)] == [False, True]


def test_the_command_writes_a_page_without_addresses_and_a_picture(folders: list[str], tmp_path: Path) -> None:
    page, picture = tmp_path / "board.html", tmp_path / "new" / "board.png"
    assert main(["board", *folders, f"mine={folders[1]}", "--output", str(page), "--png", str(picture)]) == 0
    text = page.read_text()
    assert not re.search(r"""(src|href|action)\s*=|url\(|https?:|@import""", text)
    assert "bad &amp; &lt;worse&gt;" in text
    with Image.open(picture) as opened:
        assert opened.width > 900
        assert len(opened.convert("RGB").getcolors(1 << 20) or []) > 20


@pytest.mark.parametrize(
    ("words", "reason"), [(["none"], "no results.json in none"), (["none", "--png", "x.gif"], "ends in .png or .svg")]
)
def test_mistakes_are_one_line(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", *words]) == 2
    assert reason in capsys.readouterr().err


@pytest.fixture
def page(folders: list[str], tmp_path: Path) -> Iterator[Page]:
    assert main(["board", *folders, "--output", str(tmp_path / "board.html")]) == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 390, "height": 800}, has_touch=True)
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(f"file://{tmp_path / 'board.html'}")
        yield opened
        assert errors == []
        browser.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
def test_it_sorts_and_tells_controls_by_mouse_keyboard_and_tap(page: Page) -> None:
    names, panel = page.locator("tbody th"), page.locator("#panel")
    page.get_by_role("button", name="frogs").click()
    expect(names).to_have_text(["good", "middle", "bad & <worse>"])
    page.get_by_role("button", name="frogs").click()
    expect(names).to_have_text(["bad & <worse>", "middle", "good"])
    page.get_by_role("button", name="toads").click()
    expect(names.first).to_have_text("good")  # what has no value is last
    page.get_by_role("button", name="model").click()
    expect(names).to_have_text(["bad & <worse>", "good", "middle"])
    cells = page.locator("button.cell")
    cells.first.tap()
    expect(panel).to_contain_text("bad & <worse> on frogs")
    expect(panel).to_contain_text("labels as text (bridge)")
    page.keyboard.press("Tab")
    expect(panel).to_contain_text("bad & <worse> on toads")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    cells.nth(2).hover()
    expect(panel).to_contain_text("good on frogs")
    # nothing but the table itself is wider than a phone
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
