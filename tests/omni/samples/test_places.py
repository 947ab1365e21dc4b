"""Media beside the messages stand where marks and empty parts say; a mark is a word where the row has no medium."""

from pathlib import Path
from typing import Any

import pytest

from omni.samples.messages import Media, Sample, SampleError, parse_sample


def shown(sample: Sample) -> list[str]:
    """Each turn as text, with media as `<modality:file name>`."""
    return [
        "".join(f"<{part.modality}:{part.path}>" if isinstance(part, Media) else part.text for part in message.content)
        for message in sample.messages
    ]


def read(question: Any, answer: str = "Kane.", **keys: Any) -> list[str]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return shown(parse_sample({"id": "r", "messages": turns, **keys}))


def reason(question: Any, answer: str = "Kane.", **keys: Any) -> str:
    with pytest.raises(SampleError) as caught:
        read(question, answer, **keys)
    return caught.value.reason


@pytest.mark.parametrize(
    ("question", "keys", "read_as"),
    [
        ("<image>Who?", {"images": ["a.jpg"]}, "<image:a.jpg>Who?"),
        ("<image>Who?", {"image": "a.jpg"}, "<image:a.jpg>Who?"),
        ("<image>\nand <image>?", {"images": ["a.jpg", "b.jpg"]}, "<image:a.jpg>and <image:b.jpg>?"),
        ("<video>\nWhat?", {"videos": ["v.mp4"]}, "<video:v.mp4>What?"),
        ("Listen: <audio>", {"audios": ["x.wav"]}, "Listen: <sound:x.wav>"),
        ("<audio>Say it.", {"speech": "x.wav"}, "<speech:x.wav>Say it."),
        ("<image>\nWhat happens?", {"video": "v.mp4"}, "<video:v.mp4>What happens?"),
        ("<image><audio>?", {"audios": ["x.wav"], "images": ["a.jpg"]}, "<image:a.jpg><sound:x.wav>?"),
        ("<video>\nWhat?", {"video": ["1.jpg", "2.jpg"]}, "<video:['1.jpg', '2.jpg']>What?"),
        ("<video>\nWhat?", {"videos": [["1.jpg", "2.jpg"]]}, "<video:['1.jpg', '2.jpg']>What?"),
        ([{"type": "image"}, {"type": "text", "text": "Who?"}], {"images": ["a.jpg"]}, "<image:a.jpg>Who?"),
        ([{"type": "text", "text": "<image>Who?"}], {"images": ["a.jpg"]}, "<image:a.jpg>Who?"),
        (
            [{"type": "image", "index": 1}, {"type": "image", "index": 0}, {"type": "image", "index": 1}],
            {"images": ["a.jpg", "b.jpg"]},
            "<image:b.jpg><image:a.jpg><image:b.jpg>",
        ),
        # a picture that the messages hold already may be named once more
        ([{"type": "image", "path": "a.jpg"}, "Who?"], {"image": "a.jpg"}, "<image:a.jpg>Who?"),
        # the mark in its own line is the place, the word in the question is none
        (
            "<image>\nWhat does <image> mean in HTML?",
            {"image": "a.jpg"},
            "<image:a.jpg>What does <image> mean in HTML?",
        ),
    ],
)
def test_media_take_the_places_of_their_marks(question: Any, keys: dict[str, Any], read_as: str) -> None:
    assert read(question, **keys) == [read_as, "Kane."]


@pytest.mark.parametrize(
    ("question", "answer", "keys"),
    [
        ("HTML5?", "Use the <video> tag.", {}),
        ("What does <depth> mean in my XML?", "x", {}),
        ("Is <image>x</image> valid?", "No: write <image> once.", {}),
        ("What of <audio>?", "x", {"images": None}),
        ("Hello", "<image>", {}),
    ],
)
def test_marks_of_rows_without_such_media_are_words(question: str, answer: str, keys: dict[str, Any]) -> None:
    assert read(question, answer, **keys) == [question, answer]


def test_a_tag_in_an_answer_is_no_place_for_the_picture_of_the_question() -> None:
    assert read("<image>\nWhich tag?", "The <image> or <audio> tag.", image="a.jpg") == [
        "<image:a.jpg>Which tag?",
        "The <image> or <audio> tag.",
    ]
    assert read("Draw it.", "<image>\nHere.", images=["a.jpg"]) == ["Draw it.", "<image:a.jpg>Here."]


@pytest.mark.parametrize(
    ("question", "keys", "named"),
    [
        ("<image>Who?", {}, ["1 place(s) for image items, but the row has 0", "<image> in message 1", "none"]),
        ("Who?\n<image>", {"image": None}, ["1 place(s) for image items", "'image'"]),
        ("Who is <image> here?", {"images": []}, ["1 place(s) for image items, but the row has 0"]),
        ("Who?", {"images": ["a.jpg"]}, ["0 place(s) for image items, but the row has 1", "image a.jpg"]),
        ("<image>Who?", {"images": ["a.jpg", "b.jpg"]}, ["1 place(s)", "row has 2", "image b.jpg"]),
        ("<image><video>?", {"images": ["a.jpg"]}, ["1 place(s) for video items, but the row has 0"]),
        ([{"type": "image", "path": "b.jpg"}], {"image": "a.jpg"}, ["0 place(s)", "image a.jpg"]),
        ([{"type": "image"}, {"type": "image"}], {"images": ["a.jpg"]}, ["2 place(s)", "part 'image' in message 1"]),
        ([{"type": "image", "index": 3}], {"images": ["a.jpg"]}, ["1 place(s)"]),
        ("<image>Who?", {"images": ["https://x.org/a.jpg"]}, ["'images'", "nothing is downloaded"]),
    ],
)
def test_a_mark_without_medium_and_a_medium_without_mark_are_named(
    question: Any, keys: dict[str, Any], named: list[str]
) -> None:
    found = reason(question, **keys)
    assert all(part in found for part in named), found


def test_a_picture_named_more_often_than_the_messages_hold_it_is_an_error() -> None:
    inline = {"type": "image", "path": "a.jpg"}
    assert read([inline, inline, "Same?"], images=["a.jpg", "a.jpg"]) == ["<image:a.jpg><image:a.jpg>Same?", "Kane."]
    found = reason([inline, "Same?"], images=["a.jpg", "a.jpg"])
    assert "1 place(s) for image items, but the row has 2" in found
    assert "in the row: image a.jpg, image a.jpg" in found


def test_words_in_a_key_with_the_name_of_a_modality_are_meta() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    sample = parse_sample({"id": "r", "messages": turns, "speech": "a man talks", "depth": 3, "image": None})
    assert sample.meta == {"speech": "a man talks", "depth": 3}
    assert not sample.media


def test_keys_of_other_names_and_paths_from_a_folder(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "<thermal>Hot?"}, {"role": "assistant", "content": "Yes."}]
    row = {"id": "r", "messages": turns, "camera": "a.png", "images": "ignored"}
    sample = parse_sample(row, tmp_path, media_keys={"camera": "thermal"})
    assert sample.media == (Media("thermal", path=str(tmp_path / "a.png")),)
    assert sample.meta == {"images": "ignored"}


def test_conversations_of_other_tools_are_turns() -> None:
    turns = [{"from": "human", "value": "<image>Who?"}, {"from": "gpt", "value": "Kane."}]
    assert shown(parse_sample({"id": 1, "conversations": turns, "image": "a.jpg"})) == ["<image:a.jpg>Who?", "Kane."]
    pairs = [{"user": "Q1", "assistant": "A1", "source": "s"}, {"user": "Q2", "assistant": "A2"}]
    sample = parse_sample({"id": 1, "messages": pairs}, media={"image": [Media("image", path="a.jpg")]}, in_front=True)
    assert shown(sample) == ["<image:a.jpg>Q1", "A1", "Q2", "A2"]


def test_media_of_preference_rows_stand_before_a_prompt_without_marks() -> None:
    row = {"id": 1, "prompt": "Who?", "chosen": "Kane.", "rejected": "Bob.", "images": ["a.jpg"]}
    assert shown(parse_sample(row)) == ["<image:a.jpg>Who?"]
    assert shown(parse_sample({**row, "prompt": "Who is <image>\n?"})) == ["Who is <image:a.jpg>?"]
