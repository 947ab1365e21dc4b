"""A scorer in a user's own file scores every kind that it takes, with its version in the result."""

from pathlib import Path

import numpy as np
import pytest

from eval.run.results import TaskResult
from eval.run.runner import evaluate
from eval.scorers import get_scorer
from eval.task import Choose, Generate, Match, Task
from omni.model import OmniModel
from tests.eval.run.test_evaluation_run import ANSWERS, PROMPT, choice, write_manifest
from tests.tiny import tiny_model

OWN_SCORER = '''
"""Is the answer as long as the right one?"""
from eval.scorers import ChoiceAnswer, ItemScore, Scores, WrittenAnswer, mean_of


class SameLength:
    name = "same-length"
    version = 3
    takes = (ChoiceAnswer, WrittenAnswer)
    metric = "same_length"
    percent = True

    def chance(self, items):
        return 0.25

    def score(self, answers, *, condition, seed):
        values = [float(len(answer.text) == len(answer.target)) for answer in answers]
        items = [ItemScore(value, note=f"{condition} {seed}") for value in values]
        return Scores({"same_length": mean_of(values, answers)}, items)


class NoScorer:
    name = "none"


class Wanting(SameLength):
    def __init__(self, length):
        self.length = length


class Silent(SameLength):
    metric = "loudness"
'''


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mine") / "my_scorers.py"
    path.write_text(OWN_SCORER)
    return path


def run_one(model: OmniModel, task: Task) -> TaskResult:
    return evaluate(model, [task], seed=7, progress=False).tasks[0]


@pytest.mark.parametrize("kind", [Choose("answers"), Generate({"max_new_tokens": 3})])
def test_a_users_own_scorer_scores_each_kind_that_it_takes(
    model: OmniModel, data: Path, scorers: Path, kind: Choose | Generate
) -> None:
    result = run_one(model, choice(data, kind=kind, scorer=f"{scorers}:SameLength"))
    assert result.status == "computed", result.reason
    assert (result.scorer, result.metric, result.percent, result.chance) == (
        "same-length-v3",
        "same_length",
        True,
        0.25,
    )
    expected = [float(len(item.answer) == len(item.target)) for item in result.items]
    assert [item.right for item in result.items] == expected
    assert result.primary is not None
    assert result.primary.value == pytest.approx(np.mean(expected))
    assert {item.note for item in result.items} == {"own 7"}
    assert set(result.scores) == {"own", "blank", "shuffled"}
    assert result.difference is not None


def test_the_shown_choice_of_a_users_own_scorer_is_the_likeliest_option(
    model: OmniModel, data: Path, scorers: Path
) -> None:
    own = run_one(model, choice(data, scorer=f"{scorers}:SameLength"))
    assert [item.answer for item in own.items] == [item.answer for item in run_one(model, choice(data)).items]
    assert [item.target for item in own.items] == ANSWERS


def test_a_scorer_of_a_module_is_found_by_its_dotted_name(scorers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(scorers.parent)
    assert get_scorer("my_scorers.SameLength").metric == "same_length"


def test_a_kind_that_a_scorer_does_not_take_is_refused(model: OmniModel, data: Path, scorers: Path) -> None:
    match = choice(data, modalities=("image", "sound"), kind=Match("sound"), scorer=f"{scorers}:SameLength")
    result = run_one(model, match)
    assert result.status == "not computed"
    assert "does not score Match" in result.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NoScorer", "has no chance, metric, percent, score, takes, version"),
        ("Wanting", "must be made without arguments"),
        ("Missing", "has no class 'Missing'"),
    ],
)
def test_a_class_that_is_no_scorer_is_refused_in_words(scorers: Path, name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        get_scorer(f"{scorers}:{name}")


def test_a_scorer_without_its_primary_metric_is_named(model: OmniModel, data: Path, scorers: Path) -> None:
    with pytest.raises(ValueError, match="same-length-v3 gives no 'loudness'"):
        run_one(model, choice(data, scorer=f"{scorers}:Silent", prompt=PROMPT))
