"""Conversations are laid out by the LLM's own chat template; the labels are the answers and their end tokens."""

import pickle

import numpy as np
import pytest
from transformers import AutoTokenizer

from omni.prompts.chat_layout import IGNORED_LABEL, MEDIA_SLOT, ChatLayout, Layout
from omni.prompts.chat_template import PLAIN_TEMPLATE
from omni.samples.messages import Media, Message, SampleError, Text
from omni.starter import resolve
from tests.omni.prompts.chat_templates import GLM4, NO_END, STYLES, Style, styled_tokenizer

IMAGE = Media("image", data=np.zeros((1, 3), dtype=np.float32))
SOUND = Media("sound", data=np.zeros((1, 3), dtype=np.float32))
CUES = {"image": "image: ", "sound": "sound: "}


def user(*parts: str | Media) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def encoder(style: str, sentencepiece: bool = False, system: str | None = None) -> ChatLayout:
    return ChatLayout(styled_tokenizer(STYLES[style], sentencepiece), CUES, system)


def labelled(conversation: ChatLayout, layout: Layout) -> list[str]:
    """The decoded runs of labels."""
    runs: list[list[int]] = [[]]
    for label in layout.labels:
        if label == IGNORED_LABEL:
            runs.append([])
        else:
            runs[-1].append(label)
    return [str(conversation.tokenizer.decode(run)).strip() for run in runs if run]


@pytest.mark.parametrize("sentencepiece", [False, True])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("answer", ["a frog", "the dog, 2 dogs!", "it is a drum\n\nthe bell"])
def test_labels_are_exactly_the_answer_and_its_end_token(style: str, sentencepiece: bool, answer: str) -> None:
    if sentencepiece and "\n" in answer:
        pytest.skip("the tiny Unigram vocabulary does not hold a line break next to a word")
    conversation = encoder(style, sentencepiece)
    layout = conversation.encode([user(IMAGE, "what is this?"), assistant(answer)], answer=True)
    assert labelled(conversation, layout) == [answer + STYLES[style].end]
    assert layout.answer_start == [label != IGNORED_LABEL for label in layout.labels].index(True)


@pytest.mark.parametrize("style", STYLES)
def test_every_answer_of_several_turns_is_labelled(style: str) -> None:
    conversation = encoder(style)
    messages = [user(IMAGE, "what is this?"), assistant("a frog"), user(SOUND, "and this?"), assistant("a bell")]
    layout = conversation.encode(messages, answer=True)
    end = STYLES[style].end
    assert labelled(conversation, layout) == ["a frog" + end, "a bell" + end]
    last = [token for token in layout.labels[layout.answer_start :] if token != IGNORED_LABEL]
    assert str(conversation.tokenizer.decode(last)).strip() == "a bell" + end
    assert layout.token_ids.count(MEDIA_SLOT) == 2
    assert layout.media == [IMAGE, SOUND]
    assert layout.instructions == ["what is this?", "and this?"]


@pytest.mark.parametrize("sentencepiece", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_text_only_ids_are_those_of_the_template_text(style: str, sentencepiece: bool) -> None:
    conversation = encoder(style, sentencepiece)
    tokenizer = conversation.tokenizer
    said = {"user": "what is a dog?", "assistant": "it is a dog"}
    plain = [
        {"role": role, "content": [{"type": "text", "text": text}] if role in STYLES[style].list_roles else text}
        for role, text in said.items()
    ]
    template = STYLES[style].template or PLAIN_TEMPLATE
    text = str(tokenizer.apply_chat_template(plain, tokenize=False, chat_template=template, enable_thinking=False))
    layout = conversation.encode([user("what is a dog?"), assistant("it is a dog")], answer=True)
    assert layout.token_ids == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("style", STYLES)
def test_the_prompt_begins_the_layout_that_training_uses(style: str) -> None:
    conversation = encoder(style)
    messages = [user(IMAGE, "what is this?")]
    prompt = conversation.encode(messages, answer=False)
    trained = conversation.encode([*messages, assistant("a frog")], answer=True)
    assert trained.token_ids[: len(prompt.token_ids)] == prompt.token_ids
    assert set(prompt.labels) == {IGNORED_LABEL}
    assert prompt.answer_start == len(prompt.token_ids)


@pytest.mark.parametrize("style", STYLES)
def test_generation_stops_at_the_end_token_of_the_template(style: str) -> None:
    conversation = encoder(style)
    ends = {str(conversation.tokenizer.convert_ids_to_tokens(token)) for token in conversation.end_token_ids()}
    last = STYLES[style].end.strip().rpartition("<")
    assert ends == {"".join(last[1:]), STYLES[style].specials[0]} - {""}


def test_generation_stops_where_the_next_turn_would_begin_if_that_is_how_the_template_ends_one() -> None:
    style = Style(GLM4, ("<|endoftext|>", "[gMASK]", "<|user|>", "<|assistant|>"), "")
    conversation = ChatLayout(styled_tokenizer(style), CUES)
    layout = conversation.encode([user("what?"), assistant("a frog")], answer=True)
    assert labelled(conversation, layout) == ["a frog<|user|>"]
    ends = {str(conversation.tokenizer.convert_ids_to_tokens(token)) for token in conversation.end_token_ids()}
    assert ends == {"<|endoftext|>", "<|user|>"}


@pytest.mark.parametrize("style", STYLES)
def test_a_system_message_reaches_the_llm_even_where_the_template_has_no_role_for_it(style: str) -> None:
    conversation = encoder(style, system="describe")
    layout = conversation.encode([user(IMAGE, "what is this?"), assistant("a frog")], answer=True)
    text = str(conversation.tokenizer.decode([token for token in layout.token_ids if token >= 0]))
    assert text.count("describe") == 1
    assert text.index("describe") < text.index("what is this?")
    assert labelled(conversation, layout) == ["a frog" + STYLES[style].end]
    given = conversation.encode([Message("system", (Text("it was"),)), user("what?")], answer=False)
    text = str(conversation.tokenizer.decode(given.token_ids))
    assert "it was" in text
    assert "describe" not in text


def test_media_on_both_sides_of_text_are_set_apart_by_line_breaks() -> None:
    conversation = encoder("chatml")
    layout = conversation.encode([user(IMAGE, "the dog", SOUND, IMAGE), assistant("a")], answer=True)
    text = "".join(
        "<media>" if token == MEDIA_SLOT else str(conversation.tokenizer.decode([token])) for token in layout.token_ids
    )
    assert "user\nimage: <media>\nthe dog\nsound: <media>\nimage: <media><|im_end|>" in text


@pytest.mark.parametrize("style", ["chatml", "llama2", "qwen3", "plain"])
def test_private_use_characters_in_text_are_no_marks(style: str) -> None:
    conversation = encoder(style)
    layout = conversation.encode(
        [user("wh\ue000at\ue001 \ue002is", IMAGE), assistant("a \ue001fr\ue000og\ue002")], answer=True
    )
    clean = conversation.encode([user("what is", IMAGE), assistant("a frog")], answer=True)
    assert (layout.token_ids, layout.labels) == (clean.token_ids, clean.labels)


@pytest.mark.parametrize("style", ["chatml", "llama2", "gemma", "plain"])
def test_answers_in_any_script_are_labelled_whole(style: str) -> None:
    conversation = encoder(style)
    answer = "ein Frosch 🐸, жаба — 蛙, e\u0301"
    layout = conversation.encode([user("wie heißt das? 🐸", IMAGE), assistant(answer)], answer=True)
    assert labelled(conversation, layout) == [answer + STYLES[style].end]


def test_an_answer_that_repeats_the_question_is_labelled_only_once() -> None:
    conversation = encoder("chatml")
    layout = conversation.encode([user("a frog"), assistant("a frog")], answer=True)
    assert labelled(conversation, layout) == ["a frog<|im_end|>"]
    assert layout.answer_start > len(layout.token_ids) // 2


def test_an_empty_answer_is_its_end_token() -> None:
    conversation = encoder("chatml")
    layout = conversation.encode([user("what?"), assistant(" \n")], answer=True)
    assert labelled(conversation, layout) == ["<|im_end|>"]


def test_answers_that_the_template_rewrites_are_found() -> None:
    conversation = encoder("qwen3")
    thoughtful = "<think>\nit is\n</think>\n\na frog"
    layout = conversation.encode([user("what is this?"), assistant(thoughtful)], answer=True)
    assert labelled(conversation, layout) == ["<think>\nit is\n</think>\n\na frog<|im_end|>"]
    messages = [user("what is this?"), assistant(thoughtful), user("and this?"), assistant("a bell")]
    layout = conversation.encode(messages, answer=True)  # the thoughts of earlier turns are dropped by the template
    assert labelled(conversation, layout) == ["a frog<|im_end|>", "a bell<|im_end|>"]


def test_turns_that_the_template_refuses_name_the_sample_and_the_roles() -> None:
    with pytest.raises(SampleError, match=r"row-7.*refuses the turns \['user', 'user'\].*alternate"):
        encoder("llama2").encode([user("a"), user("b")], answer=False, sample_id="row-7")


@pytest.mark.parametrize(
    ("shown", "error"),
    [
        ("m['content'][:4]", r"loses what turn 1 \(user\) says, 'what is this"),
        ("m['content'] + m['content']", "repeats a message that holds media"),
    ],
)
def test_a_template_that_drops_or_repeats_media_is_an_error(shown: str, error: str) -> None:
    style = Style(NO_END.replace("m['content']", shown), ("</s>",), "")
    conversation = ChatLayout(styled_tokenizer(style), CUES)
    with pytest.raises(SampleError, match=error):
        conversation.encode([user("what is this", IMAGE)], answer=False)


@pytest.mark.parametrize("sentencepiece", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_all_that_is_said_reaches_the_llm_in_order(style: str, sentencepiece: bool) -> None:
    conversation = encoder(style, sentencepiece, system="it is a drum")
    messages = [user(IMAGE, "what is this"), assistant("a frog"), user("the dog", SOUND), assistant("a bell")]
    for turns, answer in ((messages, True), ([*messages, user("was it a dog")], False)):
        layout = conversation.encode(turns, answer=answer)
        text = str(conversation.tokenizer.decode([token for token in layout.token_ids if token != MEDIA_SLOT]))
        said = ["it is a drum", "image:", *(message.text for message in turns[:2]), "the dog", "sound:"]
        said += [message.text for message in turns[3:]]
        places = [text.index(part) for part in said]
        assert places == sorted(places)
        assert all(text.count(part) == 1 for part in said)
        assert "type" not in text


LOSES_SYSTEM = NO_END.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")
LOSES_ANSWERS = NO_END.replace("{% for m in messages %}", "{% for m in messages if m['role'] == 'user' %}")
LOSES_ALL = "{% for m in messages %}### {{ m['role'] }}:\n{{ m['text'] }}\n\n{% endfor %}"
LOSES_LATER = NO_END.replace("{% for m in messages %}", "{% for m in messages[:1] %}")


@pytest.mark.parametrize(
    ("template", "turn"),
    [(LOSES_ALL, "1 .user"), (LOSES_ANSWERS, "2 .assistant"), (LOSES_LATER, "2 .assistant"), (LOSES_SYSTEM, "3 .sys")],
)
def test_text_that_the_template_would_lose_is_an_error_that_names_the_turn(template: str, turn: str) -> None:
    conversation = ChatLayout(styled_tokenizer(Style(template, ("</s>",), "")), CUES)
    turns = [user("what?"), assistant("a dog"), Message("system", (Text("it was"),)), user("heard of it?")]
    with pytest.raises(SampleError, match=rf"row-7.*loses what turn {turn}.*chat_template"):
        conversation.encode(turns, answer=False, sample_id="row-7")


def test_a_modality_that_the_model_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(SampleError, match=r"'thermal'.*\['image', 'sound'\]"):
        encoder("chatml").encode([user(Media("thermal", data=np.zeros(1)))], answer=False)


def test_training_needs_an_answer_at_the_end() -> None:
    with pytest.raises(SampleError, match="last turn must be the assistant's answer"):
        encoder("chatml").encode([user("what?")], answer=True)


def test_media_of_a_turn_without_text_go_with_the_next_question() -> None:
    layout = encoder("chatml").encode([user(IMAGE), assistant("a"), user("what?")], answer=False)
    assert layout.instructions == ["what?"]


def test_laying_out_twice_gives_equal_layouts_that_can_be_changed_freely() -> None:
    conversation = encoder("chatml")
    messages = [user(IMAGE, "what?"), assistant("a frog")]
    first = conversation.encode(messages, answer=True)
    expected = [*first.token_ids]
    first.token_ids.clear()
    assert conversation.encode(messages, answer=True).token_ids == expected
    assert pickle.loads(pickle.dumps(conversation)).encode(messages, answer=True).token_ids == expected


@pytest.mark.starter
def test_smollm2_answers_are_labelled_with_its_end_token() -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve("starter:smollm2"))
    conversation = ChatLayout(tokenizer, CUES)
    answer = 'A green frog, sitting on 12 lily-pads.\n\nIt\'s "quiet" 🐸.'
    layout = conversation.encode([user(IMAGE, "What is this?"), assistant(answer)], answer=True)
    assert labelled(conversation, layout) == [answer + "<|im_end|>"]
    assert conversation.end_token_ids() == [tokenizer.convert_tokens_to_ids("<|im_end|>")]
    plain = [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}]
    text = str(tokenizer.apply_chat_template(plain, tokenize=False))
    layout = conversation.encode([user("What is 2 + 2?"), assistant("4")], answer=True)
    assert layout.token_ids == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("sentencepiece", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_labels_of_questions_are_the_users_text_without_cues_media_and_system_message(
    style: str, sentencepiece: bool
) -> None:
    conversation = encoder(style, sentencepiece, system="it is a drum")
    messages = [user(IMAGE, "  what is this"), assistant("a frog"), user("the dog", SOUND), assistant("a bell")]
    both = conversation.encode(messages, answer=True, questions=True)
    answers = conversation.encode(messages, answer=True)
    ended = ("chatml", "llama3", "gemma", "qwen3", "phi3", "smolvlm", "parts_of_user", "either")
    ended += ("phi4", "command_r7b")
    question_end = STYLES[style].end.removeprefix("<|END_RESPONSE|>") if style in ended else ""
    end = STYLES[style].end
    assert labelled(conversation, both) == ["what is this" + question_end, "a frog" + end, "the dog", "a bell" + end]
    assert both.token_ids == answers.token_ids
    assert both.answer_start == answers.answer_start
    assert both.instructions == answers.instructions
    changed = [new for old, new in zip(answers.labels, both.labels, strict=True) if old != new]
    assert len(changed) == sum(label != IGNORED_LABEL for label in both.labels) - sum(
        label != IGNORED_LABEL for label in answers.labels
    )


@pytest.mark.parametrize("style", STYLES)
def test_media_in_an_answer_stay_in_their_place_and_are_no_labels(style: str) -> None:
    conversation = encoder(style)
    answer = Message("assistant", (Text(" the dog "), IMAGE, Text("a frog ")))
    layout = conversation.encode([user("what is this?"), answer, user(SOUND, "and?"), assistant("a bell")], answer=True)
    end = STYLES[style].end
    assert labelled(conversation, layout) == ["the dog", "a frog" + end, "a bell" + end]
    assert layout.media == [IMAGE, SOUND]
    assert layout.token_ids.count(MEDIA_SLOT) == 2
    shown = "".join(str(conversation.tokenizer.decode([max(token, 0)])) for token in layout.token_ids)
    assert shown.index("the dog") < shown.index("image:") < shown.index("a frog") < shown.index("sound:")


def test_flags_that_the_template_takes_out_of_a_text_are_no_loss() -> None:
    template = NO_END.replace("m['content']", "m['content'].replace('/no_think', '').rstrip()")
    conversation = ChatLayout(styled_tokenizer(Style(template, ("</s>",), "")), CUES, "be brief /no_think")
    text = str(conversation.tokenizer.decode(conversation.encode([user("what?")], answer=False).token_ids))
    assert "be brief" in text
    assert "/no_think" not in text
