"""Checks of whole samples: texts that no tokenizer takes, and answers that training needs."""

from collections.abc import Iterator, Mapping
from typing import Any

from omni.media.item import shorten
from omni.samples.sample import Sample, SampleError


def check_unicode(sample: Sample) -> Sample:
    """Return the sample; raise SampleError if a text holds half a character, as JSON cut within an escape does.

    No tokenizer takes such a text, nor can it be written to a file.
    """
    names = [sample.id, *(item.path for item in sample.media)]
    texts = [*(message.text for message in sample.messages), sample.meta]
    # file names may hold bytes that are not text, which Python writes as lone surrogates
    for value, errors in [(name, "surrogateescape") for name in _texts(names)] + [(t, "strict") for t in _texts(texts)]:
        try:
            value.encode(errors=errors)
        except UnicodeEncodeError as error:
            half = ascii(value[error.start])
            shown = shorten(value.encode(errors="replace").decode())
            raise SampleError(
                ascii(sample.id)[1:-1], f"the text {shown} holds half a character ({half}); correct or remove it"
            ) from None
    return sample


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def check_answer(sample: Sample) -> None:
    """Check that a sample can be trained on: every assistant turn has text, and the last turn is the assistant's.

    Raises:
        SampleError: there is no answer or an empty one.
    """
    answers = [message for message in sample.messages if message.role == "assistant"]
    if not answers:
        raise SampleError(sample.id, "there is no assistant turn, so nothing to learn; add the answer as one")
    if not all(answer.text.strip() for answer in answers):
        raise SampleError(sample.id, "the answer is empty: an assistant turn has no text; fill it in or remove the row")
    if sample.messages[-1].role != "assistant":
        raise SampleError(sample.id, "the last turn is not the assistant's; add its answer or remove the turn")
