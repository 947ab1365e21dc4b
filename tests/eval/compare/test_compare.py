"""`python -m eval compare`: differences by item, and refusals in words."""

import json
from pathlib import Path

import pytest
from PIL import Image

from eval.__main__ import main
from eval.compare.differences import TaskComparison, compare
from eval.compare.models import load_named
from eval.run.results import RunResult, load_results, not_computed, save_results
from eval.statistics.intervals import paired_difference
from eval.statistics.significance import paired_p_value
from tests.eval.results import SETTINGS, saved, task_result

ONE, TWO = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def compared(folder: Path, *results: object) -> list[TaskComparison]:
    """The comparison of tasks, each of a model of its own: a, b, ..."""
    folders = [
        f"{name}={saved(folder / name, *(one if isinstance(one, tuple) else (one,)))}"  # pyright: ignore
        for name, one in zip("abc", results, strict=False)
    ]
    return compare(load_named(folders))


def test_the_difference_is_paired_and_clustered(tmp_path: Path) -> None:
    clusters = [0, 0, 1, 2, 3, 4]
    (one,) = compared(tmp_path, task_result(ONE, clusters=clusters), task_result(TWO, clusters=clusters))
    (difference,) = one.differences
    assert difference.estimate == paired_difference(TWO, ONE, clusters)
    assert difference.p_value == difference.holm == paired_p_value(TWO, ONE, clusters)
    assert [score.value for score in one.scores] == pytest.approx([4 / 6, 2 / 6])


def test_p_values_are_corrected_over_tasks_and_models(tmp_path: Path) -> None:
    values = [ONE, TWO, [1.0] * 6]
    results = [(task_result(own), task_result(own[::-1], "toads")) for own in values]
    comparisons = compared(tmp_path, *results)
    differences = [difference for one in comparisons for difference in one.differences]
    assert len(differences) == 4
    smallest = min(differences, key=lambda one: one.p_value or 0)
    assert smallest.holm == pytest.approx(min(1.0, 4 * (smallest.p_value or 0)))


def test_a_result_from_before_the_official_number_was_written_is_compared(tmp_path: Path) -> None:
    (one,) = compared(tmp_path, task_result(ONE), task_result(TWO, settings={**SETTINGS, "official_items": 3_000}))
    assert one.paired is not None


def test_items_that_one_lacks_are_counted_and_named(tmp_path: Path) -> None:
    whole, part = task_result(ONE), task_result(TWO)
    part.items = part.items[:4]
    (one,) = compared(tmp_path, whole, part)
    assert one.paired is not None
    assert len(one.paired.items) == 4
    assert one.paired.missing == [[], ["item-4", "item-5"]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "version is 1 and 2"),
        ({"scorer": "choice-sum-v1"}, "scorer is 'choice-pmi-v1' and 'choice-sum-v1'"),
        ({"settings": {**SETTINGS, "seed": 1}}, "seed is 0 and 1"),
        ({"settings": {**SETTINGS, "prompt": "Say."}}, "prompt is 'What is this?' and 'Say.'"),
        ({"settings": {**SETTINGS, "shots": "2 of x, random"}}, "shots is None and"),
        ({"has_item_values": False}, "has no value for a single item"),
        ({"items": [task_result([1.0]).items[0].__class__("other", [], "?", "A.", "A.", 1.0)]}, "share no item"),
    ],
)
def test_what_was_asked_differently_is_refused_in_words(
    changes: dict[str, object], reason: str, tmp_path: Path
) -> None:
    (one,) = compared(tmp_path, task_result(ONE), task_result(TWO, **changes))
    assert one.paired is None
    assert reason in one.reason


@pytest.mark.parametrize("field", ["target", "question", "media"])
def test_another_item_under_the_same_id_is_refused(field: str, tmp_path: Path) -> None:
    other = task_result(TWO)
    setattr(other.items[2], field, [{"type": "image", "path": "toad.png"}] if field == "media" else "Other?")
    (one,) = compared(tmp_path, task_result(ONE), other)
    assert one.reason.startswith("item 'item-2' is not the same: a was asked ")


def test_a_model_without_the_task_is_named_and_the_others_are_compared(tmp_path: Path) -> None:
    missing = not_computed("frogs", 1, "", "choice-pmi-v1", "needs image")
    first, second = compared(tmp_path, (task_result(ONE), task_result(ONE, "toads")), task_result(TWO), missing)
    assert (first.names, first.absent) == (["a", "b"], {"c": "not computed: needs image"})
    assert second.reason == "b was not evaluated on it; c was not evaluated on it"


def test_results_from_before_clusters_were_written_are_compared_with_a_remark(tmp_path: Path) -> None:
    folders = [saved(tmp_path / name, task_result(values)) for name, values in (("a", ONE), ("b", TWO))]
    for folder in folders:
        content = json.loads((folder / "results.json").read_text())
        for key in ("linear_map", "linear_map_difference", "linear_map_seconds", "has_item_values"):
            del content["tasks"][0][key]
        for item in content["tasks"][0]["items"]:
            del item["cluster"]
        (folder / "results.json").write_text(json.dumps(content))
    (one,) = compare(load_named([f"a={folders[0]}", f"b={folders[1]}"]))
    assert one.paired is not None
    assert "do not say which items belong together" in one.paired.notes[0]
    assert load_results(folders[0]).tasks[0].linear_map is None


def test_the_command_writes_a_page_with_the_disagreements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "frog-0.png"
    Image.new("RGB", (8, 8), "green").save(picture)
    folders = []
    for name, values in (("a", ONE), ("b", TWO)):
        result = task_result(values)
        result.items[0].media = [{"type": "image", "path": str(picture)}]
        folders.append(saved(tmp_path / name, result, task_result(values, "toads", version=len(folders))))
    assert main(["compare", *map(str, folders), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "-33.3 % [-87.5, +20.9 %]" in printed
    assert "toads: not compared: " in printed
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "Where they disagree: 2 of 2 items" in page
    assert page.count("<article") == 2
    assert "data:image/webp" in page
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert written[0]["differences"][0]["estimate"]["num_items"] == 6


def test_names_come_from_the_models_folder_or_are_given(tmp_path: Path) -> None:
    folders = [
        saved(tmp_path / "one", task_result(ONE), source="runs/starter-image/best"),
        saved(tmp_path / "two", task_result(TWO), source="image=runs/quick/answer/best"),
    ]
    assert [one.name for one in load_named(list(map(str, folders)))] == ["starter-image", "quick"]
    assert load_named([f"mine={folders[0]}"])[0].name == "mine"
    same = [one.name for one in load_named([str(folders[0]), str(folders[0] / "results.json")])]
    assert len({*same}) == 2


@pytest.mark.parametrize(
    ("names", "reason"),
    [(["a"], "at least two"), (["x=a", "x=a"], "two results are called 'x'"), (["a", "no"], "no results at")],
)
def test_mistakes_are_one_line(
    names: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Path("a"), task_result(ONE))
    assert main(["compare", *names]) == 2
    assert reason in capsys.readouterr().err


def test_nothing_in_common_is_an_exit_status_of_2(tmp_path: Path) -> None:
    folders = [saved(tmp_path / name, task_result(ONE, name)) for name in "ab"]
    assert main(["compare", *map(str, folders), "--output", str(tmp_path / "out")]) == 2
    save_results(RunResult("none", {}, []), tmp_path / "a" / "results.json")
    assert main(["compare", *map(str, folders), "--output", str(tmp_path / "out")]) == 2
