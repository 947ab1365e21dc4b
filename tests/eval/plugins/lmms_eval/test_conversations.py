from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from eval.plugins.lmms_eval.conversations import chat_conversation, simple_conversation
from eval.plugins.lmms_eval.likelihoods import read_continuations
from omni.media.item import Media
from omni.samples.messages import Message, Sample, SampleError, Text
from tests.eval.plugins.tiny_media import write_picture, write_sound

ALL = ("image", "sound", "video")
PICTURE = Image.new("RGB", (4, 4), "red")
TONE = {"array": np.zeros(80, np.float32), "sampling_rate": 8000}


def kinds(sample: Sample) -> list[str]:
    return [part.modality if isinstance(part, Media) else part.text for one in sample.messages for part in one.content]


def chat(*parts: Any, modalities: tuple[str, ...] = ALL) -> Sample:
    return chat_conversation([{"role": "user", "content": [*parts]}], modalities, "t, test, doc 0")


def test_all_turns_and_media_stay_in_their_places() -> None:
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {"type": "image", "url": PICTURE},
                {"type": "text", "text": "Which sound?"},
                {"type": "audio", "url": TONE},
                {"type": "video", "url": "clip.mp4", "start_time": 1.0, "end_time": None},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "A bell."}]},
        {"role": "user", "content": [{"type": "text", "text": "Why?"}, {"type": "image", "url": PICTURE}]},
    ]
    sample = chat_conversation(messages, ALL, "t")
    assert [one.role for one in sample.messages] == ["system", "user", "assistant", "user"]
    assert kinds(sample) == ["Be brief.", "image", "Which sound?", "sound", "video", "A bell.", "Why?", "image"]
    sound, video = (part for part in sample.messages[1].content[2:])
    assert sound == Media("sound", data=TONE["array"], sampling_rate=8000)
    assert video == Media("video", path="clip.mp4", options={"start": 1.0})


def test_what_a_medium_holds_decides_where_lmms_eval_names_it_otherwise(tmp_path: Path) -> None:
    film = tmp_path / "a.webm"
    with av.open(str(film), "w") as file:
        stream = file.add_stream("libvpx", rate=5)
        stream.width = stream.height = 16
        for _ in range(2):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))))
        file.mux(stream.encode())
    parts = [{"type": "audio", "url": str(film)}, {"type": "video", "url": TONE}, {"type": "video", "url": "a.wav"}]
    assert kinds(chat(*parts)) == ["video", "sound", "sound"]
    visuals = [str(film), TONE, "a.wav", "b.png", "c.mp4", PICTURE, [PICTURE, PICTURE]]
    assert kinds(simple_conversation("", visuals, ALL, "t")) == [
        *("video", "sound", "sound", "image", "video", "image", "video")
    ]


def test_part_of_a_video_by_a_dictionary() -> None:
    clip = {"type": "video", "path": "a.mp4", "video_start": 1, "video_end": 2.5}
    wanted = Media("video", path="a.mp4", options={"start": 1.0, "end": 2.5})
    assert chat({"type": "video", "url": clip}).messages[0].content == (wanted,)
    assert simple_conversation("", [clip], ALL, "t").messages[0].content == (wanted,)


def test_marks_in_a_text_are_places_and_else_media_stand_in_front(tmp_path: Path) -> None:
    picture, sound = str(write_picture(tmp_path / "a.png", 0)), str(write_sound(tmp_path / "a.wav", 0))
    assert kinds(simple_conversation("Q", [sound, picture, sound], ALL, "t")) == ["sound", "image", "sound", "Q"]
    shots = simple_conversation("<image>\nA frog.\n<image>\nA", [picture, picture], ALL, "t")
    assert [kind for kind in kinds(shots) if kind == "image"] == ["image"] * 2
    assert kinds(shots)[0] == "image"
    assert "A frog" in kinds(shots)[1]
    with pytest.raises(SampleError, match=r"sample 't'.*<image>"):
        simple_conversation("<image>\nA frog.\n<image>\nA", [picture], ALL, "t")


def test_a_text_alone_is_a_conversation() -> None:
    assert simple_conversation("Hello", None, (), "t").messages == (Message("user", (Text("Hello"),)),)


@pytest.mark.parametrize(
    ("part", "modalities", "reason"),
    [
        (
            {"type": "audio", "url": TONE},
            ("image",),
            r"'t, test, doc 0'.* shows an audio, and the model has no adapter",
        ),
        ({"type": "image", "url": PICTURE}, ("sound",), "shows an image, and the model has no adapter"),
        ({"type": "audio", "url": TONE}, ("sound", "speech"), "'audio' could mean 'sound' or 'speech'"),
        ({"type": "image", "url": None}, ALL, "cannot tell what kind of medium None is"),
        ({"type": "image", "url": "https://a.example/b.png"}, ALL, "not a local file"),
        ({"type": "image", "url": PICTURE, "detail": "high"}, ALL, "a part of type 'image' has detail"),
        ({"type": "point_cloud", "url": "a.ply"}, ALL, "point_cloud"),
    ],
)
def test_what_cannot_be_shown_is_refused(part: dict[str, Any], modalities: tuple[str, ...], reason: str) -> None:
    with pytest.raises(SampleError, match=reason):
        chat(part, modalities=modalities)


@pytest.mark.parametrize("visuals", ["a.png", [None], [3], [object()]])
def test_visuals_that_are_no_media_are_refused(visuals: Any) -> None:
    with pytest.raises(SampleError, match="sample 't'"):
        simple_conversation("Q", visuals, ALL, "t")


def test_continuations_of_a_question_stand_together_without_the_blank_before_them() -> None:
    rows = [{"answer": "frog"}, {"answer": "dog"}]
    requests = [
        ("Q", " frog", lambda doc: [], 0, "t", "test"),
        ("Q", " dog", lambda doc: [], 0, "t", "test"),
        ("Q", lambda doc: doc["answer"], lambda doc: [], 1, "t", "test"),
    ]
    found = read_continuations(requests, lambda doc_id, task, split: rows[doc_id])
    assert [[(one.position, one.text) for one in question] for question in found] == [
        [(0, "frog"), (1, "dog")],
        [(2, "dog")],
    ]


def test_likelihoods_without_a_question_are_refused() -> None:
    with pytest.raises(ValueError, match="acc_mutual_info"):
        read_continuations([("", "frog")], lambda *row: None)
    with pytest.raises(ValueError, match="t, test, doc 4: an answer to be scored is empty"):
        read_continuations([("Q", " ", lambda doc: [], 4, "t", "test")], lambda *row: None)
