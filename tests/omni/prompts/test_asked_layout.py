"""What stands before an answer in training is what asks for one, and an end is learned, whatever the template."""

import pytest

from omni.prompts.chat_layout import IGNORED_LABEL, ChatLayout, Layout
from omni.samples.messages import Message, Text
from tests.omni.prompts.chat_templates import GLM4, STYLES, Style, styled_tokenizer

R1 = (  # asks with <think>, and writes answers without; thoughts are dropped
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|User|>' + m['content'] }}{% else %}"
    "{{ '<|Assistant|>' + m['content'].split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)
GRANITE = (  # asks with an empty thought and a line break in place of a blank
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\n<think></think>\n' }}{% endif %}"
)
CHANNELS = (  # answers stand in a channel that the question leaves to the model
    "{% for m in messages %}{{ '<|start|>' + m['role'] }}{% if m['role'] == 'assistant' %}{{ '<|channel|>final' }}"
    "{% endif %}{{ '<|message|>' + m['content'] }}"
    "{{ eos_token if m['role'] == 'assistant' and loop.last else '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
TEMPLATES = {
    "r1": Style(R1, ("<|eos|>", "<s>", "<|User|>", "<|Assistant|>"), "<|eos|>"),
    "granite": Style(GRANITE, ("</s>", "<s>"), "</s>"),
    "channels": Style(
        CHANNELS, ("<|return|>", "<s>", "<|start|>", "<|channel|>", "<|message|>", "<|end|>"), "<|return|>"
    ),
    "glm4": Style(GLM4, ("<|endoftext|>", "[gMASK]", "<|user|>", "<|assistant|>"), "<|user|>"),
    "chatglm": Style(
        GLM4.replace("<|user|>", "[Round]"), ("</s>", "<s>", "<|user|>", "<|assistant|>", "<|system|>"), "<|user|>"
    ),
}
ALL = TEMPLATES | STYLES


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def layout_of(name: str) -> ChatLayout:
    return ChatLayout(styled_tokenizer(ALL[name]), {})


def labels_of(conversation: ChatLayout, layout: Layout) -> str:
    kept = [label for label in layout.labels[layout.answer_start :] if label != IGNORED_LABEL]
    return str(conversation.tokenizer.decode(kept)).strip()


@pytest.mark.parametrize("name", ALL)
def test_training_goes_on_from_what_asks(name: str) -> None:
    conversation = layout_of(name)
    for turns in ([user("what is this?")], [user("what?"), assistant("a dog"), user("what is this?")]):
        asked = conversation.encode(turns, answer=False)
        trained = conversation.encode([*turns, assistant("A frog.")], answer=True)
        before = conversation.tokenizer.decode(trained.token_ids[: trained.answer_start])
        assert str(before).rstrip() == str(conversation.tokenizer.decode(asked.token_ids)).rstrip()
        assert labels_of(conversation, trained) == f"A frog.{ALL[name].end}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_end_is_learned_and_generation_stops_there(name: str) -> None:
    conversation = layout_of(name)
    for turns in ([user("what?")], [user("what?"), assistant("a dog"), user("what?")]):
        layout = conversation.encode([*turns, assistant("a frog")], answer=True)
        assert layout.labels[-1] in conversation.end_token_ids()
        assert layout.token_ids[-1] == layout.labels[-1]


def test_thoughts_go_on_from_the_thought_that_the_question_begins() -> None:
    conversation = layout_of("r1")
    for answer in ("<think>\nit is\n</think>\n\nA frog.", "it is\n</think>\n\nA frog."):
        layout = conversation.encode([user("what?"), assistant(answer)], answer=True)
        text = str(conversation.tokenizer.decode(layout.token_ids))
        assert text == "<|User|>what?<|Assistant|><think>\nit is\n</think>\n\nA frog.<|eos|>"
        assert labels_of(conversation, layout) == "it is\n</think>\n\nA frog.<|eos|>"


def test_earlier_answers_stay_as_the_template_has_them() -> None:
    conversation = layout_of("r1")
    turns = [user("what?"), assistant("<think>\nhm\n</think>a dog"), user("this?"), assistant("a frog")]
    text = str(conversation.tokenizer.decode(conversation.encode(turns, answer=True).token_ids))
    assert text == "<|User|>what?<|Assistant|>a dog<|eos|><|User|>this?<|Assistant|><think>\na frog<|eos|>"


def test_questions_keep_their_labels() -> None:
    conversation = layout_of("r1")
    layout = conversation.encode([user("what is this?"), assistant("a frog")], answer=True, questions=True)
    runs = str(conversation.tokenizer.decode([label for label in layout.labels if label != IGNORED_LABEL]))
    assert runs.startswith("what is this?")
    assert runs.endswith("a frog<|eos|>")
