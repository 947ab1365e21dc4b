"""Decisions in the form of OpenAI's client, from the ranking of candidates."""

from typing import Any

import numpy as np
import openai
import pytest

from omni.model import OmniModel
from omni.samples.messages import Message, Text
from tests.demo.server.serving import MODEL, Running, sent
from tests.tiny import sensor

LABELS = ["frog", "dog", "drum"]
QUESTIONS: list[Any] = [
    {"type": "predicate", "name": "is-frog", "instructions": "is it a frog?"},
    {"type": "choice", "instructions": "what is it?", "choices": [{"value": label} for label in LABELS]},
    {"type": "choice", "instructions": "is it a dog?", "choices": [{"value": True}, {"value": False}]},
    {"type": "score", "instructions": "how loud?", "levels": [{"label": "low"}, {"label": "high"}, {"label": "top"}]},
]


def _softmax(values: np.ndarray) -> np.ndarray:
    shifted = np.exp(values - values.max())
    return shifted / shifted.sum()


def test_answers_are_the_mutual_information_of_candidates_and_media(server: Running, model: OmniModel) -> None:
    decision = server.openai.decisions.create(
        model=MODEL, input=[{"role": "user", "content": [sent("image", 1), sent("sound", 2)]}], questions=QUESTIONS
    )
    predicate, choice, boolean, score = decision.answers

    def expected(question: str, candidates: list[str]) -> np.ndarray:
        media = sensor("image", 1), sensor("sound", 2)
        asked = model.score([Message("user", (*media, Text(question)))], candidates)
        base = model.score([Message("user", (Text(question),))], candidates)
        return _softmax((asked - base).double().numpy())

    assert predicate.name == "is-frog"
    assert predicate.probability == pytest.approx(expected("is it a frog?", ["Yes", "No"])[0], abs=1e-4)
    found = expected("what is it?", LABELS)
    assert [one.value for one in choice.probabilities] == LABELS
    assert np.allclose([one.probability for one in choice.probabilities], found, atol=1e-4)
    assert choice.choice == LABELS[int(found.argmax())]
    assert choice.confidence == pytest.approx(found.max(), abs=1e-4)
    assert [one.value for one in boolean.probabilities] == [True, False]
    levels = expected("how loud?", ["low", "high", "top"])
    assert [(one.label, one.value) for one in score.probabilities] == [("low", 0), ("high", 1), ("top", 2)]
    assert score.score == pytest.approx(float(levels @ np.arange(3)), abs=1e-3)
    assert decision.usage.input_tokens > 0
    assert decision.model == MODEL


def test_texts_are_compared_with_the_question_alone(server: Running, model: OmniModel) -> None:
    asked = {"type": "choice", "instructions": "what is it?", "choices": [{"value": label} for label in LABELS]}
    decision = server.openai.decisions.create(model=MODEL, input="a sound was heard", questions=[asked])
    turn = [Message("user", (Text("a sound was heard"), Text("\n"), Text("what is it?")))]
    scores = model.score(turn, LABELS) - model.score([Message("user", (Text("what is it?"),))], LABELS)
    found = [one.probability for one in decision.answers[0].probabilities]
    assert np.allclose(found, _softmax(scores.double().numpy()), atol=1e-4)
    plain = server.openai.decisions.create(
        model=MODEL, input="a sound was heard", questions=[asked], extra_body={"normalization": "sum"}
    )
    found = [one.probability for one in plain.answers[0].probabilities]
    assert np.allclose(found, _softmax(model.score(turn, LABELS).double().numpy()), atol=1e-4)


def test_descriptions_and_json_are_read(server: Running, model: OmniModel) -> None:
    levels = [{"label": "low", "description": "a frog"}, {"label": "high"}]
    decision = server.openai.decisions.create(
        model=MODEL,
        input=[
            {"role": "developer", "content": "you are tiny"},
            {"role": "user", "content": [{"type": "input_json", "data": {"a": [1, "é"]}}]},
        ],
        questions=[{"type": "score", "instructions": [{"type": "input_text", "text": "how?"}], "levels": levels}],
        extra_body={"normalization": "sum"},
    )
    turn = [
        Message("system", (Text("you are tiny"),)),
        Message("user", (Text('{"a": [1, "é"]}\nhow?\nlow: a frog\nhigh'),)),
    ]
    expected = _softmax(model.score(turn, ["low", "high"]).double().numpy())
    assert decision.answers[0].score == pytest.approx(float(expected[1]), abs=1e-4)


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"questions": []}, "questions"),
        ({"questions": [{"type": "riddle", "instructions": "a"}]}, "predicate"),
        ({"questions": [{"type": "predicate"}]}, "instructions"),
        ({"questions": [{**QUESTIONS[1], "choices": [{"value": "a"}]}]}, "at least 2"),
        ({"questions": [{**QUESTIONS[1], "choices": [{"value": str(one)} for one in range(256)]}]}, "at most 255"),
        ({"questions": [{**QUESTIONS[1], "choices": [{"value": "a"}, {"value": "a"}]}]}, "twice"),
        ({"questions": [{**QUESTIONS[1], "choices": [{"value": "true"}, {"value": True}]}]}, "twice"),
        ({"questions": [{**QUESTIONS[1], "choices": [{"value": " "}, {"value": "a"}]}]}, "empty"),
        ({"questions": [{**QUESTIONS[0], "levels": 5}]}, "levels"),
        ({"questions": [QUESTIONS[0]] * 401}, "400 questions"),
        ({"input": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": ""}]}, "function_call"),
        ({"input": 5}, "input"),
        ({"normalization": "magic"}, "normalization"),
        ({"model": "other"}, "does not exist"),
    ],
)
def test_what_cannot_be_decided_is_refused_in_words(server: Running, parameters: dict[str, Any], word: str) -> None:
    body = {"model": MODEL, "input": "a", "questions": QUESTIONS[:1], **parameters}
    answer = server.http.post("/v1/decisions", json=body)
    assert answer.status_code in (400, 404), answer.text
    assert word in answer.json()["error"]["message"], answer.text


def test_a_joint_space_does_not_decide(server: Running) -> None:
    with pytest.raises(openai.BadRequestError, match="joint space"):
        server.openai.decisions.create(model="tiny-space", input="a", questions=QUESTIONS[:1])
