"""Results in lm-evaluation-harness's form: the keys of its `EvalResults`, and samples that agree with them."""

import hashlib
import json
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.run.results import not_computed
from eval.statistics.intervals import clustered_standard_error
from tests.eval.results import saved, task_result

VALUES, CLUSTERS = [1.0, 1.0, 0.0, 1.0, 0.0], [0, 0, 1, 2, 3]
# lm_eval/result_schema.py of 0.4.13: the keys of `SampleResult` besides those of the metrics
SAMPLE_KEYS = {
    *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"),
    *("doc_hash", "prompt_hash", "target_hash"),
}


@pytest.fixture
def exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    tasks = [
        task_result(VALUES, clusters=CLUSTERS),
        task_result(VALUES, "words/spoken", has_item_values=False),
        not_computed("lost", 1, "", "choice-pmi-v1", "needs sound"),
    ]
    results = saved(tmp_path / "results", *tasks, source="runs/frogs/best")
    assert main(["export", str(results), "--format", "lm-eval", "--output", str(tmp_path / "out")]) == 0
    assert "left out: lost: not computed: needs sound" in capsys.readouterr().out
    return tmp_path / "out" / "runs__frogs__best"


def test_the_file_of_results_has_the_keys_of_the_harness(exported: Path) -> None:
    (file,) = exported.glob("results_*.json")
    content = json.loads(file.read_text())
    frogs = content["results"]["frogs"]
    assert (frogs["alias"], frogs["sample_len"], frogs["acc,none"]) == ("frogs", 5, pytest.approx(0.6))
    assert frogs["acc_stderr,none"] == pytest.approx(clustered_standard_error(VALUES, CLUSTERS))
    assert frogs["accuracy_sum_stderr,none"] == "N/A"
    assert frogs["acc,shuffled"] == frogs["acc,bridge"] == frogs["acc,linear_map"] == 0.5
    assert frogs["acc,blank"] == 0.0  # the headline of this control is another metric
    assert content["versions"] == {"frogs": 1, "words/spoken": 1}
    assert content["n-samples"]["frogs"] == {"original": 5, "effective": 5}
    assert content["n-shot"]["frogs"] == 0
    assert content["higher_is_better"]["frogs"] == {"acc": True, "accuracy_sum": True}
    assert content["configs"]["frogs"]["metadata"]["prompt"] == "What is this?"
    assert content["config"]["model_args"] == content["model_name"] == "runs/frogs/best"
    assert isinstance(content["date"], float)


def test_samples_have_its_keys_and_hashes(exported: Path) -> None:
    (file,) = exported.glob("samples_frogs_*.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["doc_id"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["acc"] for row in rows] == VALUES
    assert {*rows[0]} == SAMPLE_KEYS | {"acc"}
    assert rows[2]["filtered_resps"] == ["A dog."]
    assert rows[2]["arguments"] == {"gen_args_0": {"arg_0": "What is this?", "arg_1": {}}}
    assert rows[0]["target_hash"] == hashlib.sha256(b"A frog.").hexdigest()
    doc = json.dumps(rows[0]["doc"], indent=2, ensure_ascii=False)
    assert rows[0]["doc_hash"] == hashlib.sha256(doc.encode()).hexdigest()
    hashes = "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
    (results,) = exported.glob("results_*.json")
    assert json.loads(results.read_text())["task_hashes"]["frogs"] == hashlib.sha256(hashes.encode()).hexdigest()


def test_a_metric_without_values_of_items_gives_samples_without_it(exported: Path) -> None:
    (file,) = exported.glob("samples_words__spoken_*.jsonl")
    row = json.loads(file.read_text().splitlines()[0])
    assert {*row} == SAMPLE_KEYS
    assert row["metrics"] == []


def test_the_same_results_give_the_same_files(exported: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    assert main(["export", str(tmp_path / "results" / "results.json"), "--output", str(tmp_path / "out")]) == 0
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before


def test_results_without_a_computed_task_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path, not_computed("lost", 1, "", "choice-pmi-v1", "needs sound"))
    assert main(["export", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "nothing to export" in capsys.readouterr().err
