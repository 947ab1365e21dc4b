"""Embeddings of texts and media, from a joint space and from a language model."""

import base64
from typing import Any

import numpy as np
import openai
import pytest
import torch
from torch.nn.functional import normalize

from omni.model import OmniModel
from omni.samples.messages import Message, Text
from tests.demo.server.serving import MODEL, SPACE, Running, asked, npy, sent
from tests.tiny import recording, sensor
from tests.tiny_space import DIM, tiny_space


def rows(answer: Any) -> np.ndarray:
    assert [one.index for one in answer.data] == [*range(len(answer.data))]
    return np.array([one.embedding for one in answer.data], np.float32)


def test_texts_are_those_of_the_space(server: Running) -> None:
    expected = tiny_space().embed({"text": ["a frog", "a drum"]})["text"]
    found = server.openai.embeddings.create(model=SPACE, input=["a frog", "a drum"])  # the client asks for base64
    assert np.allclose(rows(found), expected, atol=1e-6)
    one = server.openai.embeddings.create(model=SPACE, input="a drum", encoding_format="float", dimensions=DIM)
    assert np.allclose(rows(one), expected[1:], atol=1e-6)
    raw = server.http.post("/v1/embeddings", json={"model": SPACE, "input": "a drum", "encoding_format": "base64"})
    numbers = np.frombuffer(base64.b64decode(raw.json()["data"][0]["embedding"]), "<f4")
    assert np.allclose(numbers, expected[1], atol=1e-6)


def test_media_come_as_parts_as_data_uris_and_as_messages(server: Running) -> None:
    expected = tiny_space().embed({"image": [sensor("image", 1), sensor("image", 2)]})["image"]
    parts = server.openai.embeddings.create(
        model=SPACE, input=[sent("image", 1), sent("image", 2)], encoding_format="float"
    )
    assert np.allclose(rows(parts), expected, atol=1e-6)
    uris = [f"data:application/octet-stream;base64,{npy(recording(seed))}" for seed in (1, 2)]
    infinity = server.openai.embeddings.create(model=SPACE, input=uris, extra_body={"modality": "image"})
    assert np.allclose(rows(infinity), expected, atol=1e-6)
    turn = [{"role": "user", "content": [sent("image", 2)]}]
    vllm = server.http.post("/v1/embeddings", json={"model": SPACE, "messages": turn})
    assert np.allclose(vllm.json()["data"][0]["embedding"], expected[1], atol=1e-6)


def test_several_parts_are_one_embedding_between_them(server: Running) -> None:
    space = tiny_space()
    image = space.embed({"image": [sensor("image", 1)]})["image"]
    text = space.embed({"text": ["a frog"]})["text"]
    answer = server.openai.embeddings.create(model=SPACE, input=[[sent("image", 1), "a frog"], "a frog"])
    assert np.allclose(rows(answer), torch.cat([normalize(image + text, dim=-1), text]), atol=1e-6)


def test_a_language_model_embeds_conversations(server: Running, model: OmniModel) -> None:
    turn = [Message("user", (sensor("image", 1), Text("what is this?")))]
    expected = normalize(model.embed([turn]), dim=-1)
    body = {"model": MODEL, "messages": asked(sent("image", 1))}
    answer = server.http.post("/v1/embeddings", json=body).json()
    assert np.allclose(answer["data"][0]["embedding"], expected[0], atol=1e-5)
    assert answer["usage"]["prompt_tokens"] > 5
    raw = server.http.post("/v1/embeddings", json={**body, "normalize": False, "prompt": "in one word:"}).json()
    told = model.embed([turn], "in one word:")
    assert np.allclose(raw["data"][0]["embedding"], told[0], atol=1e-4)
    texts = server.openai.embeddings.create(model=MODEL, input=["a frog", "a dog"])
    each = normalize(model.embed([[Message("user", (Text(text),))] for text in ("a frog", "a dog")]), dim=-1)
    assert np.allclose(rows(texts), each, atol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({}, "either 'input' or 'messages'"),
        ({"input": "a", "messages": asked()}, "either"),
        ({"input": []}, "1 to 256"),
        ({"input": ["a"] * 257}, "1 to 256"),
        ({"input": ["a", " "]}, "input[1]"),
        ({"input": [1, 2, 3]}, "token ids"),
        ({"input": [[1, 2], [3]]}, "token ids"),
        ({"input": {"type": "smell", "data": "AAAA"}}, "smell"),
        ({"input": "a", "dimensions": 4}, "not trained to be cut"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "modality": "image"}, "data URI"),
        ({"input": "a", "prompt": "b"}, "no prompt"),
        ({"input": "a", "model": "other"}, "does not exist"),
        ({"messages": [*asked(), {"role": "assistant", "content": "a"}]}, "one turn"),
    ],
)
def test_what_cannot_be_embedded_is_refused_in_words(server: Running, parameters: dict[str, Any], word: str) -> None:
    answer = server.http.post("/v1/embeddings", json={"model": SPACE, **parameters})
    assert answer.status_code in (400, 404), answer.text
    assert word in answer.json()["error"]["message"]


def test_a_joint_space_does_not_chat(server: Running) -> None:
    with pytest.raises(openai.BadRequestError, match="joint space"):
        server.openai.chat.completions.create(model=SPACE, messages=asked())
