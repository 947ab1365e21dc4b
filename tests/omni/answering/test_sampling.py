"""How tokens are chosen: refusals, OpenAI's and transformers' definitions, own random numbers, log-likelihoods."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor, TopKLogitsWarper, TopPLogitsWarper

from omni.answering import Answering, Sampling
from omni.answering.choosing import Chooser, choose, sample
from omni.model import OmniModel
from omni.samples.messages import Message, Text
from tests.omni.answering.conversations import attending_model, mixed_model
from tests.tiny import sensor


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0, but must be a whole number from 1 on"),
        ({"max_new_tokens": True}, "max_new_tokens is True"),
        ({"min_new_tokens": 9, "max_new_tokens": 3}, "min_new_tokens is 9, more than max_new_tokens, which is 3"),
        ({"temperature": -1}, "temperature is -1, but must be a number 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0}, "top_p is 0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"top_k": -1}, "top_k is -1"),
        ({"repetition_penalty": 0}, "repetition_penalty is 0"),
        ({"presence_penalty": 3}, "presence_penalty is 3, but must be a number from -2 to 2"),
        ({"frequency_penalty": "1"}, "frequency_penalty is '1'"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"stop": "end"}, "stop is 'end', but must be a sequence"),
        ({"stop": ("",)}, "none of them empty"),
        ({"top_logprobs": 21}, "top_logprobs is 21, but must be a whole number from 0 to 20"),
        ({"num_beams": 2, "temperature": 1}, "temperature does nothing in a beam search"),
        ({"num_beams": 2, "top_logprobs": 0}, "top_logprobs does nothing"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        Sampling(**options)


def test_a_repetition_penalty_is_that_of_transformers() -> None:
    logits, seen = torch.randn(1, 30), [3, 5, 3]
    chooser = Chooser(Sampling(repetition_penalty=1.7), [0])
    for token_id in seen:
        chooser.note(token_id)
    found = logits[0].clone()
    chooser.penalize(found)
    expected = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([seen]), logits.clone())
    torch.testing.assert_close(found, expected[0])


def test_openais_penalties_count_tokens_of_the_answer() -> None:
    chooser = Chooser(Sampling(presence_penalty=0.5, frequency_penalty=0.25, min_new_tokens=4), [0, 9])
    for token_id in (3, 5, 3):
        chooser.note(token_id)
    found = torch.zeros(10)
    chooser.penalize(found)
    assert found[[3, 5, 7]].tolist() == [-1.0, -0.75, 0.0]
    assert found[[0, 9]].tolist() == [-torch.inf] * 2  # the answer is still too short
    chooser.note(7)
    again = torch.zeros(10)
    chooser.penalize(again)
    assert again[0] == 0


@pytest.mark.parametrize("options", [{}, {"top_k": 4}, {"top_p": 0.6}, {"top_k": 5, "top_p": 0.5}], ids=str)
@pytest.mark.parametrize("temperature", [0.7, 2.0])
def test_tokens_are_drawn_as_often_as_transformers_says(options: dict[str, Any], temperature: float) -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0, -1.0, 2.5, 0.0, 3.0, -4.0]])
    expected = logits / temperature
    if "top_k" in options:
        expected = TopKLogitsWarper(options["top_k"])(torch.zeros(1, 0), expected)
    if "top_p" in options:
        expected = TopPLogitsWarper(options["top_p"])(torch.zeros(1, 0), expected)
    count = 4000
    uniforms = [(i + 0.5) / count for i in range(count)]
    found = sample(logits.expand(count, -1), [Sampling(temperature=temperature, **options)] * count, uniforms)
    shares = found.bincount(minlength=8) / count
    torch.testing.assert_close(shares, expected.softmax(-1)[0], atol=1e-3, rtol=0)


def test_extreme_numbers_draw_a_token_that_is_possible() -> None:
    logits = torch.tensor([[0.0, 5.0, -torch.inf, 4.0, -torch.inf]])
    for temperature in (1e-30, 1.0, 1e6):
        for uniform in (0.0, 0.5, 1 - 2**-53):
            (token_id,) = sample(logits, [Sampling(temperature=temperature)], [uniform]).tolist()
            assert token_id in ({1} if temperature < 1 else {0, 1, 3})


def test_rows_whose_logits_are_no_numbers_are_told_apart() -> None:
    logits = torch.randn(4, 9)
    logits[1, 3], logits[2, 0] = torch.nan, torch.inf
    logits[3, 2] = -torch.inf
    found = choose(logits, [Chooser(Sampling(), [0]) for _ in range(4)])
    assert [chosen is None for chosen in found] == [False, True, True, False]


@pytest.fixture(scope="module")
def model(tiny_llm: Path) -> OmniModel:
    return mixed_model(tiny_llm)


def question(number: int) -> list[Message]:
    return [Message("user", (sensor("image", number % 3, 4 + number), Text("what is this?" * (1 + number % 4))))]


OPTIONS = [
    {"temperature": 1.0},
    {"temperature": 0.8, "top_p": 0.9},
    {"temperature": 1.5, "top_k": 7, "repetition_penalty": 1.3},
    {"temperature": 1.0, "presence_penalty": 1.0, "frequency_penalty": 0.5, "top_logprobs": 3},
    {"repetition_penalty": 1.5, "top_logprobs": 1},
    {"frequency_penalty": 2.0},
]


def test_a_seed_gives_the_same_answer_alone_and_among_others(model: OmniModel) -> None:
    samplings = [Sampling(max_new_tokens=12, seed=number, **one) for number, one in enumerate(OPTIONS * 2)]
    with Answering(model, max_rows=16) as answering:
        alone = [answering.submit(question(i), one).text() for i, one in enumerate(samplings)]
        among = [answering.submit(question(i), one) for i, one in enumerate(samplings)]
        assert [answer.text() for answer in among] == alone
        unseeded = [answering.submit(question(0), Sampling(temperature=2.0)) for _ in range(4)]
        assert len({answer.text() for answer in unseeded}) > 1


def test_a_greedy_answer_with_a_penalty_is_that_of_generate(model: OmniModel) -> None:
    with Answering(model) as answering:
        answers = [answering.submit(question(i), Sampling(max_new_tokens=16, repetition_penalty=1.8)) for i in range(4)]
        found = [answer.text() for answer in answers]
    assert found == [model.generate(question(i), max_new_tokens=16, repetition_penalty=1.8) for i in range(4)]


@pytest.mark.parametrize("build", [mixed_model, attending_model])
def test_log_likelihoods_are_those_of_the_whole_read_again(build: Any, tiny_llm: Path) -> None:
    model = build(tiny_llm)
    sampling = Sampling(max_new_tokens=8, temperature=1.2, repetition_penalty=1.2, seed=4, top_logprobs=5)
    with Answering(model) as answering:
        answers = [answering.submit(question(i), sampling) for i in range(4)]
        found = [[token for piece in answer for token in piece.tokens] for answer in answers]
    for number, tokens in enumerate(found):
        example = model.prepare(question(number))
        ids = torch.tensor([token.token_id for token in tokens])
        with torch.no_grad():
            (embedded,) = model.embed_examples([example])
            longer = type(example)(
                example.id,
                torch.cat([example.token_ids, ids]),
                torch.cat([torch.full_like(example.token_ids, -100), ids]),
                example.media,
                example.length + len(ids),
            )
            (whole,) = model.embed_examples([longer])
            logits = model.run(model.batched([whole], False), 0).logits[0].float().log_softmax(-1)
        length = len(embedded.labels)
        for place, token in enumerate(tokens):
            expected = logits[length - 1 + place]
            assert token.logprob == pytest.approx(float(expected[token.token_id]), abs=1e-4)
            values, top = expected.topk(5)
            assert [value for *_, value in token.top] == pytest.approx(values.tolist(), abs=1e-4)
            assert {token_id for token_id, *_ in token.top} == {*top.tolist()}
        assert Counter(len(token.top) for token in tokens) == {5: len(tokens)}
