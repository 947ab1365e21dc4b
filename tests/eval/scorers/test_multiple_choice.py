"""Multiple choice by parsing: unparsed answers are wrong and counted, and items without options are refused."""

from pathlib import Path

import pytest

from eval.items.item import Item
from eval.run.runner import evaluate
from eval.scorers import SCORERS, Scores, WrittenAnswer
from eval.task import Generate
from tests.eval.run.test_evaluation_run import choice, write_manifest
from tests.tiny import tiny_model

QUESTION = "What is this?\nA. a frog\nB. a toad\nC. a bird\nD. a drum"


def asked(number: int, target: str = "B", question: str = QUESTION) -> Item:
    return Item(f"item-{number}", (), question, target, number)


def scored(name: str, texts: list[str], seed: int = 0) -> Scores:
    answers = [WrittenAnswer(asked(number), text) for number, text in enumerate(texts)]
    return SCORERS[name].score(answers, condition="own", seed=seed)


def test_unparsed_answers_are_wrong_and_counted() -> None:
    found = scored("multiple-choice-v1", ["B", "It is a toad, I think.", "(A)", "no idea"])
    assert [item.value for item in found.items] == [1, 1, 0, 0]
    assert [item.note for item in found.items] == ["read as B", "read as B", "read as A", "no option could be read"]
    assert {name: estimate.value for name, estimate in found.estimates.items()} == {"accuracy": 0.5, "unparsed": 0.25}


def test_only_the_variant_that_says_so_guesses_and_by_seed_and_item() -> None:
    texts = ["no idea"] * 400
    for name in ("multiple-choice-v1", "multiple-choice-vlmevalkit-v1"):
        assert scored(name, texts).estimates["accuracy"].value == 0
    random = "multiple-choice-lmms-eval-random-v1"
    first, again, other = (scored(random, texts, seed) for seed in (0, 0, 1))
    assert first.items == again.items != other.items
    assert 0.15 < first.estimates["accuracy"].value < 0.35
    assert first.estimates["unparsed"].value == 1
    assert scored(random, ["no idea", *texts[:9]]).items == first.items[:10]


def test_chance_is_one_in_the_number_of_options() -> None:
    items = [asked(0), asked(1, "(a)", "Which? (a) open (b) closed")]
    assert SCORERS["multiple-choice-v1"].chance(items) == pytest.approx((1 / 4 + 1 / 2) / 2)
    two_right = Item("two", (), QUESTION, "B", 0, references=("B", "a bird"))
    assert SCORERS["multiple-choice-v1"].chance([two_right]) == pytest.approx(2 / 4)


def test_a_task_without_options_is_not_computed_and_says_why(tmp_path: Path, tiny_llm: Path) -> None:
    task = choice(write_manifest(tmp_path), kind=Generate({"max_new_tokens": 2}), scorer="multiple-choice-v1")
    [result] = evaluate(tiny_model(tiny_llm), [task], progress=False).tasks
    assert result.status == "not computed"
    assert "item 'item-0' asks a multiple-choice question with 0 options" in result.reason
    wrong = task.changed(prompt=QUESTION)
    [result] = evaluate(tiny_model(tiny_llm), [wrong], progress=False).tasks
    assert "item 'item-1': the right answer 'A dog.' names none of its options" in result.reason


def test_a_question_with_options_is_scored_by_a_run(tmp_path: Path, tiny_llm: Path) -> None:
    question = "What?\n" + "\n".join(f"{letter}. {text}" for letter, text in zip("ABCDEF", ANSWERS_OF_RUN, strict=True))
    task = choice(
        write_manifest(tmp_path), prompt=question, kind=Generate({"max_new_tokens": 2}), scorer="multiple-choice-v1"
    )
    [result] = evaluate(tiny_model(tiny_llm), [task], progress=False).tasks
    assert result.status == "computed", result.reason
    assert result.chance == pytest.approx(1 / 6)
    assert set(result.scores["own"]) == {"accuracy", "unparsed"}


ANSWERS_OF_RUN = ["A frog.", "A dog.", "A drum.", "A bell.", "A picture.", "A sound."]
