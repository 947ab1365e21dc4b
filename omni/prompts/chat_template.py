"""Chat templates of LLMs: what each makes of turns and which turns it takes, found out by trying, as templates differ.

A turn is its role and its text.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any

import jinja2
from transformers import PreTrainedTokenizerBase

from omni.media.item import shorten
from omni.prompts.control_tokens import special_tokens
from omni.samples.messages import SampleError

Turn = tuple[str, str]

_PROBE = "PROBE"  # a text to look for in what a template makes of it
_PROBE_END = "\ue002"  # a private-use character
_PROBE_ANSWER = "\ue007"  # another one, which stands for an answer
_FIRST_MARK = 0x100000  # the last private-use plane: two characters for each turn

_REFUSALS = (jinja2.TemplateError, ValueError, TypeError)  # what a template raises on turns that it does not take

# For a base LLM without a chat template.
PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}Assistant: {{ message['content'] }}{{ eos_token or '' }}\n"
    "{% elif message['role'] == 'user' %}User: {{ message['content'] }}\n"
    "{% else %}{{ message['content'] }}\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


class ChatTemplate:
    """The chat template of a tokenizer, or a plain one if the tokenizer has none."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        alternatives = "|".join(re.escape(token) for token in sorted(special_tokens(tokenizer), key=len, reverse=True))
        self._end_token = re.compile(rf"\s*(?:{alternatives})" if alternatives else r"(?!)")
        self._end_tokens = re.compile(rf"(?:{alternatives})+" if alternatives else r"(?!)")

    def render(self, turns: Sequence[Turn], generation: bool, sample_id: str, thinking: bool = False) -> str:
        """Render these turns by the template; with `generation` the text asks for an answer.

        Raises:
            SampleError: the template refuses the turns.
        """
        try:
            return self._apply_template(turns, generation, thinking, self._list_roles)
        except _REFUSALS as error:
            roles = [role for role, _ in turns]
            raise SampleError(sample_id, f"the LLM's chat template refuses the turns {roles}: {error}") from error

    @functools.cached_property
    def _list_roles(self) -> frozenset[str]:
        """Return the roles whose content the template takes only as a list of parts, found out by trying.

        The templates of many vision-language models and of MiniMax-Text-01 are like this: they silently lose a string.
        """
        probes = {
            "user": (("user", _PROBE),),
            "assistant": (("user", "?"), ("assistant", _PROBE)),
            "system": (("system", _PROBE), ("user", "?")),
        }
        found: frozenset[str] = frozenset()
        for role, turns in probes.items():
            if not self._shows_probe(turns, found) and self._shows_probe(turns, found | {role}):
                found |= {role}
        return found

    def _shows_probe(self, turns: Sequence[Turn], list_roles: frozenset[str]) -> bool:
        try:
            text = self._apply_template(turns, turns[-1][0] == "user", False, list_roles)
        except _REFUSALS:
            return False
        return _PROBE in text and str(_parts(_PROBE)) not in text  # else the template prints the list as it is

    def _apply_template(
        self, turns: Sequence[Turn], generation: bool, thinking: bool, list_roles: frozenset[str]
    ) -> str:
        plain = [
            {"role": role, "content": _parts(content) if role in list_roles else content} for role, content in turns
        ]
        # without enable_thinking=False, Qwen3 asks for a chain of thought where its training layout has an empty one
        options: dict[str, Any] = {
            "tokenize": False,
            "add_generation_prompt": generation,
            "enable_thinking": thinking,
        }
        if self.tokenizer.chat_template is None:
            options["chat_template"] = PLAIN_TEMPLATE
        return str(self.tokenizer.apply_chat_template(plain, **options))

    @functools.cached_property
    def has_system_role(self) -> bool:
        """Return whether the template lays out a system message both before and after the answer is there.

        Mistral's template of version 0.3 shows it in front of the last turn, but only if that is the user's.
        """
        turns = (("system", _PROBE), ("user", "?"), ("assistant", "!"))
        try:
            return all(_PROBE in self.render(turns[:end], end == 2, "(probe)") for end in (2, 3))
        except SampleError:
            return False

    def check_all_is_said(self, turns: Sequence[Turn], generation: bool, sample_id: str) -> None:
        """Raise SampleError if the text of a turn is lost, or cut.

        A template may change what stands within it, and drop the thoughts at the head of an answer.
        """
        marks = [(chr(_FIRST_MARK + 2 * index), chr(_FIRST_MARK + 2 * index + 1)) for index in range(len(turns))]
        said = [bool(content.strip()) for _, content in turns]
        marked = [(role, with_marks(content, *pair)) for (role, content), pair in zip(turns, marks, strict=True)]
        text = self.render(marked, generation, sample_id)
        for index, ((role, content), (start, end)) in enumerate(zip(turns, marks, strict=True)):
            if said[index] and (end not in text or (start not in text and role != "assistant")):
                raise SampleError(
                    sample_id,
                    f"the LLM's chat template loses what turn {index + 1} ({role}) says, {shorten(content.strip())}; "
                    "give the LLM's tokenizer another chat_template",
                )

    def past_end_token(self, text: str, end: int) -> int:
        """Return where the tokens that end a turn end, in a rendered text whose turn's own text ends at `end`."""
        match = self._end_token.match(text, end)
        if match is None:
            return end
        eos = str(self.tokenizer.eos_token)
        run = self._end_tokens.match(text, match.end())
        behind = -1 if run is None or match.group().endswith(eos) else run.group().find(eos)
        return match.end() + (behind + len(eos) if behind >= 0 and self._eos_ends_each_turn else 0)

    def around_answer(self, turns: Sequence[Turn], sample_id: str) -> tuple[str, str]:
        """Return what stands before and after an answer to these turns, once it is there."""
        rendered = self.render((*turns, ("assistant", _PROBE_ANSWER)), False, sample_id)
        before, _, after = rendered.partition(_PROBE_ANSWER)
        return before, after

    @functools.cached_property
    def asks_as_it_answers(self) -> bool:
        """Return whether what asks for an answer is what stands before one that is there, but for white space."""
        question, answer = ("user", "?"), ("assistant", "!")
        for turns in ((question,), (question, answer, question)):
            try:
                asked, (before, _) = self.render(turns, True, "(probe)"), self.around_answer(turns, "(probe)")
            except SampleError:
                continue
            if not before.startswith(asked) or before[len(asked) :].strip():
                return False
        return True

    def ends_with_special(self, text: str) -> bool:
        """Return whether a token of the chat's layout is the last one of a text."""
        return text.endswith(tuple(self._special | {str(self.tokenizer.eos_token)}))

    @functools.cached_property
    def end_of_earlier_answer(self) -> str:
        """What ends an answer that another turn follows, up to the end token; empty where there is no such token."""
        turns = (("user", "?"), ("assistant", f"!{_PROBE_END}"), ("user", "?"), ("assistant", "!"))
        try:
            _, _, rest = self.render(turns, False, "(probe)").partition(_PROBE_END)
        except SampleError:
            return ""
        return rest[: self.past_end_token(rest, 0)]

    @functools.cached_property
    def _eos_ends_each_turn(self) -> bool:
        """Return whether the LLM's own end token follows another one after every answer, and not only after the last.

        Command R7B's template does this: `<|END_RESPONSE|><|END_OF_TURN_TOKEN|>`. Phi-4's has one at the end of
        everything.
        """
        eos = self.tokenizer.eos_token
        if eos is None or eos == self.tokenizer.bos_token:
            return False
        turns = (("user", "?"), ("assistant", f"!{_PROBE_END}"), ("user", "?"), ("assistant", "!"))
        try:
            _, _, rest = self.render(turns, False, "(probe)").partition(_PROBE_END)
        except SampleError:
            return False
        run = self._end_tokens.match(rest)
        return run is not None and str(eos) in run.group()

    def is_special(self, token_id: int) -> bool:
        """Return whether this is a token of the chat's layout."""
        return str(self.tokenizer.decode([token_id])).strip() in self._special


def with_marks(text: str, start: str, end: str) -> str:
    """Put a mark at either end of the text, inside the white space that templates may strip."""
    core = text.strip()
    if not core:
        return text
    first = text.index(core)
    return f"{text[:first]}{start}{core}{end}{text[first + len(core) :]}"


def _parts(content: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": content}]
