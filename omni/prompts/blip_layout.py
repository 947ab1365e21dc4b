"""Messages -> token ids without a chat template: pieces of text that are tokenised each by itself, media before text.

The layout of BLIP-2 (Li et al. 2023, arXiv 2301.12597), InstructBLIP (Dai et al. 2023, arXiv 2305.06500) and
X-InstructBLIP (Panagopoulou et al. 2023, arXiv 2311.18799), as their public code makes it.
"""

from transformers import PreTrainedTokenizerBase

from omni.config import PromptConfig
from omni.prompts.chat_layout import IGNORED_LABEL, MEDIA_SLOT, ChatLayout, Layout, instructions
from omni.samples.messages import Media, Message, SampleError, Text

_MOST_REMEMBERED = 10_000  # pieces; most occur again and again, such as cues and the candidates of a question


class BlipLayout(ChatLayout):
    """Lays out conversations as a `PromptConfig` says. Picklable, so it works in data-loading workers.

    Args:
        tokenizer: the LLM's, a fast one.
        cues: modality -> the text before its tokens, a piece of its own; "" = none.
        prompt: the layout.
        system: system message where a conversation has none: a piece before all others; None = none.

    Raises:
        ValueError: a start or end token that is not one token of this tokenizer.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, cues: dict[str, str], prompt: PromptConfig, system: str | None = None
    ) -> None:
        super().__init__(tokenizer, cues, system)
        self.prompt = prompt
        self._ids_of: dict[str, list[int]] = {}
        self._start = [] if prompt.start_token is None else [self._single_id("start_token", prompt.start_token)]
        if prompt.answer_end is not None:
            self._end = self._single_id("answer_end", prompt.answer_end)
        elif isinstance(tokenizer.eos_token_id, int):
            self._end = tokenizer.eos_token_id
        else:
            raise ValueError("model.prompt.answer_end: the LLM's tokenizer has no end token, so name one")

    def end_token_ids(self) -> list[int]:
        """Return the ids of the tokens that end an answer."""
        eos = self.tokenizer.eos_token_id
        return sorted({self._end} | ({eos} if isinstance(eos, int) else set()))

    def _lay_out(self, messages: list[Message], answer: bool, questions: bool, sample_id: str) -> Layout:
        """Lay out messages that were checked; the media of a turn stand before its text."""
        pieces = _Pieces(self._start, self.prompt.start == "each")
        has_text = False
        for message in messages:
            if message.role == "assistant":
                if message.media:
                    raise SampleError(sample_id, "an assistant turn holds media, for which this layout has no place")
                self._add_answer(pieces, message.text, has_text)
                continue
            has_text = self._add_turn(pieces, message, questions)
        if not answer and not self.prompt.show_text:
            pieces.add_start()  # the start of an answer that follows no text
        answer_start = pieces.answer_start if answer else len(pieces.token_ids)
        return Layout(pieces.token_ids, pieces.labels, pieces.media, instructions(messages), answer_start)

    def _add_turn(self, pieces: "_Pieces", message: Message, questions: bool) -> bool:
        """Add a turn of the user or the system; return whether it shows text to the LLM."""
        is_user = message.role == "user"
        if is_user and self.prompt.prefix:
            pieces.add(self._ids(self.prompt.prefix))
        for item in message.media:
            if self.cues[item.modality]:
                pieces.add(self._ids(self.cues[item.modality]))
            pieces.add_media(item)
        text = _text_of(message)
        if not is_user:
            if text:
                pieces.add(self._ids(text))
            return False
        if not self.prompt.show_text:
            return False
        num_labels = self._num_tokens_of(text) if questions else 0
        pieces.add(self._ids(text + self.prompt.postfix), num_labels)
        return bool(text + self.prompt.postfix)

    def _add_answer(self, pieces: "_Pieces", text: str, has_text: bool) -> None:
        if has_text:
            text = self.prompt.answer_prefix + text
        ids = [*self._ids(text), self._end]
        pieces.add_answer(ids if self.prompt.show_text else [*self._start, *ids])

    def _ids(self, text: str) -> list[int]:
        if text not in self._ids_of:
            if len(self._ids_of) >= _MOST_REMEMBERED:
                self._ids_of.clear()
            self._ids_of[text] = self.control_tokens.tokenize(text)[0]
        return self._ids_of[text]

    def _num_tokens_of(self, text: str) -> int:
        """How many tokens of a user's piece begin in their own text, and not in the postfix."""
        _, offsets = self.control_tokens.tokenize(text + self.prompt.postfix)
        return sum(first < len(text) for first, _ in offsets)

    def _single_id(self, key: str, token: str) -> int:
        ids = self.tokenizer(token, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            raise ValueError(
                f"model.prompt.{key}: {token!r} is not one token of this LLM's tokenizer but {len(ids)}; its end token "
                f"is {self.tokenizer.eos_token!r}"
            )
        return int(ids[0])


class _Pieces:
    """Token ids and labels as they come together."""

    def __init__(self, start: list[int], starts_each: bool) -> None:
        self.token_ids: list[int] = []
        self.labels: list[int] = []
        self.media: list[Media] = []
        self.answer_start = 0
        self._start = start
        self._starts_each = starts_each
        self._has_piece = False

    def add(self, ids: list[int], num_labels: int = 0) -> None:
        """Add a piece of text, with its start token where it has one; its first `num_labels` tokens get labels."""
        start = self._start if self._starts_each or not self._has_piece else []
        self._has_piece = True
        self.token_ids += [*start, *ids]
        self.labels += [IGNORED_LABEL] * len(start) + ids[:num_labels] + [IGNORED_LABEL] * (len(ids) - num_labels)

    def add_start(self) -> None:
        """Add the start token alone."""
        self.token_ids += self._start
        self.labels += [IGNORED_LABEL] * len(self._start)

    def add_media(self, item: Media) -> None:
        """Add the place of a media item's tokens."""
        self.token_ids.append(MEDIA_SLOT)
        self.labels.append(IGNORED_LABEL)
        self.media.append(item)

    def add_answer(self, ids: list[int]) -> None:
        """Add an answer, all of whose tokens get labels."""
        self.answer_start = len(self.token_ids)
        self._has_piece = True
        self.token_ids += ids
        self.labels += ids


def _text_of(message: Message) -> str:
    """A turn's text without the white space around it; texts with media between them are joined by a blank."""
    texts: list[str] = []
    previous: Text | Media | None = None
    for part in message.content:
        if isinstance(part, Text):
            if isinstance(previous, Text):
                texts[-1] += part.text
            else:
                texts.append(part.text)
        previous = part
    return " ".join(text.strip() for text in texts if text.strip())
