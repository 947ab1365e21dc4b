"""The page is self-contained, shows what the results say, and stays within its size."""

import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from eval.report import (
    AnswerSection,
    CurveSection,
    FreeAnswer,
    FreeAnswersSection,
    Section,
    TableSection,
    TextSection,
    markdown_report,
    sections_of,
    write_report,
)
from eval.run.results import ItemAnswer, RunResult, TaskResult, not_computed
from eval.statistics.intervals import Estimate, mean_interval


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "frog.png"
    noise = np.random.default_rng(0).integers(0, 255, (400, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "frog.wav"
    soundfile.write(path, np.sin(np.arange(8000 * 20) / 20), 8000)
    return path


def task_result(picture: Path, sound: Path) -> TaskResult:
    media = [{"type": "image", "path": str(picture)}, {"type": "sound", "path": str(sound)}]
    top = [("A <frog>.", 0.7), ("A dog.", 0.2), ("A drum.", 0.1)]
    items = [
        ItemAnswer(f"item-{index}", media, "What is this?", "A <frog>.", "A <frog>.", float(index % 2), top)
        for index in range(4)
    ]
    description = "Which one is it? None was seen in training."
    result = TaskResult("frog-choice", 3, description, "choice-pmi-v1", "accuracy_pmi", chance=0.1, items=items)
    values = [item.right for item in items]
    result.scores = {
        "own": {"accuracy_pmi": mean_interval(values)},
        "shuffled": {"accuracy_pmi": mean_interval([0, 0])},
    }
    result.num_items = 4
    result.bad = [{"id": "broken-one", "reason": "zero bytes"}]
    result.not_computed = {"probe": "no labels"}
    return result


def written(folder: Path, sections: list[Section], **options: int) -> str:
    write_report(folder / "report.html", sections, title="Tiny <report>", **options)
    return (folder / "report.html").read_text()


def full_page(folder: Path, picture: Path, sound: Path, **options: int) -> str:
    missing = not_computed("speech-choice", 1, "Which sentence is spoken?", "choice-pmi-v1", "needs speech")
    run = RunResult("tiny", {"fingerprint": "ab" * 32}, [task_result(picture, sound), missing])
    sections = [
        *sections_of(run),
        AnswerSection("Joint", [{"type": "image", "path": str(picture)}], "What & why?", "A frog."),
        CurveSection("Loss", {"training": [(0, 3.0), (10, 1.25), (20, float("nan"))], "none": []}),
        TableSection("Parts", ["part"], [["LLM"]]),
        TextSection("Words", ["A paragraph."]),
        FreeAnswersSection(
            "It writes.", [FreeAnswer([], "What?", "A green <thing>.", "A frog."), FreeAnswer([], "", "")]
        ),
    ]
    return written(folder, sections, **options)


def test_page_has_no_address_outside_itself_and_no_script(tmp_path: Path, picture: Path, sound: Path) -> None:
    page = full_page(tmp_path, picture, sound)
    addresses = re.findall(r"""(?:src|href|action|poster)\s*=\s*["']([^"']*)["']|url\(([^)]*)\)""", page)
    targets = [first or second for first, second in addresses]
    assert targets
    assert all(target.startswith(("data:", "#")) for target in targets)
    assert "http" not in page
    assert "<script" not in page
    assert len(page) < 1_500_000


def test_page_shows_score_controls_items_and_reasons(tmp_path: Path, picture: Path, sound: Path) -> None:
    page = full_page(tmp_path, picture, sound)
    assert "<b>50.0 %</b> <small>15.0 to 85.0 %</small>" in page  # Wilson interval of 2 of 4
    assert "shuffled media" in page
    assert "chance 10.0 %" in page
    assert "WARNING: 1 of 5 items could not be used (broken-one)" in page
    assert "needs speech" in page
    assert html.escape("A <frog>.") in page
    assert "A <frog>." not in page
    assert page.count('<article class="card right">') == 2
    assert page.count('<article class="card wrong">') == 2
    assert "3.00 → 1.25" in page
    assert "probe: no labels" in re.sub(r"</dt><dd>", ": ", page)


def test_free_answers_are_shown_with_what_was_expected(tmp_path: Path, picture: Path, sound: Path) -> None:
    page = full_page(tmp_path, picture, sound)
    assert '>A green &lt;thing&gt;.</p>\n<p class="target"><span>expected</span>A frog.</p>' in page
    assert '">(it wrote nothing)</p>' in page
    result = task_result(picture, sound)
    items = [replace(item, answer="A toad in grass.", top=[]) for item in result.items]
    generated = replace(result, items=items, settings={"kind": "generate"}, percent=False, metric="cider_d")
    generated.scores = {"own": {"cider_d": Estimate(0.4, 0.1, 0.9, 4, "t")}}
    page = written(tmp_path, sections_of(RunResult("tiny", {}, [generated])))
    assert page.count('>A toad in grass.</p>\n<p class="target"><span>expected</span>A &lt;frog&gt;.') == 4
    assert "Its CIDEr-D is 0.400 over 4 items" in page


def test_headings_are_sentences_and_never_the_names_of_tasks(tmp_path: Path, picture: Path, sound: Path) -> None:
    missing = not_computed("speech-choice", 1, "", "choice-pmi-v1", "needs speech")
    run = RunResult("tiny", {}, [task_result(picture, sound), replace(task_result(picture, sound), name="b"), missing])
    page = written(tmp_path, sections_of(run))
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "“A &lt;frog&gt;.” is right.",
        "2 tasks were scored.",
        *["Which one is it?"] * 2,
        "What the terms mean",
    ]
    assert "How well does the model do on speech-choice?</b> Task <code>speech-choice</code> was not computed" in page
    assert '<p class="note">None was seen in training.</p>' in page


def test_tiles_lead_to_their_tasks(tmp_path: Path, picture: Path, sound: Path) -> None:
    run = RunResult("tiny", {}, [replace(task_result(picture, sound), name=name) for name in "ab"])
    page = written(tmp_path, sections_of(run))
    targets = re.findall(r'<a class="tile[^"]*" href="#([^"]+)"', page)
    assert [re.findall(f'id="{target}" class="(.*?)"', page) for target in targets] == [["task"], ["task"]]


def test_a_run_of_one_task_has_no_glance_at_all_of_them(tmp_path: Path, picture: Path, sound: Path) -> None:
    page = written(tmp_path, sections_of(RunResult("tiny", {}, [task_result(picture, sound)])))
    assert 'class="tile' not in page
    assert "The model is right for 50.0 % of 4 items; guessing would give 10.0 %" in page


def test_a_run_of_which_nothing_could_be_computed_says_why(tmp_path: Path) -> None:
    failed = [not_computed(name, 1, "Which one?", "choice-pmi-v1", f"needs {name}") for name in ("speech", "video")]
    for tasks in (failed, failed[:1]):
        page = written(tmp_path, sections_of(RunResult("tiny", {}, tasks)))
        assert "No task could be computed." in page
        assert page.count('<p class="missing">') == len(tasks)
        assert "needs speech" in page
        assert "is right" not in page
        assert "Brackets and whiskers" not in page


def test_terms_are_those_of_the_tasks(tmp_path: Path, picture: Path, sound: Path) -> None:
    page = written(tmp_path, sections_of(RunResult("tiny", {}, [task_result(picture, sound)])))
    terms = re.findall(r"<dt>(.*?)</dt>", page.partition("What the terms mean")[2])
    assert terms == ["Brackets and whiskers", "Shuffled media"]


def test_media_beyond_the_budget_are_named_instead(tmp_path: Path, picture: Path, sound: Path) -> None:
    page = full_page(tmp_path, picture, sound, media_budget=1000)
    assert "data:image" not in page
    assert "frog.png" in page
    assert "were left out to keep the page small" in page


def test_markdown_states_every_figure_and_what_is_missing(picture: Path, sound: Path) -> None:
    missing = not_computed("speech-choice", 1, "", "choice-pmi-v1", "needs speech")
    result = task_result(picture, sound)
    result.probe = Estimate(0.5, 0.25, 0.75, 4, "wilson")
    text = markdown_report(RunResult("tiny", {"fingerprint": "ab" * 32}, [result, missing]))
    row = next(line for line in text.splitlines() if line.startswith("| frog-choice"))
    assert "**50.0 % [15.0, 85.0 %]**" in row
    assert "10.0 %" in row
    assert "50.0 % [25.0, 75.0 %]" in row
    assert "not computed: needs speech" in text
    assert "Not computed: probe: no labels." in text
