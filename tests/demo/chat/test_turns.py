"""What the chat page does with a question, a Stop and a step back, without a browser."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from demo.chat.app import Chat
from demo.chat.conversation import Upload, Uploads, split_turn, to_messages, user_turn
from tests.tiny import SensorEncoder, recording, tiny_model


@pytest.fixture(scope="module")
def chat(tiny_llm: Path) -> Chat:
    return Chat(tiny_model(tiny_llm, adapters={}), Uploads([Upload("image", (".npy",), "", SensorEncoder())]))


def _said(history: list[dict[str, Any]]) -> str:
    return history[-1]["content"][0]["text"]


def test_enter_while_an_answer_is_being_written_changes_nothing(chat: Chat) -> None:
    typed = {"text": "And this?", "files": []}
    with pytest.raises(gr.Error, match="an answer is being written"):
        chat.send(True, typed, [user_turn("What?", [])])
    busy, _, history = chat.send(False, typed, [])
    assert busy
    assert split_turn(history[-1]) == ("And this?", [])


def test_an_answer_stopped_before_its_first_word_leaves_a_turn_to_undo_or_retry(chat: Chat) -> None:
    asked = [user_turn("What?", [])]
    busy, _, history = chat.stopped(asked)
    assert not busy
    assert _said(history) == "Stopped before the first word."
    assert to_messages(history, chat.uploads) == to_messages(asked, chat.uploads)
    answered = [*asked, {"role": "assistant", "content": "A fr"}]
    assert chat.stopped(answered)[2] == answered


def test_a_refused_file_is_told_with_what_is_still_in_the_box(chat: Chat, tmp_path: Path) -> None:
    files = []
    for number in range(3):
        files.append(str(tmp_path / f"{number}.npy"))
        np.save(files[-1], recording(number))
    for text, num_good, advice in (
        ("What?", 0, "Your text is still in the box below"),
        ("What?", 1, "Your text and the other file are still in the box below"),
        ("", 1, "The other file is still in the box below"),
        ("", 2, "The other 2 files are still in the box below"),
        ("", 0, "Attach something else, or ask without."),
    ):
        busy, box, history = chat.send(False, {"text": text, "files": [*files[:num_good], "notes.txt"]}, [])
        assert not busy
        assert "notes.txt: this model does not take files of type .txt" in _said(history)
        assert advice in _said(history)
        assert box.value["text"] == text


def test_a_conversation_that_outgrew_the_context_says_so_without_words_of_the_code(chat: Chat) -> None:
    (history,) = chat.answer([user_turn("word " * 3000, [])], max_new_tokens=4, temperature=0)
    assert "more than the LLM's context of" in _said(history)
    assert "leave out turns" in _said(history)
    assert "Undo puts your question back" in _said(history)
    assert "(conversation)" not in _said(history)
