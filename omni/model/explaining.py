"""Explain an answer: run the model with its attention written down, and again with each part of each medium hidden.

Everything goes through the path that training and scores take: `prepare`, encoders, adapters, `token_log_likelihoods`.
Shapes: T tokens of the answer, W words, Q media tokens, C clips, N features of a clip, L length of the conversation.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from omni.encoders.media_input import MediaInput
from omni.explaining.cost import Cost, cost_of
from omni.explaining.explanation import ExplainedMedium, Explanation
from omni.explaining.words import Word, words_of
from omni.media.parts import MediaParts, cut
from omni.model.attention import media_attention
from omni.model.batch import Example
from omni.model.core import ModelCore
from omni.model.inference import generate
from omni.model.preparation import Messages, is_single, parse_conversation
from omni.prompts.chat_layout import IGNORED_LABEL
from omni.samples.messages import Media, Message, Sample, SampleError, Text

logger = logging.getLogger(__name__)

PARTS = 49  # a picture in 7 x 7, the grid of many encoders
_READ_OTHERWISE = (
    "Put together from its parts the medium is not quite what the encoder reads from the item itself; the drops are "
    "those from the whole, put together in the same way."
)


class AnsweredConversation:
    """A conversation with its answer, whose media are cut into parts that can be hidden.

    Args:
        model: the model.
        messages: a conversation that ends with the user's turn.
        answer: what the assistant says.
        parts: the most parts of each medium.
        frequency_bands: bands into which the windows of sounds are cut too.

    Raises:
        ValueError: there is nothing to explain: no medium, an empty answer, or arguments out of range.
        SampleError: the conversation does not fit the model or its context.
        MediaError: a medium cannot be read.
    """

    def __init__(
        self,
        model: ModelCore,
        messages: Messages | Sample,
        answer: str,
        *,
        parts: int = PARTS,
        frequency_bands: int = 1,
    ) -> None:
        for name, value in (("parts", parts), ("frequency_bands", frequency_bands)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number from 1 on, got {value!r}")
        if not isinstance(answer, str) or not answer.strip():
            raise ValueError(f"the answer to explain must be a text that is not empty, got {answer!r}")
        self.id, turns = parse_question(model, messages)
        self.model = model
        self.media: list[Media] = [item for turn in turns for item in turn.media]
        answered = (*turns, Message("assistant", (Text(answer),)))
        example = _last_answer(model, model.prepare(Sample(self.id, answered), answer=True), answered)
        self.parts = [self._cut(media, parts, frequency_bands) for media in self.media]
        if all(one is None for one in self.parts):
            raise ValueError("no medium of the conversation can be explained. " + " ".join(map(self.uncut, self.media)))
        self.cost = cost_of([0 if one is None else _count(one) for one in self.parts], example.length)
        self.example = model.encode_media([example])[0]

    @property
    def answer_ids(self) -> list[int]:
        """The ids of the answer's tokens, those that end it included: [T]."""
        return self.example.labels[self.example.labels != IGNORED_LABEL].tolist()

    def words(self, log_likelihoods: Sequence[float]) -> list[Word]:
        """Return the words of the answer, from the log-likelihoods of its tokens [T].

        Raises:
            ValueError: it has none, only tokens that end it or are no text.
        """
        found = words_of(self.model.llm.tokenizer, self.answer_ids, log_likelihoods)
        if not found:
            raise ValueError("the answer to explain has no word, only special tokens of the LLM")
        return found

    def log_likelihoods(self) -> np.ndarray:
        """Return the log-likelihood of each token of the answer, [T] in nats."""
        return self._score([self.example])[0]

    def without(self, index: int, hidden: Sequence[np.ndarray], batch_size: int = 16) -> np.ndarray:
        """Return the log-likelihood of each token with parts of the medium `index` hidden, [len(hidden), T].

        Args:
            index: which of `media`, one that could be cut.
            hidden: which parts, bool of the parts' shape, each.
            batch_size: conversations in one call; changes the speed, not the numbers.
        """
        found = []
        for start in range(0, len(hidden), batch_size):
            items = [self._hide(index, one) for one in hidden[start : start + batch_size]]
            examples = [self._with(index, item) for item in items]
            found.append(self._score(examples))
        return np.concatenate(found)

    def is_read_alike(self, index: int) -> bool:
        """Whether a medium with nothing hidden is to its encoder what the item itself is."""
        whole = self._hide(index, self._nothing(index)).inputs
        media = self.media[index]
        own = self.model.modality(media.modality).encoder.preprocess(media)
        return whole is not None and all(
            one.shape == own[name].shape and torch.allclose(one.float(), own[name].float(), atol=1e-4)
            for name, one in whole.items()
        )

    def occlusion(self, index: int, words: Sequence[Word], batch_size: int = 16) -> np.ndarray | None:
        """Return the drop of each word's log-likelihood without each part of a medium, [W, *parts]; None = not cut."""
        parts = self.parts[index]
        if parts is None:
            return None
        shape = self._nothing(index).shape
        one_each = np.eye(int(np.prod(shape)), dtype=bool).reshape(-1, *shape)
        scores = self.without(index, [self._nothing(index), *one_each], batch_size)  # [1 + parts, T]
        drops = scores[0] - scores[1:]
        return np.stack([drops[:, word.start : word.end].sum(1) for word in words]).reshape(-1, *shape)

    def uncut(self, media: Media) -> str:
        """Return one sentence on why a medium could not be cut."""
        name = self.model.modality(media.modality).encoder.class_name
        return (
            f"Which parts {media.describe()} has is not known: its encoder, {name}, can say so by `medium` or "
            "`media_parts` (docs/explaining.md)."
        )

    def _cut(self, media: Media, most: int, frequency_bands: int) -> MediaParts | None:
        encoder = self.model.modality(media.modality).encoder
        return encoder.media_parts(media, most) or cut(media, encoder.medium, most, frequency_bands)

    def _nothing(self, index: int) -> np.ndarray:
        parts = self.parts[index]
        assert parts is not None
        return np.zeros([axis.size for axis in parts.axes], dtype=bool)

    def _hide(self, index: int, hidden: np.ndarray) -> MediaInput:
        """The medium without these parts, which no cache keeps."""
        parts = self.parts[index]
        assert parts is not None
        encoder = self.model.modality(self.media[index].modality).encoder
        inputs = encoder.preprocess(parts.hide(hidden))
        return replace(self.example.media[index], inputs=inputs, features=None, content_hash=None)

    def _with(self, index: int, item: MediaInput) -> Example:
        media = [*self.example.media]
        media[index] = item
        return replace(self.example, media=media)

    @torch.no_grad()
    def _score(self, examples: Sequence[Example]) -> np.ndarray:
        embedded = self.model.embed_examples(examples)
        return torch.stack(self.model.token_log_likelihoods(examples, embedded)).double().cpu().numpy()


def explain(
    model: ModelCore,
    messages: Messages | Sample,
    answer: str,
    *,
    parts: int,
    frequency_bands: int,
    attention: bool,
    occlusion: bool,
    batch_size: int,
    on_cost: Callable[[Cost], None] | None,
) -> Explanation:
    """See `OmniModel.explain`."""
    if batch_size < 1 or not (attention or occlusion):
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1, and one of the two measures is needed")
    with _evaluating(model):  # nothing drops out
        told = AnsweredConversation(model, messages, answer, parts=parts, frequency_bands=frequency_bands)
        logger.info("explaining %r: %s", answer, told.cost)
        if on_cost is not None:
            on_cost(told.cost)
        words = told.words(told.log_likelihoods().tolist())
        looked = media_attention(model, told.example, told.media, told.parts, words) if attention else None
        media = []
        for index, item in enumerate(told.media):
            own, notes = (None, ()) if looked is None else looked[index]
            notes = [*notes]
            cut_parts = told.parts[index]
            if cut_parts is None:
                notes = [told.uncut(item)]
            elif occlusion and not told.is_read_alike(index):
                notes.append(_READ_OTHERWISE)
            needed = told.occlusion(index, words, batch_size) if occlusion else None
            media.append(ExplainedMedium(item.modality, item.describe(), cut_parts, own, needed, tuple(notes)))
    return Explanation(answer, tuple(words), tuple(media), told.cost)


@contextmanager
def _evaluating(model: ModelCore) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def answer_to_explain(model: ModelCore, messages: Messages | Sample) -> str:
    """Return the model's own answer to a conversation that can be explained.

    Raises:
        ValueError: the conversation has no media, or the answer is empty.
    """
    parse_question(model, messages)
    answer = cast(str, generate(model, messages, None))
    if not answer.strip():
        raise ValueError("the model's answer to this conversation is empty; give the answer to explain as `answer`")
    return answer


def parse_question(model: ModelCore, messages: Messages | Sample) -> tuple[str, tuple[Message, ...]]:
    """Return id and turns of one conversation that ends with the user's turn and has media.

    Raises:
        ValueError: it is no conversation, several of them, or one without media.
        SampleError: the last turn is the assistant's.
    """
    if not is_single(messages):
        raise ValueError("explain takes one conversation at a time, a list of messages; got several, or none")
    sample_id, turns = parse_conversation(messages, [*model.modalities])
    if turns[-1].role == "assistant":
        reason = "the last turn is the assistant's; leave it out, and give its text as `answer`"
        raise SampleError(sample_id, reason)
    if not any(turn.media for turn in turns):
        raise ValueError("the conversation has no media that an answer could stand on; an explanation maps media alone")
    return sample_id, turns


def _last_answer(model: ModelCore, example: Example, answered: Sequence[Message]) -> Example:
    """The example with labels at the tokens of its last answer alone."""
    layout = model.conversation.encode(answered, answer=True, sample_id=example.id)
    count = sum(label != IGNORED_LABEL for label in layout.labels[layout.answer_start :])
    places = (example.labels != IGNORED_LABEL).nonzero().flatten()[-count:]
    labels = torch.full_like(example.labels, IGNORED_LABEL)
    labels[places] = example.labels[places]
    return replace(example, labels=labels)


def _count(parts: MediaParts) -> int:
    return int(np.prod([axis.size for axis in parts.axes]))
