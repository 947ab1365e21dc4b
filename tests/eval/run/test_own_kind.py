"""A kind of task in a user's own file asks, collects and is scored without an edit of the runner."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval.__main__ import main
from eval.run.kinds import procedure_of
from eval.task import Choose, Task
from omni.model import OmniModel
from omni.samples.messages import Media, Message, Text
from tests.eval.run.test_evaluation_run import ANSWERS, write_manifest
from tests.tiny import tiny_model

OWN_KIND = '''
"""How many bits does the model need for a byte of the right answer?"""
import math
from dataclasses import dataclass
from typing import ClassVar

from eval.items.item import Item
from eval.run.kinds import Collected, Procedure, with_bad
from eval.scorers import ItemScore, Scores, mean_of
from eval.task import Task


@dataclass(frozen=True)
class Likelihood:
    item: Item
    bits: float

    @property
    def target(self):
        return self.item.target

    @property
    def text(self):
        return f"{self.bits:.2f} bits"


@dataclass(frozen=True)
class Compress(Procedure):
    suffix: str
    left_out: str = ""
    answer_type: ClassVar[type] = Likelihood

    def check(self, task):
        if task.target != "answer":
            raise ValueError("only answers are compressed")

    def prepare(self, task, loaded, seed):
        return with_bad(loaded, {i: "not wanted" for i, item in enumerate(loaded.items) if item.id == self.left_out})

    def settings(self, task, items, conditions):
        return {"suffix": self.suffix}

    def add_requests(self, plan, requests):
        for condition in plan.conditions.values():
            for item, prefixes in zip(plan.items, condition):
                requests.score(prefixes[0], [item.target + self.suffix])

    def collect(self, plan, kept, answers):
        found = {}
        for name, condition in plan.conditions.items():
            found[name] = {}
            for index in kept:
                text = plan.items[index].target + self.suffix
                scores = answers.likelihoods(condition[index][0], [text])
                if scores is not None:
                    bits = -scores[0] / math.log(2) / len(text.encode())
                    found[name][index] = Likelihood(plan.items[index], bits)
        return Collected(found)


class BitsPerByte:
    name, version, takes, metric, percent = "bits-per-byte", 1, (Likelihood,), "bits_per_byte", False

    def chance(self, items):
        return None

    def score(self, answers, *, condition, seed):
        values = [answer.bits for answer in answers]
        estimate = mean_of(values, answers, bounds=(0.0, math.inf))
        return Scores({"bits_per_byte": estimate}, [ItemScore(value) for value in values])
'''


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm)


def write_kind(folder: Path, data: Path) -> Path:
    path = folder / "my_kinds.py"
    task = (
        f"\n\nTASK = Task('bits', 4, 'Bits.', {str(data)!r}, ('image',), 'What?', Compress(' !', left_out='item-2'), "
        f"{str(path) + ':BitsPerByte'!r})\n"
    )
    path.write_text(OWN_KIND + task)
    return path


def test_a_users_own_kind_and_scorer_run_from_the_command_line(model: OmniModel, tmp_path: Path) -> None:
    data = write_manifest(tmp_path / "data")
    model.save(tmp_path / "model")
    arguments = [f"{write_kind(tmp_path, data)}:TASK", "--model", str(tmp_path / "model")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / "results.json").read_text())["tasks"][0]
    assert (result["scorer"], result["metric"], result["chance"]) == ("bits-per-byte-v1", "bits_per_byte", None)
    assert (result["settings"]["kind"], result["settings"]["suffix"]) == ("compress", " !")
    assert result["bad"] == [{"id": "item-2", "reason": "not wanted"}]
    expected = []
    for index in (0, 1, 3, 4, 5):
        media = Media("image", path=str(data.parent / f"image-{index}.npy"))
        text = f"{ANSWERS[index]} !"
        score = float(model.score([Message("user", (media, Text("What?")))], [text])[0])
        expected.append(-score / np.log(2) / len(text))
    assert [item["right"] for item in result["items"]] == pytest.approx(expected, rel=1e-4)
    assert result["scores"]["own"]["bits_per_byte"]["value"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert set(result["scores"]) == {"own", "blank", "shuffled"}
    assert result["difference"]["value"] == pytest.approx(
        result["scores"]["own"]["bits_per_byte"]["value"] - result["scores"]["shuffled"]["bits_per_byte"]["value"]
    )


def test_a_users_own_kind_refuses_a_task_that_it_does_not_fit(tmp_path: Path) -> None:
    path = write_kind(tmp_path, write_manifest(tmp_path / "data"))
    path.write_text(path.read_text() + "TASK = TASK.changed(target='meta:kind')\n")
    assert main([f"{path}:TASK", "--model", str(tmp_path)]) == 2


def test_a_kind_that_says_nothing_of_asking_is_refused() -> None:
    class Idle:
        def check(self, task: Task) -> None:
            """Every task fits."""

    with pytest.raises(ValueError, match="Idle says neither what to ask"):
        procedure_of(Idle())


def test_a_kind_derived_from_a_shipped_one_is_carried_out_like_it() -> None:
    class ChooseAll(Choose):
        pass

    assert type(procedure_of(ChooseAll("answers"))) is type(procedure_of(Choose("answers")))
