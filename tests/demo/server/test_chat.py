"""Chat completions, asked for by OpenAI's own client and by plain HTTP."""

import json
import math
import threading
import time
from typing import Any

import httpx
import openai
import pytest

from demo.server.limits import Limits
from omni.model import OmniModel
from omni.samples.messages import Message, Text
from tests.demo.server.serving import MODEL, Running, asked, sent, serving
from tests.tiny import sensor

LONG = {"max_tokens": 60, "extra_body": {"min_tokens": 60}}  # a tiny model says anything, for as long as one likes


def _alone(model: OmniModel, *media: Any, text: str = "what is this?", **options: Any) -> str:
    return model.generate([Message("user", (*media, Text(text)))], **{"max_new_tokens": 12, **options})


def test_an_answer_is_that_of_the_model_alone(server: Running, model: OmniModel) -> None:
    parts = [sent("image", 1), sent("sound", 2, 9)]
    answer = server.openai.chat.completions.create(model=MODEL, messages=asked(*parts), max_completion_tokens=12)
    alone = _alone(model, sensor("image", 1), sensor("sound", 2, 9))
    assert answer.choices[0].message.content.strip() == alone
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.model == MODEL
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 1 <= usage.completion_tokens <= 12
    assert usage.prompt_tokens_details.model_extra["media_tokens"][0] == 3  # a resampler of three queries


def test_a_system_message_and_earlier_turns_count(server: Running, model: OmniModel) -> None:
    turns = [
        {"role": "developer", "content": "you are a frog"},
        {"role": "user", "content": [sent("image", 1), {"type": "text", "text": "what is this?"}]},
        {"role": "assistant", "content": "a dog"},
        {"role": "user", "content": "is it?"},
    ]
    answer = server.openai.chat.completions.create(model=MODEL, messages=turns, max_tokens=12)
    same = [
        Message("system", (Text("you are a frog"),)),
        Message("user", (sensor("image", 1), Text("what is this?"))),
        Message("assistant", (Text("a dog"),)),
        Message("user", (Text("is it?"),)),
    ]
    assert answer.choices[0].message.content.strip() == model.generate(same, max_new_tokens=12)


def test_a_stream_is_the_same_answer_in_parts(server: Running) -> None:
    question = {"model": MODEL, "messages": asked(sent("image", 3)), "max_tokens": 12}
    whole = server.openai.chat.completions.create(**question)
    chunks = [*server.openai.chat.completions.create(**question, stream=True, stream_options={"include_usage": True})]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_the_mark_that_all_clients_wait_for(server: Running) -> None:
    answer = server.chat(messages=asked(), max_tokens=2, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.strip().split("\n\n")
    assert all(event.startswith("data: ") for event in events)
    assert events[-1] == "data: [DONE]"
    assert "usage" not in json.loads(events[0].removeprefix("data: "))


def test_answers_of_chance_are_the_same_for_the_same_seed(server: Running) -> None:
    def several(seed: int) -> list[str | None]:
        answer = server.openai.chat.completions.create(
            model=MODEL, messages=asked(sent("image", 1)), max_tokens=12, temperature=1.5, seed=seed, n=3
        )
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        return [choice.message.content for choice in answer.choices]

    several(2**63 - 1)
    several(-(2**63))
    first = several(1)
    assert several(1) == first
    assert several(2) != first
    assert len({*first}) > 1  # each choice has a seed of its own


def test_several_answers_come_in_one_stream(server: Running) -> None:
    question: dict[str, Any] = {"model": MODEL, "messages": asked(), "max_tokens": 8, "seed": 5, "n": 2, "top_p": 0.9}
    whole = server.openai.chat.completions.create(**question)
    texts = ["", ""]
    for chunk in server.openai.chat.completions.create(**question, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]


def test_an_answer_ends_before_a_stop(server: Running) -> None:
    question = {"model": MODEL, "messages": asked(sent("image", 3)), **LONG}
    text = server.openai.chat.completions.create(**question).choices[0].message.content
    stop = text[5:8]
    cut = server.openai.chat.completions.create(**question, stop=[stop, "never said"]).choices[0]
    assert cut.message.content == text[: text.index(stop)]
    assert cut.finish_reason == "stop"


def test_likelihoods_are_those_of_the_tokens(server: Running) -> None:
    answer = server.openai.chat.completions.create(
        model=MODEL, messages=asked(sent("sound", 1)), max_tokens=6, logprobs=True, top_logprobs=3
    )
    tokens = answer.choices[0].logprobs.content
    assert (
        bytes(byte for token in tokens for byte in token.bytes)
        .decode(errors="replace")
        .startswith(answer.choices[0].message.content)
    )
    for token in tokens:
        assert len(token.top_logprobs) == 3
        assert token.logprob == token.top_logprobs[0].logprob  # greedy: the likeliest
        assert sum(math.exp(one.logprob) for one in token.top_logprobs) <= 1 + 1e-5
    streamed = server.openai.chat.completions.create(
        model=MODEL, messages=asked(sent("sound", 1)), max_tokens=6, logprobs=True, top_logprobs=3, stream=True
    )
    again = [token for chunk in streamed for token in (chunk.choices[0].logprobs or _NOTHING).content or []]
    assert [token.token for token in again] == [token.token for token in tokens]


class _NOTHING:
    content = None


def test_penalties_change_an_answer(server: Running) -> None:
    question = {"model": MODEL, "messages": asked(sent("image", 3)), **LONG}
    plain = server.openai.chat.completions.create(**question).choices[0].message.content
    changed = server.openai.chat.completions.create(**question, frequency_penalty=2.0, presence_penalty=2.0)
    assert changed.choices[0].message.content != plain


def test_many_clients_at_once_get_the_answers_that_they_would_get_alone(server: Running, model: OmniModel) -> None:
    found: dict[int, str] = {}

    def ask(seed: int) -> None:
        answer = server.openai.chat.completions.create(
            model=MODEL, messages=asked(sent(("image", "sound")[seed % 2], seed, 4 + seed)), max_tokens=12
        )
        found[seed] = answer.choices[0].message.content.strip()

    threads = [threading.Thread(target=ask, args=[seed]) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {seed: _alone(model, sensor(("image", "sound")[seed % 2], seed, 4 + seed)) for seed in range(12)}


def test_a_client_that_goes_away_frees_its_place(server: Running) -> None:
    before = server.metric("omni_batch_cancelled_total")
    question = {"model": MODEL, "messages": asked(), "max_tokens": 60, "min_tokens": 60, "n": 8}
    for is_stream in (False, True):
        with pytest.raises(httpx.TimeoutException):
            server.http.post("/v1/chat/completions", json={**question, "stream": is_stream}, timeout=0.02)
    deadline = time.monotonic() + 20
    while server.metric("omni_batch_running") or server.metric("omni_requests_in_flight"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert server.metric("omni_batch_cancelled_total") > before


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "plain text"),
        ({"modalities": ["text", "audio"]}, "answers are text"),
        ({"logit_bias": {"5": 100}}, "logit_bias"),
        ({"reasoning_effort": "high"}, "reasoning"),
        ({"max_tokens": 65}, "at most 64"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 9}, "at most 8"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_logprobs": 3}, "logprobs: true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream: true"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"temprature": 1}, "Unrecognized request argument supplied: temprature"),
        ({"num_beams": 2, "temperature": 1}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "tool", "content": "5"}]}, "calls no tools"),
        ({"messages": [{"role": "user", "content": None}]}, "content"),
        ({"messages": [{"role": "user", "content": [{"type": "smell", "data": "AAAA"}]}]}, "smell"),
        ({"messages": [{"role": "user", "content": "a" * 4000}]}, "context"),
        ({"model": "other"}, "does not exist"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(server: Running, parameters: dict[str, Any], word: str) -> None:
    answer = server.chat(**{"messages": asked(), **parameters})
    assert answer.status_code == (404 if "model" in parameters else 400), answer.text
    error = answer.json()["error"]
    assert word in error["message"], error
    assert {*error} == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"user": "me", "metadata": {"a": "b"}, "store": False, "service_tier": "auto", "seed": 3},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": True, "response_format": {"type": "text"}},
        {"modalities": ["text"], "logit_bias": {}, "temperature": None, "stop": None, "top_k": -1},
        {"safety_identifier": "a", "prompt_cache_key": "b", "verbosity": "medium", "reasoning_effort": "none"},
    ],
)
def test_what_changes_no_answer_is_taken(server: Running, parameters: dict[str, Any]) -> None:
    plain = server.chat(messages=asked(), max_tokens=4).json()["choices"]
    answer = server.chat(messages=asked(), max_tokens=4, **parameters)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"] == plain


def test_a_full_queue_sends_clients_away(model: OmniModel) -> None:
    limits = Limits(max_running=1, max_waiting=1, max_tokens=400)
    with serving(model, limits=limits) as server:
        statuses: list[int] = []
        headers: list[str] = []

        def ask() -> None:
            answer = server.chat(messages=asked(), max_tokens=200, min_tokens=200)
            statuses.append(answer.status_code)
            if answer.status_code == 429:
                headers.append(answer.headers["retry-after"])

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {*statuses} == {200, 429}, statuses
    assert all(int(seconds) >= 1 for seconds in headers)


def test_a_request_has_a_time_limit(model: OmniModel) -> None:
    with serving(model, limits=Limits(max_wait_s=0.05, max_tokens=400)) as server:
        with pytest.raises(openai.APIStatusError) as failed:
            server.openai.chat.completions.create(
                model=MODEL, messages=asked(), max_tokens=400, extra_body={"min_tokens": 400}
            )
        assert failed.value.status_code == 408
        question = {"messages": asked(), "max_tokens": 400, "min_tokens": 400, "stream": True}
        streamed = server.chat(**question).text
        assert '"code":"timeout"' in streamed.replace(" ", "")
