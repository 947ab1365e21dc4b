"""Training text and question are one layout: what stands before an answer in training is what asks for one.

Some templates ask with more than they write before an answer that is there (DeepSeek-R1's `<think>`), others with less
(gpt-oss' channel), and some end the last answer with nothing (GLM-4). A model that learned the one would be asked the
other. All other layouts stay as the template has them.
"""

from collections.abc import Sequence

from omni.prompts.chat_template import ChatTemplate, Turn

_THINK, _THOUGHT = "<think>", "</think>"


def text_that_asks(template: ChatTemplate, turns: Sequence[Turn], text: str, sample_id: str) -> str:
    """Return the rendered `text` that asks for an answer, with what the template always writes before one."""
    if template.asks_as_it_answers or turns[-1][0] == "assistant":
        return text
    before, _ = template.around_answer(turns, sample_id)
    return before if before.startswith(text) and before[len(text) :].strip() else text


def as_asked(
    template: ChatTemplate, turns: Sequence[Turn], text: str, answer: tuple[int, int], sample_id: str
) -> tuple[str, tuple[int, int]]:
    """Return a rendered conversation and the span of its last answer, end token included, as they are trained on.

    Args:
        template: which rendered it.
        turns: the conversation, which ends with the assistant's turn.
        text: the rendered conversation.
        answer: the span of its last answer in it.
        sample_id: for errors.
    """
    if not template.asks_as_it_answers:
        text, answer = _behind_question(template, turns, text, answer, sample_id)
    begin, stop = answer
    if not text[stop:].strip() and not template.ends_with_special(text[begin:stop]) and template.end_of_earlier_answer:
        text = text[:stop] + template.end_of_earlier_answer
        answer = (begin, len(text))
    return text, answer


def _behind_question(
    template: ChatTemplate, turns: Sequence[Turn], text: str, answer: tuple[int, int], sample_id: str
) -> tuple[str, tuple[int, int]]:
    """Put the last answer behind the text that asks for one, where that says more than what the template has."""
    asked = template.render(turns[:-1], True, sample_id)
    before, after = template.around_answer(turns[:-1], sample_id)
    if before.startswith(asked) or not asked.startswith(before.rstrip()) or not text.startswith(before):
        return text, answer
    said = text[len(before) : len(text) - len(after)]
    if asked.rstrip().endswith(_THINK) and _THOUGHT in turns[-1][1]:
        # the template drops the thoughts of an answer; their beginning is in what asks
        said = turns[-1][1].removeprefix(_THINK).lstrip("\n")
    return asked + said + after, (len(asked), template.past_end_token(asked + said + after, len(asked) + len(said)))
