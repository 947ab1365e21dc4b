"""Media that stand apart from the text, put in the places that marks in the text give them."""

import re
from collections.abc import Iterator, Mapping, Sequence

from omni.samples.messages import Media, SampleError, Text

# Mark in a text -> modality. `<audio>` and `<sound>` are two spellings of one mark.
MARKS = {
    "<image>": "image",
    "<video>": "video",
    "<audio>": "sound",
    "<sound>": "sound",
    "<speech>": "speech",
    "<point_cloud>": "point_cloud",
    "<depth>": "depth",
    "<thermal>": "thermal",
    "<imu>": "imu",
}
_MARK = re.compile("|".join(map(re.escape, MARKS)))


class MediaQueue:
    """Hands out the media of one sample in order, by modality, and notices when their number does not fit."""

    def __init__(self, sample_id: str, media: Mapping[str, Sequence[Media]]) -> None:
        self.sample_id = sample_id
        self._waiting: dict[str, Iterator[Media]] = {modality: iter(items) for modality, items in media.items()}
        self._given = {modality: len(items) for modality, items in media.items()}
        self._asked: dict[str, int] = {}

    def next(self, modality: str) -> Media | None:
        """Return the next item of `modality`, or None if there is none left, which `check` then reports."""
        self._asked[modality] = self._asked.get(modality, 0) + 1
        return next(self._waiting.get(modality, iter(())), None)

    def check(self) -> None:
        """Raise SampleError unless every place got its item and every item its place."""
        for modality in {**self._given, **self._asked}:
            given, asked = self._given.get(modality, 0), self._asked.get(modality, 0)
            if given != asked:
                reason = f"the text has {asked} place(s) for {modality} items, but the row has {given}"
                raise SampleError(self.sample_id, f"{reason}; make the two numbers equal")


def split_at_marks(text: str, queue: MediaQueue) -> tuple[Text | Media, ...]:
    """Split a text at marks such as `<image>`; line breaks next to a mark belong to the mark and go with
    it."""
    parts: list[Text | Media] = []
    position = 0
    for match in _MARK.finditer(text):
        parts += _text_part(text[position : match.start()], after_mark=position > 0, before_mark=True)
        media = queue.next(MARKS[match.group()])
        parts += [] if media is None else [media]
        position = match.end()
    parts += _text_part(text[position:], after_mark=position > 0, before_mark=False)
    return tuple(parts)


def _text_part(text: str, after_mark: bool, before_mark: bool) -> list[Text | Media]:
    text = text.lstrip("\n") if after_mark else text
    text = text.rstrip("\n") if before_mark else text
    return [Text(text)] if text.strip() else []
