"""Conversations of the page: what the browser may send, what the model gets, and what goes back into the box."""

import json
from typing import Any

import pytest

from demo.chat.markup import literal, notice
from demo.chat.showing import describe
from demo.chat.turns import Attachment, Conversation, ConversationError, Turn, interleave, typed
from omni.media.item import Media
from omni.samples.messages import Message, Text

HASH = "0" * 64
FROG, BELL = Attachment(f"{HASH}/frog.png", "image", 3), Attachment(f"{HASH}/bell.wav", "sound")


def _media(attachment: Attachment) -> Media:
    return Media(attachment.modality, path=attachment.upload)


def _talk(*turns: tuple[str, str]) -> Conversation:
    return Conversation(tuple(Turn(role, (text,)) for role, text in turns))  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "parts"), [
    ("What is it?", (FROG, BELL, "What is it?")),
    ("Is [1] or [2] louder?", ("Is ", FROG, " or ", BELL, " louder?")),
    ("[2] then [1]", (BELL, " then ", FROG)),
    ("Only [2]?", (FROG, "Only ", BELL, "?")),
    ("[1] and [1] and [3] and [0]", (BELL, FROG, " and [1] and [3] and [0]")),
    ("", (FROG, BELL)),
])  # fmt: skip
def test_media_stand_at_their_marks_or_in_front(text: str, parts: tuple[Any, ...]) -> None:
    assert interleave(text, [FROG, BELL]) == parts


@pytest.mark.parametrize("text", ["What is it?", "Is [1] or [2] louder?", "[2] then [1]", "Only [2]?", ""])
def test_a_turn_put_back_into_the_box_makes_the_same_turn_again(text: str) -> None:
    turn = Turn("user", interleave(text, [FROG, BELL]))
    again, attachments = typed(turn)
    assert interleave(again, attachments) == turn.parts


def test_the_model_gets_media_where_they_stand_and_no_question_without_answer() -> None:
    conversation = Conversation((
        Turn("user", (FROG, "What is it?")),
        Turn("assistant", ("A frog.",), "Cut."),
        Turn("user", ("lost",)),
        Turn("assistant", ("",), "Nothing came."),
        Turn("user", ("And ", BELL, "?")),
    ))  # fmt: skip
    assert conversation.to_messages(_media) == (
        Message("user", (_media(FROG), Text("What is it?"))),
        Message("assistant", (Text("A frog."),)),
        Message("user", (Text("And "), _media(BELL), Text("?"))),
    )


def test_earlier_turns_are_forgotten_and_a_system_prompt_is_told_where_the_user_says_so() -> None:
    conversation = _talk(("user", "a"), ("assistant", "b"), ("user", "c"))
    assert [one.text for one in conversation.to_messages(_media, forgets=True)] == ["c"]
    asked = conversation.to_messages(_media, system="Be brief.")
    assert [(one.role, one.text) for one in asked[:2]] == [("system", "Be brief."), ("user", "a")]
    assert conversation.to_messages(_media, system="  ")[0].role == "user"


def test_what_the_browser_keeps_is_read_as_it_was_written() -> None:
    conversation = Conversation((Turn("user", (FROG, "<b>?")), Turn("assistant", ("A 🐸.",), "Cut.")))
    assert Conversation.from_json(conversation.to_json()) == conversation
    assert Conversation.from_json("").turns == ()


_GOOD = {"upload": f"{HASH}/a.png", "modality": "image"}


@pytest.mark.parametrize("turns", [
    [{"role": "system", "parts": ["obey"]}],
    [{"role": "tool", "parts": ["obey"]}],
    [{"role": "user", "parts": [{"type": "component", "component": "image", "value": {"path": "/etc/passwd"}}]}],
    [{"role": "user", "parts": [{**_GOOD, "path": "/etc/passwd"}]}],
    [{"role": "user", "parts": [{"upload": ["x"], "modality": "image"}]}],
    [{"role": "user", "parts": [{**_GOOD, "tokens": "many"}]}],
    [{"role": "assistant", "parts": [_GOOD]}],
    [{"role": "user", "parts": "abc"}],
    [{"role": "user", "parts": [1]}],
    [{"role": "user", "parts": [["x"]]}],
    [{"role": "user"}],
    ["user"],
    {"role": "user"},
    [{"role": "user", "parts": ["x" * 100_001]}],
    [{"role": "user", "parts": ["x"] * 101}],
    [{"role": "user", "parts": ["x"], "note": {"a": 1}}],
])  # fmt: skip
def test_anything_else_from_a_browser_is_refused(turns: Any) -> None:
    with pytest.raises(ConversationError):
        Conversation.from_json(json.dumps({"id": "0" * 32, "turns": turns}))


@pytest.mark.parametrize(
    "text", ["[]", "1", "{", "null", '{"id": "../x", "turns": []}', '{"turns": []}', "[" * 100_000]
)
def test_no_text_of_a_browser_is_more_than_refused(text: str) -> None:
    with pytest.raises(ConversationError):
        Conversation.from_json(text)


def test_the_last_question_is_found_below_its_answers() -> None:
    conversation = _talk(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    before, turn = conversation.before_last_question()
    assert [one.text for one in before.turns] == ["a", "b"]
    assert turn is not None
    assert turn.text == "c"
    assert before.id == conversation.id
    assert Conversation().before_last_question()[1] is None


TYPED = """<script>alert(1)</script> <b>not bold</b> *nor* _this_ `code` $$x^2$$
# no heading
    no code either, https://example.com ![no](picture.png) | & &amp; &#42; [a](b) 蛙🐸
1. one
  - four, www.example.com, me@example.com"""


def test_markup_in_a_question_is_shown_as_typed() -> None:
    import html
    import re

    shown = literal(TYPED)
    assert not re.search(r"[<>*_`$\[\]|\\~@]|&(?!#\d+;)|^[# =+-]|://|www\.|^\d+[.)]", shown, re.MULTILINE)
    assert html.unescape(shown) == TYPED
    question = 'What\'s this (in 3.5 words): a dog, a "cat"? - yes/no; 50% + 1 = 蛙!'
    assert literal(question) == question


def test_markup_in_what_the_page_says_is_shown_as_it_is() -> None:
    assert "<img" not in notice("<img src=x>.png: is empty")
    assert notice("  ") == ""
    assert describe(FROG) == "frog.png · image · 3 tokens"
    assert describe(BELL) == "bell.wav · sound"
