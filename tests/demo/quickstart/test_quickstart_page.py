"""The quickstart's page speaks of one modality where there is one, and shows answers in the model's own words."""

import json
from pathlib import Path

from demo.quickstart.page import write_page
from demo.quickstart.plan import FreeQuestion, Plan
from omni.media import Media
from tests.eval.results import run_result, task_result
from tests.tiny import MLP, tiny_model

QUESTION = FreeQuestion((Media("image", path="gone.png"),), "What do you see?", "A frog.")


def page(llm: Path, folder: Path, *modalities: str) -> str:
    folders = {name: folder / name / "best" for name in modalities}
    for name, path in folders.items():
        tiny_model(llm, adapters={name: MLP}).save(path)
        rows = [{"step": 10, "loss": 3.921}, {"step": 150, "loss": 2.374}, {"note": "no loss"}]
        (path.parent / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (path.parent / "done-0123").write_text("75 seconds\n")
    plan = Plan((), (), (), (QUESTION,))
    write_page(
        folder / "page.html", plan, folders, run_result(task_result([1, 0])), ["A toad."], evaluation_seconds=2002
    )
    return (folder / "page.html").read_text()


def test_one_modality_is_spoken_of_as_one(tiny_llm: Path, tmp_path: Path) -> None:
    shown = page(tiny_llm, tmp_path, "image")
    assert "A small adapter for <b>image</b> was trained" in shown
    assert "One adapter was trained." in shown
    assert "The training loss went from 3.92 to 2.37 (image)." in shown
    for words in (
        "two modalities",
        "apart from each other",
        "neither adapter",
        "put together",
        "one by one",
        "see and hear",
    ):
        assert words not in shown


def test_two_modalities_free_answers_and_times(tiny_llm: Path, tmp_path: Path) -> None:
    shown = page(tiny_llm, tmp_path, "image", "sound")
    assert "no training row had two modalities" in shown
    assert shown.count("<td>1 min 15 s</td>") == 2
    assert "took 33 min." in shown
    assert "A toad." in shown.partition("It describes media in its own words.")[2]
    assert shown.index("“A frog.” is right.") < shown.index("Which one?") < shown.index("in its own words")
    assert shown.index("What the terms mean") > shown.index("in its own words")
    assert "gone.png</b> the file is no longer there" in shown
