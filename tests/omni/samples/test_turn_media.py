"""Media in keys of a turn (Ollama's `images`) are media of that turn: at its marks, or else at its head."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omni.samples.messages import Media, SampleError, parse_messages, parse_sample
from tests.omni.samples.test_places import shown

ANSWER = {"role": "assistant", "content": "Kane."}


def user(content: Any = "Who?", **keys: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **keys}


def read(*turns: dict[str, Any], **keys: Any) -> list[str]:
    return shown(parse_sample({"id": "r", "messages": [*turns, ANSWER], **keys}))[: len(turns)]


def reason(*turns: dict[str, Any], **keys: Any) -> str:
    with pytest.raises(SampleError) as caught:
        read(*turns, **keys)
    return caught.value.reason


@pytest.mark.parametrize(
    ("turn", "read_as"),
    [
        (user(images=["a.png"]), "<image:a.png>Who?"),
        (user("", images=["a.png"]), "<image:a.png>"),
        (user(image="a.png"), "<image:a.png>Who?"),
        (user(images=["a.png"], audio="x.wav"), "<image:a.png><sound:x.wav>Who?"),
        (user("<image> or <image>?", images=["a.png", "b.png"]), "<image:a.png> or <image:b.png>?"),
        (user("<image>\nWhat?", video="v.mp4"), "<video:v.mp4>What?"),
        (user("<image>\nWhat?", images=["a.png"], audio="x.wav"), "<sound:x.wav><image:a.png>What?"),
        (user([{"type": "text", "text": "Who is "}, {"type": "image"}], images=["a.png"]), "Who is <image:a.png>"),
        (user(["Who?"], images=["a.png", None]), "<image:a.png>Who?"),
        ({"from": "human", "value": "Who?", "image": "a.png"}, "<image:a.png>Who?"),
        # a picture that the turn holds already may be named once more
        (user([{"type": "image", "path": "a.png"}, "Who?"], images=["a.png"]), "<image:a.png>Who?"),
        (user([{"type": "image", "path": "a.png"}, "Who?"], audio="x.wav"), "<sound:x.wav><image:a.png>Who?"),
        (user(images=["a.png", "name without ending"]), "<image:a.png><image:name without ending>Who?"),
        # words and nothing are no media
        (user(images=None, audio="", video=[], depth=3, speech="a man talks"), "Who?"),
        (user("What of <image> in HTML?", images=None), "What of <image> in HTML?"),
        (user(thinking="a.png", tool_calls=[]), "Who?"),
    ],
)
def test_media_of_a_turn_take_its_places_or_its_head(turn: dict[str, Any], read_as: str) -> None:
    assert read(turn) == [read_as]


def test_each_turn_has_its_own_media_and_those_of_the_row_go_elsewhere() -> None:
    said = {"role": "assistant", "content": "Look: <image> here.", "images": ["c.png"]}
    turns = [user("<image>Who?", images=["a.png"]), said, user("And <video>\n<image>?", image="b.png")]
    assert read(*turns, videos=["v.mp4"]) == [
        "<image:a.png>Who?",
        "Look: <image:c.png> here.",
        "And <video:v.mp4><image:b.png>?",
    ]
    assert read(user(images=["a.png"]), images=["a.png"]) == ["<image:a.png>Who?"]
    assert read(user("<image>\nWho?", audio="x.wav"), images=["a.png"]) == ["<sound:x.wav><image:a.png>Who?"]
    assert read(user([{"type": "image"}], audio="x.wav"), images=["a.png"]) == ["<sound:x.wav><image:a.png>"]
    pair = {"user": "Who?", "assistant": "Kane.", "image": "a.png"}
    assert shown(parse_sample({"id": 1, "messages": [pair]})) == ["<image:a.png>Who?", "Kane."]
    row = {"id": 1, "messages": [user(camera="a.png")]}
    assert parse_sample(row, media_keys={"camera": "thermal"}).media == (Media("thermal", path="a.png"),)


@pytest.mark.parametrize(
    ("turn", "keys", "named"),
    [
        (user("<image>Who?", images=["a.png", "b.png"]), {}, ["1 place(s)", "row has 2", "message 2", "image b.png"]),
        (user("Is it <image> or <image>?", images=["a.png"]), {}, ["2 place(s)", "row has 1", "<image> in message 2"]),
        (user("<video>\n<image>", images=["a.png"]), {}, ["1 place(s) for video items", "<video> in message 2"]),
        (user("<video>\n<image>", images=["a.png"]), {"videos": []}, ["1 place(s) for video items"]),
        (user("Is <video> ok?", images=["a.png"]), {"videos": []}, ["1 place(s) for video items", "row has 0"]),
        (user("<image>\nWho?", images=None), {}, ["1 place(s) for image items, but the row has 0"]),
        (user(images=["a.png"]), {"images": ["b.png"]}, ["0 place(s)", "image b.png"]),
        (user([{"type": "image", "path": "a.png"}], images=["a.png"] * 2), {}, ["message 2", "1 place(s)", "has 2"]),
        (user(images=["https://x.org/a.png"]), {}, ["'images' of message 2", "nothing is downloaded"]),
        (user(3, images=["a.png"]), {}, ["'content' of message 2"]),
        ({"content": "Who?", "images": ["a.png"]}, {}, ["message 2 has the unknown role None"]),
    ],
)
def test_mismatches_of_a_turn_are_named(turn: dict[str, Any], keys: dict[str, Any], named: list[str]) -> None:
    found = reason(user("Hi"), turn, **keys)
    assert all(part in found for part in named), found


def test_a_picture_in_base64_is_read_however_small_it_is() -> None:
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    assert len(text) < 200
    (message,) = parse_messages([user(images=[text])])
    assert [item.data for item in message.media] == [buffer.getvalue()]


def test_conversations_without_a_row_have_media_in_keys_too() -> None:
    picture, sound = Image.new("RGB", (2, 2)), (np.zeros(80, np.float32), 8000)
    (message,) = parse_messages(
        [user("<image>\nand <audio>?", images=[picture], audio=sound)], modalities=["image", "speech"]
    )
    assert message.media == (Media("image", data=picture), Media("speech", data=sound[0], sampling_rate=8000))
    assert message.text == "and ?"
    with pytest.raises(SampleError, match="local files are not allowed"):
        parse_messages([user(images=["/etc/passwd.png"])], allow_paths=False)
