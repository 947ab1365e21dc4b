"""From the chat's history to the model's messages, through Gradio's own conversion of the history."""

import re
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from demo.chat.conversation import AttachmentError, Upload, Uploads, notice, split_turn, to_messages, user_turn
from omni.encoders import PrecomputedFeatures
from omni.samples.messages import Media, Message, Text
from tests.tiny import SensorEncoder, recording


def _uploads() -> Uploads:
    encoder = SensorEncoder()
    return Uploads(
        [
            Upload("image", (".png", ".jpg"), "image: ", encoder),
            Upload("sound", (".wav", ".npy"), "", encoder),
            Upload("speech", (".wav",), "", encoder),
        ]
    )


def _through_gradio(history: list[dict[str, Any]]) -> Any:
    chatbot = gr.Chatbot()
    return chatbot.preprocess(chatbot.postprocess(history))  # pyright: ignore[reportArgumentType]


def _answer(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def test_media_and_text_of_every_turn_reach_the_model_in_order(tmp_path: Path) -> None:
    picture, sound = str(tmp_path / "frog.png"), str(tmp_path / "frog.wav")
    history = [
        user_turn("What is it?", [(picture, "image")]),
        _answer("A frog."),
        user_turn("And?", [(sound, "speech")]),
    ]
    assert to_messages(_through_gradio(history), _uploads()) == (
        Message("user", (Media("image", path=picture), Text("What is it?"))),
        Message("assistant", (Text("A frog."),)),
        Message("user", (Media("speech", path=sound), Text("And?"))),
    )


def test_the_model_never_sees_notices_nor_questions_without_answer() -> None:
    history = [
        user_turn("first", []),
        notice("a failure"),
        user_turn("second", []),
        _answer("yes"),
        notice("x"),
        user_turn("third", []),
    ]
    assert [(message.role, message.text) for message in to_messages(_through_gradio(history), _uploads())] == [
        ("user", "second"), ("assistant", "yes"), ("user", "third"),
    ]  # fmt: skip


def test_a_turn_taken_back_gives_text_and_files_again(tmp_path: Path) -> None:
    turn = user_turn("  two\nlines", [(str(tmp_path / "a.png"), "image")])
    assert split_turn(_through_gradio([turn])[0]) == ("  two\nlines", [str(tmp_path / "a.png")])


TYPED = """<script>alert(1)</script> <b>not bold</b> *nor* _this_ `code` $$x^2$$
# no heading
    no code either, https://example.com ![no](picture.png) | & &amp; &#42; [a](b) 蛙🐸
1. one
2) two
+ three
  - four, www.example.com, me@example.com
==="""


def test_markup_in_a_question_is_shown_as_typed_and_reaches_the_model_as_typed() -> None:
    history = _through_gradio([user_turn(TYPED, [])])
    shown = history[0]["content"][0]["text"]
    assert not re.search(r"[<>*_`$\[\]|\\~@]|&(?!#\d+;)|^[# =+-]|://|www\.|^\d+[.)]", shown, re.MULTILINE)
    assert split_turn(history[0]) == (TYPED, [])
    assert to_messages(history, _uploads()) == (Message("user", (Text(TYPED),)),)


def test_ordinary_words_are_kept_as_they_are() -> None:
    question = 'What\'s this (in 3.5 words): a dog, a "cat"? - yes/no; 50% + 1 = 蛙!'
    assert user_turn(question, [])["content"][0]["text"] == question


def test_markup_in_what_the_page_says_of_a_file_is_shown_as_it_is() -> None:
    assert "<" not in notice("<img src=x>.png: is empty")["content"][0]["text"]


def test_the_users_choice_decides_between_modalities_that_share_a_file_type() -> None:
    uploads = _uploads()
    assert uploads.ambiguous() == {("sound", "speech"): (".wav",)}
    assert uploads.modality_of("a.WAV") == "sound"
    assert uploads.modality_of("a.wav", ["speech"]) == "speech"
    assert uploads.modality_of("a.png", ["speech"]) == "image"


def test_an_unsupported_file_type_lists_the_accepted_ones() -> None:
    with pytest.raises(AttachmentError, match=r"notes\.docx.*\.docx.*image \(\.png \.jpg\), sound \(\.wav \.npy\)"):
        _uploads().check("/somewhere/notes.docx")


def test_a_broken_file_is_named_without_its_path_on_the_server(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.npy", tmp_path / "bad.npy"
    np.save(good, recording(0))
    np.save(bad, np.zeros((4, 2)))
    assert _uploads().check(str(good)) == "sound"
    with pytest.raises(AttachmentError, match=r"bad\.npy.*\[T, 3\]") as caught:
        _uploads().check(str(bad))
    assert str(tmp_path) not in str(caught.value)


def test_an_encoder_of_a_users_own_says_what_an_uploaded_file_becomes(tmp_path: Path) -> None:
    class EverySecond(SensorEncoder):
        def media_of_file(self, path: str, modality: str) -> Media:
            return Media(modality, data=np.load(path)[::2])

    np.save(tmp_path / "walk.npy", recording(1))
    own = EverySecond()
    upload = Upload("motion", (".npy",), "", own)
    media = upload.media(str(tmp_path / "walk.npy"))
    assert media == Media("motion", data=recording(1)[::2])
    assert Uploads([upload]).check(str(tmp_path / "walk.npy")) == "motion"


def test_a_file_of_ready_made_features_becomes_features(tmp_path: Path) -> None:
    np.save(tmp_path / "walk.npy", np.ones((2, 5), np.float32))
    upload = Upload("motion", (".npy",), "", PrecomputedFeatures("motion", dim=5, max_features=2))
    assert upload.media(str(tmp_path / "walk.npy")) == Media("motion", features=str(tmp_path / "walk.npy"))
    assert Uploads([upload]).check(str(tmp_path / "walk.npy")) == "motion"
