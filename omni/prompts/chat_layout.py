"""Messages -> token ids, labels and media placeholders, laid out by the LLM's own chat template.

The whole conversation is rendered as text by the template, with a mark in place of each media item and marks around
each answer. The text between two media is then tokenised in one piece, so the ids are those of the template's
own text, and the marks only tell, by character offsets, where media stand and which tokens are answers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from transformers import PreTrainedTokenizerBase

from omni.prompts.asked_layout import as_asked, text_that_asks
from omni.prompts.chat_template import ChatTemplate, with_marks
from omni.prompts.control_tokens import BREAK, ControlTokens
from omni.samples.messages import Media, Message, SampleError, Text

_MAX_REMEMBERED = 200_000  # tokens of laid out conversations: some 20 MB

MEDIA_SLOT = -1  # stands in the token ids where one media item's tokens go
IGNORED_LABEL = -100  # torch.nn.functional.cross_entropy's default

# Private-use characters: no tokenizer's vocabulary or user's text has a use for them.
_MEDIA_MARK, _ANSWER_START, _ANSWER_END = "\ue000", "\ue001", "\ue002"
_QUESTION_START, _QUESTION_END = "\ue003", "\ue004"
_MARKS = re.compile(f"[{_MEDIA_MARK}{_ANSWER_START}{_ANSWER_END}{_QUESTION_START}{_QUESTION_END}{BREAK}]")
_QUESTION_MARKS = re.compile(f"[{_QUESTION_START}{_QUESTION_END}]")


@dataclass(frozen=True)
class Layout:
    """A conversation as the LLM will read it; media items are single slots that their tokens will replace."""

    token_ids: list[int]  # MEDIA_SLOT where a media item stands
    labels: list[int]  # the token id at answer tokens, IGNORED_LABEL elsewhere
    media: list[Media]  # in the order of the slots
    instructions: list[str]  # for each media item, the user's text that goes with it
    answer_start: int  # where the labels of the last answer begin; the length if there is no answer


class ChatLayout:
    """Lays out conversations for one LLM. Picklable, so it works in data-loading workers.

    Args:
        tokenizer: the LLM's, a fast one.
        cues: modality -> the text before its tokens.
        system: system message where a conversation has none; None = the template's default.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, cues: dict[str, str], system: str | None = None) -> None:
        self.tokenizer = tokenizer
        self.template = ChatTemplate(tokenizer)
        self.control_tokens = ControlTokens(tokenizer)
        self.cues = cues
        self.system = system
        self._remembered: dict[Any, tuple[list[int], list[int], int]] = {}
        self._num_remembered = 0

    def encode(
        self,
        messages: Sequence[Message],
        *,
        answer: bool,
        questions: bool = False,
        sample_id: str = "(conversation)",
    ) -> Layout:
        """Lay out `messages`; with `answer` they end with the assistant's turn, else the layout asks for it.

        With `questions` the text of user turns has labels too, up to the token that ends the turn (if there is one):
        not their media, cues, or what the layout says around them.

        Raises:
            SampleError: a modality that the model does not have, no answer where one is needed, or a conversation
                that the layout has no place for.
        """
        messages = [self._strip(message) for message in messages]
        if answer and (not messages or messages[-1].role != "assistant"):
            raise SampleError(sample_id, "the last turn must be the assistant's answer")
        if self.system is not None and messages and messages[0].role != "system":
            messages = [Message("system", (Text(self.system),)), *messages]
        for item in (item for message in messages for item in message.media):
            if item.modality not in self.cues:
                raise SampleError(
                    sample_id, f"the model has no modality {item.modality!r}; it has {sorted(self.cues) or 'none'}"
                )
        return self._lay_out(messages, answer, questions, sample_id)

    def _lay_out(self, messages: list[Message], answer: bool, questions: bool, sample_id: str) -> Layout:
        """Lay out messages that were checked, the system message among them; the arguments are those of `encode`."""
        if questions:
            messages = [_mark_questions(message) for message in messages]
        messages = self._with_system_in_user_turn(messages)
        media = [item for message in messages for item in message.media]
        turns = tuple((message.role, self._content(message)) for message in messages)
        token_ids, labels, answer_start = self._tokens_of(turns, not answer, sample_id)
        if token_ids.count(MEDIA_SLOT) != len(media):
            raise SampleError(sample_id, "the LLM's chat template repeats a message that holds media")
        return Layout([*token_ids], [*labels], media, instructions(messages), answer_start)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_remembered": {}, "_num_remembered": 0}

    def _tokens_of(
        self, turns: tuple[tuple[str, str], ...], generation: bool, sample_id: str
    ) -> tuple[list[int], list[int], int]:
        """Token ids, labels and where those of the last answer begin.

        They are remembered: when many media are asked the same question with the same candidates, the texts are always
        the same.
        """
        key = (turns, generation)
        if key not in self._remembered:
            plain = tuple((role, _QUESTION_MARKS.sub("", content)) for role, content in turns)
            self.template.check_all_is_said(plain, generation, sample_id)
            text, answers = self._mark_answers(plain, generation, sample_id)
            questions = [] if plain == turns else self._find_questions(turns, text, generation, sample_id)
            if generation:
                text = text_that_asks(self.template, plain, text, sample_id)
            elif answers:
                text, answers[-1] = as_asked(self.template, plain, text, answers[-1], sample_id)
            found = self._tokenize(text, answers, questions)
            if self._num_remembered + len(found[0]) > _MAX_REMEMBERED:
                self._remembered, self._num_remembered = {}, 0
            self._remembered[key] = found
            self._num_remembered += len(found[0])
            return found
        return self._remembered[key]

    def _with_system_in_user_turn(self, messages: list[Message]) -> list[Message]:
        """The messages, with the system message at the head of the first user turn where the template has no system
        role (as Gemma's)."""
        if [message.role for message in messages[:2]] != ["system", "user"] or self.template.has_system_role:
            return messages
        head = [part for part in messages[0].content if not isinstance(part, Text) or part.text.strip()]
        gap = [Text("\n\n")] if head else []
        return [Message("user", (*head, *gap, *messages[1].content)), *messages[2:]]

    def end_token_ids(self) -> list[int]:
        """Return the ids of the tokens with which this layout ends an answer."""
        probe = [Message("user", (Text("?"),)), Message("assistant", (Text("!"),))]
        labels = self.encode(probe, answer=True).labels
        last_ones = {
            label for label, after in pairwise([*labels, IGNORED_LABEL]) if label >= 0 and after == IGNORED_LABEL
        }
        ends = {last for last in last_ones if self.template.is_special(last)}
        eos = self.tokenizer.eos_token_id
        return sorted(ends | ({eos} if isinstance(eos, int) else set()))

    def _strip(self, message: Message) -> Message:
        parts = [
            replace(part, text=_MARKS.sub("", part.text)) if isinstance(part, Text) else part
            for part in message.content
        ]
        if any(BREAK in self.control_tokens.broken(text) for text in _runs(parts)):
            parts = [
                replace(part, text=self.control_tokens.broken(part.text)) if isinstance(part, Text) else part
                for part in _joined(parts)
            ]
        if message.role == "assistant":  # templates differ in whether they strip answers: do it for all
            parts = _stripped(parts)
        return Message(message.role, tuple(parts))

    def _content(self, message: Message) -> str:
        """One string: cue and mark for each media item, a line break between a media item and its neighbours."""
        content = ""
        previous: Text | Media | None = None
        for part in message.content:
            piece = part.text if isinstance(part, Text) else self.cues.get(part.modality, "") + _MEDIA_MARK
            both_text = isinstance(previous, Text) and isinstance(part, Text)
            if content and not both_text and not content[-1].isspace() and not piece[:1].isspace():
                content += "\n"
            content += piece
            previous = part
        return content

    def _mark_answers(
        self, turns: Sequence[tuple[str, str]], generation: bool, sample_id: str
    ) -> tuple[str, list[tuple[int, int]]]:
        """The rendered text and the character spans of its answers, end tokens included."""
        text = self.template.render(turns, generation, sample_id)
        answers = [index for index, (role, _) in enumerate(turns) if role == "assistant"]
        marked = [
            (role, _ANSWER_START + content + _ANSWER_END if role == "assistant" else content) for role, content in turns
        ]
        marked_text = self.template.render(marked, generation, sample_id)
        if re.sub(f"[{_ANSWER_START}{_ANSWER_END}]", "", marked_text) == text:
            spans = _marked_spans(marked_text, _ANSWER_START, _ANSWER_END)
            if len(spans) == len(answers):
                starts = [
                    self._start_by_prefix(turns, index, text, sample_id) if start is None else start
                    for index, (start, _) in zip(answers, spans, strict=True)
                ]
                return text, [
                    (start, self.template.past_end_token(text, end))
                    for start, (_, end) in zip(starts, spans, strict=True)
                ]
        return text, [self._span_by_prefix(turns, index, text, sample_id) for index in answers]

    def _find_questions(
        self, turns: Sequence[tuple[str, str]], text: str, generation: bool, sample_id: str
    ) -> list[tuple[int, int]]:
        """The character spans in `text` of what is marked as a question in `turns`, end tokens included."""
        marked_text = self.template.render(turns, generation, sample_id)
        spans = _marked_spans(marked_text, _QUESTION_START, _QUESTION_END)
        expected = sum(content.count(_QUESTION_END) for _, content in turns)
        if _QUESTION_MARKS.sub("", marked_text) != text or len(spans) != expected:
            raise SampleError(sample_id, "cannot tell where the LLM's chat template puts the user's text")
        return [(start, self.template.past_end_token(text, end)) for start, end in spans if start is not None]

    def _start_by_prefix(self, turns: Sequence[tuple[str, str]], index: int, text: str, sample_id: str) -> int:
        """Where a template rewrites answers: the answer starts where the text before it, asking for it, ends."""
        for thinking in (False, True):
            before = self.template.render(turns[:index], True, sample_id, thinking)
            if text.startswith(before):
                return len(before)
        before, _ = self.template.around_answer(turns[:index], sample_id)
        if text.startswith(before):
            return len(before)
        raise SampleError(sample_id, f"cannot tell where the LLM's chat template puts the answer of turn {index + 1}")

    def _span_by_prefix(
        self, turns: Sequence[tuple[str, str]], index: int, text: str, sample_id: str
    ) -> tuple[int, int]:
        following = self.template.render(turns[: index + 1], False, sample_id).rstrip()
        if not text.startswith(following):
            raise SampleError(
                sample_id, f"cannot tell where the LLM's chat template ends the answer of turn {index + 1}"
            )
        return self._start_by_prefix(turns, index, text, sample_id), len(following)

    def _tokenize(
        self, text: str, answers: list[tuple[int, int]], questions: list[tuple[int, int]]
    ) -> tuple[list[int], list[int], int]:
        token_ids: list[int] = []
        labels: list[int] = []
        answer_start: int | None = None
        last_begin = answers[-1][0] if answers else len(text)
        spans = self._without_cues(text, [*answers, *questions])
        start = 0
        for piece in re.split(f"({_MEDIA_MARK})", text):
            if piece == _MEDIA_MARK:
                token_ids.append(MEDIA_SLOT)
                labels.append(IGNORED_LABEL)
            elif piece:
                for token_id, (first, last) in zip(*self.control_tokens.tokenize(piece), strict=True):
                    inside = any(first + start < stop and last + start > begin for begin, stop in spans)
                    if inside and answer_start is None and last + start > last_begin:
                        answer_start = len(token_ids)
                    token_ids.append(token_id)
                    labels.append(token_id if inside else IGNORED_LABEL)
            start += len(piece)
        return token_ids, labels, len(token_ids) if answer_start is None else answer_start

    def _without_cues(self, text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The spans without the media in them and their cues, which neither the user nor the assistant wrote."""
        for match in re.finditer(_MEDIA_MARK, text):
            cues = [cue for cue in self.cues.values() if text.endswith(cue, 0, match.start())]
            cue_start = len(
                text[: match.start() - max(map(len, cues), default=0)].rstrip()
            )  # some tokens begin with it
            spans = [
                piece
                for begin, stop in spans
                for piece in ((begin, min(stop, cue_start)), (max(begin, match.end()), stop))
                if piece[0] < piece[1]
            ]
        return [*spans]


def _joined(parts: Sequence[Text | Media]) -> list[Text | Media]:
    """Parts, of which texts next to each other have become one."""
    joined: list[Text | Media] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(last, Text):
            joined[-1] = Text(last.text + part.text)
        else:
            joined.append(part)
    return joined


def _runs(parts: Sequence[Text | Media]) -> list[str]:
    """The texts of parts, those next to each other as one."""
    return [part.text for part in _joined(parts) if isinstance(part, Text)]


def _stripped(parts: Sequence[Text | Media]) -> list[Text | Media]:
    """Parts without white space at either end; texts next to each other become one."""
    joined = _joined(parts)
    if joined and isinstance(joined[0], Text):
        joined[0] = Text(joined[0].text.lstrip())
    if joined and isinstance(joined[-1], Text):
        joined[-1] = Text(joined[-1].text.rstrip())
    return joined


def _mark_questions(message: Message) -> Message:
    """The message with marks around the texts of a user turn, inside the white space that templates may strip."""
    if message.role != "user":
        return message
    parts = [
        replace(part, text=with_marks(part.text, _QUESTION_START, _QUESTION_END)) if isinstance(part, Text) else part
        for part in message.content
    ]
    return Message(message.role, tuple(parts))


def _marked_spans(marked_text: str, start_mark: str, end_mark: str) -> list[tuple[int | None, int]]:
    """Spans up to each end mark, in the coordinates of the text without marks; start None where its mark is lost."""
    spans: list[tuple[int | None, int]] = []
    start = None
    for removed, match in enumerate(re.finditer(f"[{start_mark}{end_mark}]", marked_text)):
        position = match.start() - removed
        if match.group() == start_mark:
            start = position
        else:
            spans.append((start, position))
            start = None
    return spans


def instructions(messages: Sequence[Message]) -> list[str]:
    """Return for each media item the text of its own user turn, or of the next user turn that has any."""
    found: list[str] = []
    for index, message in enumerate(messages):
        if message.media:
            later = (_MARKS.sub("", turn.text).strip() for turn in messages[index:] if turn.role == "user")
            found += [next((text for text in later if text), "")] * len(message.media)
    return found
