"""What is wrong with files, rows, media and answers is named and counted, in the results and in every report."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval.report import markdown_report, sections_of, write_report
from eval.report.terminal import summary
from eval.run.results import TaskResult, load_results
from eval.run.runner import evaluate
from eval.task import Choose, Generate
from omni.model import OmniModel
from tests.eval.run.test_evaluation_run import choice, write_manifest
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm)


def run_one(model: OmniModel, task: object) -> TaskResult:
    return evaluate(model, [task], progress=False).tasks[0]  # pyright: ignore[reportArgumentType]


def test_a_missing_medium_is_one_bad_row_whatever_makes_clusters(model: OmniModel, tmp_path: Path) -> None:
    result = run_one(model, choice(write_manifest(tmp_path, bad=2), clusters=("answer",)))
    assert (result.status, result.num_items) == ("computed", 5)
    assert [bad["id"] for bad in result.bad] == ["item-2"]
    assert "image-2.npy" in result.bad[0]["reason"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "meta:Kind"}, "has no 'Kind' in its row; did you mean 'kind'?"),
        ({"kind": Choose("meta:kindd")}, "has no candidates 'kindd' in its row; did you mean 'kind'?"),
    ],
)
def test_a_wrong_column_names_the_nearest_and_the_number_of_rows(
    model: OmniModel, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    result = run_one(model, choice(write_manifest(tmp_path), **changes))
    assert result.status == "not computed"
    assert "all 6 rows that were read are bad" in result.reason
    assert words in result.reason


@pytest.mark.parametrize("content", ['{"a": 1}', "[1, 2, 3]", '"text"', "no JSON at all", "", '{"data": {"x": []}}'])
def test_a_json_file_that_is_no_data_set_is_not_computed_and_named(
    model: OmniModel, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "questions.json"
    path.write_text(content)
    result = run_one(model, choice(path)) if content else None
    results = evaluate(model, [choice(path), choice(write_manifest(tmp_path / "good"), "good")], progress=False).tasks
    assert [task.status for task in results] == ["not computed", "computed"]
    assert "questions.json" in results[0].reason
    assert result is None or result.reason == results[0].reason


def test_references_that_cannot_be_used_are_counted(model: OmniModel, tmp_path: Path) -> None:
    data, reference = write_manifest(tmp_path / "test"), write_manifest(tmp_path / "train")
    np.save(reference.parent / "image-1.npy", np.zeros((4, 7), np.float32))  # a recording of the wrong width
    result = run_one(model, choice(data, reference=str(reference), scorer="choice-pmi-v1"))
    assert result.not_computed["reference"].startswith("without 1 of 6 media, the first: MediaError")


def test_shuffled_media_that_cannot_be_used_leave_a_note(model: OmniModel, tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    np.save(path.parent / "image-1.npy", np.zeros((4, 7), np.float32))
    result = run_one(model, choice(path))
    assert result.num_items == 5
    assert result.not_computed["shuffled"] == "for 1 of 5 items, whose media here could not be read"


def test_empty_answers_and_bad_items_stand_beside_the_figure_everywhere(model: OmniModel, tmp_path: Path) -> None:
    end = model.end_token_ids[0]
    path = write_manifest(tmp_path / "data", bad=3)
    task = choice(path, kind=Generate({"max_new_tokens": 1, "forced_eos_token_id": end}), scorer="exact-match-v2")
    run = evaluate(model, [task], suite="tiny", progress=False)
    result = run.tasks[0]
    assert (result.num_items, len(result.bad), result.num_empty) == (5, 1, 5)
    write_report(tmp_path / "report.html", sections_of(run), title="Tiny")
    for text in (summary(run), markdown_report(run), (tmp_path / "report.html").read_text()):
        assert "5 (1 bad, 5 empty)" in text
        assert "5 of 5 answers are empty" in text
        assert "Time: " in text
        assert "language model" in text


def test_results_of_a_version_that_counted_no_empty_answers_load(tmp_path: Path) -> None:
    task = {"name": "a", "version": 1, "description": "", "scorer": "s", "metric": "m", "scores": {}, "items": []}
    task |= {"difference": None, "probe": None}
    content = {"version": 1, "suite": "old", "model": {}, "tasks": [task], "settings": {"seconds": 1.0}}
    (tmp_path / "results.json").write_text(json.dumps(content))
    run = load_results(tmp_path)
    assert run.tasks[0].num_empty == 0
    assert "Time: " not in summary(run)
