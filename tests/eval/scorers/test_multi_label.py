"""Items with several right labels: figures against scikit-learn, and from the file to the result."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from eval.items.item import Item
from eval.metrics.classification import d_prime, label_ranking_precision
from eval.run.results import load_results, save_results
from eval.run.runner import evaluate
from eval.scorers import SCORERS, ChoiceAnswer, LabelSetAnswer
from eval.task import Choose, Task
from omni.model import OmniModel
from tests.tiny import recording, tiny_model

CLASSES = ("dog", "rain", "bell", "horn", "siren")


def test_figures_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    likelihoods = draw.normal(size=(60, 5))
    positive = draw.random((60, 5)) < 0.3
    positive[:, 4] = False  # a class that never occurs is left out
    positive[~positive.any(1), 0] = True
    answers = []
    for number in range(60):
        rights = [int(one) for one in np.flatnonzero(positive[number])]
        item = Item(
            str(number), (), "?", "", number, CLASSES, right=rights[0], also_right=frozenset(rights), references=("-",)
        )
        answers.append(LabelSetAnswer(item, [likelihoods[number].tolist()], [0.0] * 5, [1] * 5))
    scores = np.exp(likelihoods) / np.exp(likelihoods).sum(1, keepdims=True)
    found = SCORERS["multi-label-v1"].score(answers, condition="own", seed=0).estimates
    expected = metrics.average_precision_score(positive[:, :4], scores[:, :4], average="macro")
    assert found["mean_average_precision"].value == pytest.approx(expected)
    area = metrics.roc_auc_score(positive[:, :4], scores[:, :4], average="macro")
    assert found["auroc"].value == pytest.approx(area)
    assert found["d_prime"].value == pytest.approx(np.sqrt(2) * stats.norm.ppf(area))
    weights = positive.sum(1)
    expected = metrics.label_ranking_average_precision_score(positive, scores, sample_weight=weights)
    assert found["lwlrap"].value == pytest.approx(expected)
    assert SCORERS["multi-label-v1"].chance([answer.item for answer in answers]) == pytest.approx(
        positive[:, :4].mean(0).mean()
    )


def test_a_right_label_that_ties_stands_behind() -> None:
    found = label_ranking_precision(np.array([[1.0, 1.0, 0.0]]), np.array([[True, False, True]]))
    assert found.tolist() == [pytest.approx(1 / 2 + 2 / 3)]
    assert d_prime(0.5) == 0


def test_one_right_label_is_a_set_too() -> None:
    answers = [
        ChoiceAnswer(Item(str(n), (), "?", CLASSES[n], n, CLASSES, n), [np.eye(5)[n].tolist()], [0.0] * 5, [1] * 5)
        for n in range(5)
    ]
    assert SCORERS["multi-label-v1"].score(answers, condition="own", seed=0).estimates["lwlrap"].value == 1


LABELS = {"d": "a frog", "b": "a bell", "r": "the drum"}


def write(folder: Path) -> Path:
    lines = []
    for index, right in enumerate([["d", "b"], "r", ["b"], ["d", "x"], ["r", "b"]]):
        np.save(folder / f"{index}.npy", recording(index))
        content = [{"type": "image", "path": f"{index}.npy"}]
        messages = [{"role": "user", "content": content}]
        lines.append(json.dumps({"id": str(index), "messages": messages, "labels": right, "own": ["d", "b", "r"]}))
    (folder / "test.jsonl").write_text("\n".join(lines))
    return folder / "test.jsonl"


def task(data: Path, kind: Choose, scorer: str) -> Task:
    return Task("tags", 1, "What is heard?", str(data), ("image",), "what is this", kind, scorer, target="meta:labels")


def test_labels_from_the_file_to_the_result(tiny_llm: Path, tmp_path: Path) -> None:
    model: OmniModel = tiny_model(tiny_llm)
    data = write(tmp_path)
    several = Choose("labels", labels=LABELS, several=True)
    run = evaluate(model, [task(data, several, "multi-label-v1")], progress=False)
    (result,) = run.tasks
    assert result.status == "computed"
    assert [one["id"] for one in result.bad] == ["3"]
    assert "'x', which is none of d, b, r" in result.bad[0]["reason"]
    assert [item.target for item in result.items] == ["a frog / a bell", "the drum", "a bell", "a bell / the drum"]
    assert result.chance == pytest.approx((1 / 4 + 3 / 4 + 2 / 4) / 3)
    assert {"own", "blank", "shuffled"} == {*result.scores}
    save_results(run, tmp_path / "results.json")
    assert load_results(tmp_path).tasks[0].confusion is None
    own = evaluate(model, [task(data, Choose("meta:own", several=True), "multi-label-v1")], progress=False).tasks[0]
    assert [item.target for item in own.items] == ["d / b", "r", "b", "b / r"]


def test_what_does_not_fit_is_refused(tiny_llm: Path, tmp_path: Path) -> None:
    model, data = tiny_model(tiny_llm), write(tmp_path)
    several = Choose("labels", labels=LABELS, several=True)
    (result,) = evaluate(model, [task(data, several, "choice-sum-v1")], progress=False).tasks
    assert "scorer 'choice-sum-v1' does not score" in result.reason
    (result,) = evaluate(model, [task(data, Choose("labels", labels=LABELS), "multi-label-v1")], progress=False).tasks
    assert "Choose with several=True" in result.bad[0]["reason"]
    with pytest.raises(ValueError, match="several=True belongs to"):
        task(data, Choose("answers", several=True), "multi-label-v1")
