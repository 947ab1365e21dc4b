"""Rows to items: lists of references, several turns, media between texts, and answers in several spellings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.items.conditions import BLANK, OWN, SHUFFLED, usual_conditions
from eval.items.item import Item
from eval.items.loading import LoadedItems, load_items
from eval.items.spellings import one_spelling
from eval.run.planning import plan_task
from eval.scorers import WrittenAnswer
from eval.task import Choose, Generate, Match, Task
from omni.samples.messages import Media, Message
from tests.tiny import recording


def task(folder: Path, rows: list[dict[str, Any]], **values: Any) -> Task:
    for index in range(4):
        np.save(folder / f"{index}.npy", recording(index))
    (folder / "rows.jsonl").write_text("\n".join(json.dumps({"id": str(n), **row}) for n, row in enumerate(rows)))
    base = {"prompt": None, "kind": Generate(), "scorer": "exact-match-v2"}
    return Task("tiny", 1, "", str(folder / "rows.jsonl"), ("image",), **base | values)


def row(*turns: Any, **keys: Any) -> dict[str, Any]:
    """A row whose turns go in turn to user and assistant; numbers in a turn are media."""
    messages = [
        {"role": ["user", "assistant"][n % 2], "content": [_part(part) for part in turn]}
        for n, turn in enumerate(turns)
    ]
    return {"messages": messages, **keys}


def _part(part: Any) -> dict[str, Any]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "path": f"{part}.npy"}


def load(task: Task) -> LoadedItems:
    return load_items(task, task.data, None, 0)


def said(messages: tuple[Message, ...]) -> list[tuple[str, list[str]]]:
    """Roles with texts, and the names of the files of media."""
    return [
        (
            message.role,
            [Path(part.path or "").stem if isinstance(part, Media) else part.text for part in message.content],
        )
        for message in messages
    ]


def own(item: Item) -> list[tuple[str, list[str]]]:
    return said(item.prefix(item.media).messages)


def test_a_list_of_references_is_a_list(tmp_path: Path) -> None:
    answers = ["toad", "frog", "frog", "a frog"]
    rows = [row([0, "What is it?"], answers=answers), row([1, "What is it?"], answers="drum")]
    items = load(task(tmp_path, rows, target="meta:answers")).items
    assert items[0].references == tuple(answers)  # as many as there are, which VQA accuracy counts
    assert items[0].target == "frog"  # of most annotators
    assert items[1].references == ("drum",)


@pytest.mark.parametrize("answers", [[], [""], ["frog", None], [{"answer": "frog"}], {"0": "frog"}, [["frog"]]])
def test_references_that_are_no_texts_are_refused(tmp_path: Path, answers: Any) -> None:
    loaded = load(task(tmp_path, [row([0], answers=answers)], target="meta:answers"))
    assert not loaded.items
    assert any(word in loaded.bad[0].reason for word in ("list of texts", "no right answer"))


@pytest.mark.parametrize("kind", [Choose("answers"), Choose("sampled"), Choose("labels"), Match("image")])
def test_kinds_that_need_one_right_answer_refuse_several(tmp_path: Path, kind: Any) -> None:
    rows = [row([0], name=["frog", "toad"]), row([1], name=["drum", "drum"]), row([2], name="bell")]
    scorer = "match-v1" if isinstance(kind, Match) else "choice-sum-v1"
    plan = plan_task(task(tmp_path, rows, target="meta:name", kind=kind, scorer=scorer), limit=None, seed=0)
    assert [item.id for item in plan.items] == ["1", "2"]
    assert "2 right answers" in plan.bad[0].reason


def test_several_turns_are_kept(tmp_path: Path) -> None:
    rows = [row([0, "What is it?"], ["A frog."], ["And", 1, "that?"], ["A drum."])]
    rows[0]["messages"].insert(0, {"role": "system", "content": "Be brief."})
    item = load(task(tmp_path, rows)).items[0]
    assert own(item) == [
        ("system", ["Be brief."]),
        ("user", ["0", "What is it?"]),
        ("assistant", ["A frog."]),
        ("user", ["And", "1", "that?"]),
    ]
    assert item.target == "A drum."
    assert item.question == "system: Be brief.\nuser: What is it?\nassistant: A frog.\nuser: Andthat?"


def test_a_prompt_of_the_task_replaces_the_last_question_only(tmp_path: Path) -> None:
    rows = [row([0, "What is it?"], ["A frog."], [1, "And that?"], ["A drum."])]
    item = load(task(tmp_path, rows, prompt="Name it.")).items[0]
    assert own(item) == [("user", ["0", "What is it?"]), ("assistant", ["A frog."]), ("user", ["1", "Name it."])]


def test_media_stand_where_the_row_has_them(tmp_path: Path) -> None:
    rows = [row(["Is", 0, "like", 1, "?"], ["No."]), row([2, 3, "Alike?"], ["Yes."])]
    left, right = load(task(tmp_path, rows)).items
    assert own(left) == [("user", ["Is", "0", "like", "1", "?"])]
    assert not right.turns  # media, then text: asked, and kept in the cache, as ever
    assert own(right) == [("user", ["2", "3", "Alike?"])]


def test_controls_change_the_media_in_their_places_and_no_text(tmp_path: Path) -> None:
    rows = [
        row(["Look:", 0], ["I see."], ["What is it?"], ["A frog."]),
        row(["Look:", 1, 2], ["I see."], ["What is it?"], ["A drum."]),
    ]
    declared = task(tmp_path, rows)
    conditions = usual_conditions(declared, load(declared).items, 0).prefixes
    texts = [("assistant", ["I see."]), ("user", ["What is it?"])]
    assert said(conditions[OWN][0][0].messages) == [("user", ["Look:", "0"]), *texts]
    assert said(conditions[BLANK][0][0].messages) == [("user", ["Look:"]), *texts]
    # a medium more than there are places stands in front of the question
    more = [texts[0], ("user", ["2", "What is it?"])]
    assert said(conditions[SHUFFLED][0][0].messages) == [("user", ["Look:", "1"]), *more]
    assert said(conditions[SHUFFLED][1][0].messages) == [("user", ["Look:", "0"]), *texts]
    keys = {prefixes[0].key for condition in conditions.values() for prefixes in condition}
    assert len(keys) == 6


def test_loader_options_of_a_task_leave_those_of_an_item(tmp_path: Path) -> None:
    rows = [row([0, "What is it?"], ["A frog."]), row([1, "What is it?"], ["A drum."])]
    rows[1]["messages"][0]["content"][0]["options"] = {"num_frames": 2, "end": 1.0}
    options = {"image": {"num_frames": 5, "start": 0.5}}
    loaded = load(task(tmp_path, rows, media_options=options))
    assert [item.media[0].options for item in loaded.items] == [
        {"num_frames": 5, "start": 0.5},
        {"num_frames": 2, "start": 0.5, "end": 1.0},
    ]
    plan = plan_task(task(tmp_path, rows, media_options=options), limit=None, seed=0)
    assert plan.settings["media_options"] == options


def test_options_of_a_written_choice_are_those_of_the_row(tmp_path: Path) -> None:
    letters = {"options": ["c", "a", "b"], "name": "a"}  # B by its text, and the letter of c
    rows = [row([0], **letters), row([1], options=["frog", "toad"], name="newt"), row([2], name="frog")]
    kind = Generate(candidates="meta:options")
    wanted = task(tmp_path, rows, target="meta:name", kind=kind, scorer="multiple-choice-v1")
    plan = plan_task(wanted, limit=None, seed=0)
    assert [(item.options, item.right) for item in plan.items] == [(("c", "a", "b"), 1)]
    assert [item.reason for item in plan.bad] == [
        "the right answer 'newt' is no text of the 2 candidates ['frog', 'toad']",
        "has no candidates 'options' in its row; found ['name']",
    ]
    assert (plan.chance, plan.settings["right_by"]) == (1 / 3, "text")


def test_a_written_choice_may_have_the_same_option_twice(tmp_path: Path) -> None:
    twice = row([0], options=["frog", "toad", "frog", "newt"], name="C")
    wanted = {"target": "meta:name", "kind": Generate(candidates="meta:options", right_by="letter")}
    plan = plan_task(task(tmp_path, [twice], scorer="multiple-choice-v1", **wanted), limit=None, seed=0)
    assert (plan.bad, plan.chance) == ((), 0.5)
    answers = [WrittenAnswer(plan.items[0], letter) for letter in "ABCD"]
    scores = [plan.scorer.score([one], condition=OWN, seed=0).items[0].value for one in answers]
    assert scores == [1.0, 0.0, 1.0, 0.0]
    ranked = task(
        tmp_path, [twice], target="meta:name", kind=Choose("meta:options", right_by="letter"), scorer="choice-sum-v1"
    )
    with pytest.raises(ValueError, match="offers 'frog' more than once"):
        plan_task(ranked, limit=None, seed=0)


def test_a_question_without_answer_is_refused(tmp_path: Path) -> None:
    rows = [row([0, "What is it?"], ["A frog."], ["Sure?"]), row([0, "What is it?"])]
    loaded = load(task(tmp_path, rows))
    assert not loaded.items
    assert "the last turn is not the assistant's" in loaded.bad[0].reason
    assert "no right answer" in loaded.bad[1].reason


def test_the_same_answer_in_two_spellings_is_one_candidate(tmp_path: Path) -> None:
    names = ["November", "november.", " November", "cafe\u0301", "café", "drum", "bell"]
    rows = [row([n % 4], [name]) for n, name in enumerate(names)]
    for kind in (Choose("answers"), Choose("sampled", num_candidates=4), Choose("grouped", num_candidates=4)):
        plan = plan_task(task(tmp_path, rows, kind=kind, scorer="choice-sum-v1"), limit=None, seed=0)
        for item, name in zip(plan.items, names, strict=True):
            assert len(item.options) == 4
            assert len({*one_spelling(item.options)}) == 4
            assert (
                one_spelling([item.options[item.right], name])[0] == one_spelling([name, item.options[item.right]])[0]
            )


def test_spellings_that_mean_something_stay_apart() -> None:
    apart = ["a", "A", "C", "C++", "C#", "-5", "5", "3.5", "35", "?", "!"]
    assert one_spelling(apart) == apart
    assert one_spelling(["To exit the menu...", "...to exit the menu.", "Seconds", "seconds"]) == [
        *(["...to exit the menu."] * 2),
        *(["Seconds"] * 2),
    ]
