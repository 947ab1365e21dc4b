"""Answers in a running batch are those of each conversation alone, whatever else is asked at the same time."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from omni.answering import Answer, Answering
from omni.answering.jobs import Question
from omni.answering.stepping import Stepper
from omni.model import OmniModel
from tests.omni.answering.conversations import (
    alone,
    attending_model,
    lora_model,
    mixed_model,
    model_of,
    random_conversation,
    random_limits,
)

MODELS: dict[str, Callable[[Path], OmniModel]] = {
    "media in the sequence": mixed_model,
    "media in the layers": attending_model,
    "a LoRA for each modality": lora_model,
}
# whether they are batched: a window that is full in the midst of an answer, a state, own positions, a switch by length
ARCHITECTURES = {
    "mistral": True,
    "gemma2": True,
    "gpt_neo": True,
    "mamba": False,
    "rwkv": False,
    "recurrent_gemma": False,
    "phi3": False,
}


@pytest.mark.parametrize("name", MODELS)
def test_thirty_conversations_that_come_at_random_times_are_answered_as_alone(name: str, tiny_llm: Path) -> None:
    model, random = MODELS[name](tiny_llm), Random(name)
    asked = [(random_conversation(random, [*model.modalities]), random_limits(random)) for _ in range(30)]
    expected = [alone(model, *one) for one in asked]
    with Answering(model, max_rows=7, max_tokens=900) as answering:
        assert answering.batches
        answers = []
        for messages, sampling in asked:
            answers.append(answering.submit(messages, sampling))
            time.sleep(random.choice([0, 0, 0.01]))
        assert [answer.text() for answer in answers] == expected
        answering.call(lambda: None)  # a step later
        found = answering.statistics()
    assert (found.answered, found.running, found.waiting, found.cache_tokens) == (30, 0, 0, 0)
    assert found.steps < found.answer_tokens  # they were together
    assert found.answer_tokens == sum(answer.finished().answer_tokens for answer in answers)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_architectures_answer_as_alone(name: str, tmp_path: Path) -> None:
    model, random = model_of(name, tmp_path), Random(3)
    asked = [(random_conversation(random, ["image"]), random_limits(random)) for _ in range(6)]
    expected = [alone(model, *one) for one in asked]
    with Answering(model) as answering:
        assert answering.batches == ARCHITECTURES[name]
        answers = [answering.submit(*one) for one in asked]
        assert [answer.text() for answer in answers] == expected


@pytest.mark.parametrize("seed", range(9))
def test_rows_that_join_and_leave_in_any_order_never_mix(seed: int, tiny_llm: Path) -> None:
    random = Random(seed)
    model = [mixed_model, attending_model, lora_model][seed % 3](tiny_llm)
    asked = [(random_conversation(random, [*model.modalities]), random_limits(random)) for _ in range(8)]
    expected = [alone(model, *one) for one in asked]
    stepper, questions, most = Stepper(model, 5, 700, lambda: None), [], 0
    for messages, sampling in asked:
        question = Question(messages, sampling=sampling, answer=Answer(lambda: None))
        question.example = model.prepare(messages)
        questions.append(question)
    waiting = [*questions]
    while waiting or stepper.num_rows:
        count = min(stepper.num_admissible(waiting), random.randint(0, 3))
        stepper.admit(waiting[:count])
        del waiting[:count]
        for _ in range(random.randint(0, 4)):
            stepper.step()
            most = max(most, stepper.num_cache_tokens)
        assert (stepper.num_cache_bytes == 0) == (stepper.num_rows == 0)
    stepper.close()
    assert [question.answer.text() for question in questions] == expected
    assert 0 < most <= 700
