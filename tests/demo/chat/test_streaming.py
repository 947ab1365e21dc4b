"""The answer comes a token at a time, in whole characters of any script, and one at a time."""

import itertools
import threading
import time
from pathlib import Path

import pytest
import torch

from demo.chat.streaming import _AnswerStreamer, stream_answer
from omni.encoders.base import Features
from omni.samples.messages import Message, Text
from tests.tiny import SensorEncoder, sensor, tiny_model, tiny_tokenizer


@pytest.mark.parametrize("text", ["蛙です", "カエル", "กบ ตัว", "лягушка", "a 🐸👩‍👩‍👧", "ضفدع"])
def test_characters_of_several_tokens_appear_when_they_are_whole(text: str) -> None:
    tokenizer = tiny_tokenizer()
    streamer = _AnswerStreamer(tokenizer)
    streamer.put(torch.zeros(1, 0, dtype=torch.long))  # the prompt
    for token in tokenizer(text)["input_ids"]:
        streamer.put(torch.tensor([token]))
    streamer.end()
    shown = list(iter(streamer.answers.get, None))
    assert list(dict.fromkeys(shown)) == list(dict.fromkeys(text[:end].strip() for end in range(len(text) + 1)))


def test_the_last_answer_is_what_the_model_generates(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    messages = [Message("user", (sensor("image", 0), Text("what is this?")))]
    answers = list(stream_answer(model, messages, max_new_tokens=20))
    assert answers[-1] == model.generate(messages, max_new_tokens=20)
    assert len(answers) > 5
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(answers))


class _Watched(SensorEncoder):
    """Counts how many threads encode at once."""

    inside, most = 0, 0

    def encode(self, inputs: dict[str, torch.Tensor]) -> Features:
        _Watched.inside += 1
        _Watched.most = max(_Watched.most, _Watched.inside)
        time.sleep(0.2)
        _Watched.inside -= 1
        return super().encode(inputs)


def test_an_answer_waits_for_one_that_was_stopped_while_it_read_its_media(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    model.modality("image").encoder = _Watched()
    messages = [Message("user", (sensor("image", 0), Text("what is this?")))]
    answers: list[list[str]] = [[], []]

    def answer(into: list[str]) -> None:
        into += stream_answer(model, messages, max_new_tokens=4)

    threads = [threading.Thread(target=answer, args=(into,)) for into in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _Watched.most == 1
    assert answers[0] == answers[1] != []
