"""Rows whose media give way to their own text, so that a model of embeddings can be trained on texts alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from omni.media.item import Media
from omni.readers.dataset import SampleDataset
from omni.samples.messages import Message, Sample, SampleError, Text


class AnswersAsMedia(SampleDataset):
    """The rows of `dataset`, each with its last answer as its only media item, in front of the first user turn.

    The row's own media are left out, and need not exist.

    modality: the modality of the new item, whose data is UTF-8 text.
    """

    def __init__(self, dataset: SampleDataset, modality: str) -> None:
        if dataset.stream is not None:
            raise ValueError("media_from_answer does not go with tar shards; write their captions into a manifest")
        self.dataset = dataset
        self.modality = modality

    def __len__(self) -> int:
        return len(self.dataset)

    def fingerprint(self, rows: Sequence[int]) -> str:
        return self.dataset.fingerprint(rows)

    def _read(self, index: int) -> Sample:
        sample = self.dataset[index]
        if isinstance(sample, SampleError):
            raise sample
        answer = sample.last_answer or ""
        if not answer.strip():
            raise SampleError(sample.id, "media_from_answer: there is no answer to make a media item of")
        media = Media(self.modality, data=answer.encode())
        return replace(sample, messages=tuple(_with_media(sample.messages, media)))


def _with_media(messages: tuple[Message, ...], media: Media) -> Iterator[Message]:
    first = next(number for number, message in enumerate(messages) if message.role == "user")
    for number, message in enumerate(messages):
        texts = tuple(part for part in message.content if isinstance(part, Text))
        yield replace(message, content=(media, *texts) if number == first else texts)
