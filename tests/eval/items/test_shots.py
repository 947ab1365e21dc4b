"""Solved examples before a question: whose they are, in which order, and what the controls leave alone."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from eval.items.item import Item
from eval.items.prefix import Turn
from eval.items.shots import with_shots
from eval.run.cache import AnswerCache
from eval.run.planning import plan_task
from eval.run.pooled import likeness_of
from eval.run.runner import evaluate
from eval.task import Choose, Task
from omni.model import OmniModel
from omni.samples.messages import Media, Text
from tests.tiny import recording, tiny_model


def item(name: str, answer: str, *keys: str) -> Item:
    media = (Media("image", data=recording(sum(map(ord, name)))),)
    return Item(name, media, "what?", answer, 0, cluster_keys=frozenset(keys or {name}))


EXAMPLES = [item(f"e{index}", f"answer {index}", f"k{index}") for index in range(6)]


def answers_of(one: Item) -> list[str]:
    return [message.text for message in one.shots if message.role == "assistant"]


def test_examples_are_of_other_clusters_and_drawn_by_the_item_alone() -> None:
    asked = [item("q1", "x", "k0", "k3"), item("q2", "y", "k5")]
    found = with_shots(asked, EXAMPLES, 4, seed=0)
    assert {*answers_of(found[0])} == {"answer 1", "answer 2", "answer 4", "answer 5"}
    assert "answer 5" not in answers_of(found[1])
    assert with_shots(asked[::-1], EXAMPLES, 4, seed=0)[::-1] == found
    assert answers_of(with_shots(asked, EXAMPLES, 4, seed=1)[1]) != answers_of(found[1])
    with pytest.raises(ValueError, match="item 'q1' has 4 examples outside of its own cluster, but 5 are asked for"):
        with_shots(asked, EXAMPLES, 5, seed=0)


def test_the_nearest_stands_last_and_what_cannot_be_read_is_left_out() -> None:
    likeness = np.array([[0.1, 0.9, 0.5, np.nan, 0.7, 0.2]])
    (found,) = with_shots([item("q", "x", "k1")], EXAMPLES, 3, seed=0, likeness=lambda items, examples: likeness)
    assert answers_of(found) == ["answer 5", "answer 2", "answer 4"]


def test_examples_stand_behind_the_system_and_before_the_question() -> None:
    turns = (Turn("system", (Text("Be brief."),)), Turn("user", (Text("what is it?"),)))
    (found,) = with_shots([Item("q", (), "what is it?", "x", 0, turns=turns)], EXAMPLES, 1, seed=0)
    assert [message.role for message in found.prefix(()).messages] == ["system", "user", "assistant", "user"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, count in (("train", 5), ("test", 3)):
        lines = []
        for index in range(count):
            np.save(tmp_path / f"{name}-{index}.npy", recording(index if name == "train" else index + 50))
            media = {"type": "image", "path": f"{name}-{index}.npy"}
            messages = [{"role": "user", "content": [media]}, {"role": "assistant", "content": f"{name} {index}"}]
            lines.append(json.dumps({"id": f"{name}-{index}", "messages": messages}))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    np.save(tmp_path / "test-1.npy", recording(3) * 1.01)  # nearest to the training row 3
    return tmp_path


def task(folder: Path, **changes: object) -> Task:
    values = {"shots": 2, "shots_from": str(folder / "train.jsonl")} | changes
    return Task(
        name="shots",
        version=1,
        description="A choice with examples.",
        data=str(folder / "test.jsonl"),
        modalities=("image",),
        prompt="what is this?",
        kind=Choose("answers"),
        scorer="choice-sum-v1",
        **values,  # pyright: ignore[reportArgumentType]
    )


def test_controls_exchange_the_items_own_media_only(folder: Path) -> None:
    plan = plan_task(task(folder), limit=None, seed=0)
    for index, one in enumerate(plan.items):
        own, blank, shuffled = (plan.conditions[name][index][0] for name in ("own", "blank", "shuffled"))
        assert own.shots == blank.shots == shuffled.shots == one.shots
        assert len({own.key, blank.key, shuffled.key}) == 3
        assert [len(message.media) for message in own.messages] == [1, 0, 1, 0, 1]
        assert [len(message.media) for message in blank.messages] == [1, 0, 1, 0, 0]
        assert own.messages[0].text == "what is this?"
    assert plan.settings["shots"] == f"2 of {folder / 'train.jsonl'}, random"
    without = plan_task(task(folder, shots=0, shots_from=None), limit=None, seed=0)
    assert "shots" not in without.settings
    assert without.conditions["own"][0][0].key != plan.conditions["own"][0][0].key


def test_the_nearest_examples_are_those_with_like_features(folder: Path, tiny_llm: Path) -> None:
    model: OmniModel = tiny_model(tiny_llm)
    result = evaluate(model, [task(folder, shots_by="nearest")], progress=False).tasks[0]
    assert result.status == "computed"
    with AnswerCache(None, model.fingerprint()) as cache:
        likeness = partial(likeness_of, model, ("image",), cache=cache)
        plan = plan_task(task(folder, shots_by="nearest"), limit=None, seed=0, likeness=likeness)
    found = {one.id: answers_of(one) for one in plan.items}
    assert found["test-1"][-1] == "train 3"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shots": 2, "shots_from": None}, "belong together"),
        ({"shots": 0}, "belong together"),
        ({"shots_by": "likely"}, "shots are chosen by 'random' and 'nearest', not by 'likely'"),
        ({"shots": -1}, "shots must be at least 0"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], message: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=message):
        task(folder, **changes)
