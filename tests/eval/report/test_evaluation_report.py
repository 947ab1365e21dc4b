"""The page is self-contained, shows what the results say, and stays within its size."""

import html
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from eval.report import (
    AnswerSection,
    CurveSection,
    TableSection,
    TextSection,
    markdown_report,
    sections_of,
    write_report,
)
from eval.report.media import Embedder, picture_uri, sound_uri
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
    soundfile.write(path, np.sin(np.arange(44100 * 20) / 20), 44100)
    return path


def task_result(picture: Path, sound: Path) -> TaskResult:
    media = [{"type": "image", "path": str(picture)}, {"type": "sound", "path": str(sound)}]
    top = [("A <frog>.", 0.7), ("A dog.", 0.2), ("A drum.", 0.1)]
    items = [
        ItemAnswer(f"item-{index}", media, "What is this?", "A <frog>.", "A <frog>.", float(index % 2), top)
        for index in range(4)
    ]
    result = TaskResult("frog-choice", 3, "Which one?", "choice-pmi-v1", "accuracy_pmi", chance=0.1, items=items)
    values = [item.right for item in items]
    result.scores = {
        "own": {"accuracy_pmi": mean_interval(values)},
        "shuffled": {"accuracy_pmi": mean_interval([0, 0])},
    }
    result.num_items = 4
    result.bad = [{"id": "broken-one", "reason": "zero bytes"}]
    result.not_computed = {"probe": "no labels"}
    return result


def full_page(folder: Path, picture: Path, sound: Path, **options: int) -> str:
    missing = not_computed("speech-choice", 1, "", "choice-pmi-v1", "needs speech")
    run = RunResult("tiny", {"fingerprint": "ab" * 32}, [task_result(picture, sound), missing])
    sections = [
        *sections_of(run),
        AnswerSection("Joint", [{"type": "image", "path": str(picture)}], "What & why?", "A frog."),
        CurveSection("Loss", {"training": [(0, 3.0), (10, 1.25), (20, float("nan"))], "none": []}),
        TableSection("Parts", ["part"], [["LLM"]]),
        TextSection("Words", ["A paragraph."]),
    ]
    write_report(folder / "report.html", sections, title="Tiny <report>", **options)
    return (folder / "report.html").read_text()


def test_page_has_no_address_outside_itself_and_no_script(tmp_path: Path, picture: Path, sound: Path) -> None:
    page = full_page(tmp_path, picture, sound)
    addresses = re.findall(r"""(?:src|href|action|poster)\s*=\s*["']([^"']*)["']|url\(([^)]*)\)""", page)
    targets = [first or second for first, second in addresses]
    assert targets
    assert all(target.startswith(("data:", "#")) for target in targets)
    assert "http" not in page
    assert "<script" not in page


def test_page_shows_score_controls_items_and_reasons(tmp_path: Path, picture: Path, sound: Path) -> None:
    page = full_page(tmp_path, picture, sound)
    assert "50.0 % [15.0, 85.0 %]" in page  # Wilson interval of 2 of 4
    assert "shuffled media" in page
    assert "WARNING: 1 of 5 items could not be used (broken-one)" in page
    assert "needs speech" in page
    assert html.escape("A <frog>.") in page
    assert "A <frog>." not in page
    assert page.count('<article class="card right">') == 2
    assert page.count('<article class="card wrong">') == 2
    assert "training 1.25" in page


def test_media_beyond_the_budget_are_named_instead(tmp_path: Path, picture: Path, sound: Path) -> None:
    page = full_page(tmp_path, picture, sound, media_budget=1000)
    assert "data:image" not in page
    assert "frog.png" in page
    assert "were left out to keep the page small" in page


def test_budget_counts_every_showing(picture: Path) -> None:
    size = len(picture_uri(str(picture)))
    embedder = Embedder(budget=2 * size + 10)
    shown = [embedder.embed({"type": "image", "path": str(picture)})["kind"] for _ in range(3)]
    assert shown == ["picture", "picture", "other"]
    assert embedder.left_out == 1


def test_pictures_are_small_and_sounds_are_cut(picture: Path, sound: Path) -> None:
    assert len(picture_uri(str(picture))) < 60_000
    # eight seconds of a tone, not twenty, at 16 kHz
    assert 1_000 < len(sound_uri(str(sound))) < 120_000


def test_broken_media_are_shown_by_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"no picture")
    shown = Embedder(budget=10**6).embed({"type": "image", "path": str(path)})
    assert (shown["kind"], shown["label"]) == ("other", "broken.png")


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
