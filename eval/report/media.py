"""Media for a self-contained page: pictures and players as data URIs, within a budget of bytes.

What is shown of an item is its preview (`omni.previews`), the one of the model's encoder where the model is at hand.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from PIL import Image

from eval.report.words import length
from omni.encoders.base import Encoder
from omni.previews import Curves, Film, Picture, Player, Shape, Words, preview
from omni.samples.messages import Media

GALLERY_PIXELS, LARGE_PIXELS = 280, 560
# Sounds are cut to so many seconds and put at this rate (Hz), in Ogg Vorbis.
SOUND_SECONDS = 8
SOUND_RATE = 16_000


@dataclass(frozen=True)
class Shown:
    """How a page shows one media item.

    Attributes:
        modality: its modality.
        label: its file's name, or a few words.
        picture: data URI of a picture; empty = none.
        sound: data URI of a sound; empty = none.
        caption: its length, size and the like.
        text: what is written where nothing can be drawn.
    """

    modality: str
    label: str
    picture: str = ""
    sound: str = ""
    caption: str = ""
    text: str = ""

    @property
    def num_bytes(self) -> int:
        """What it takes of the page."""
        return len(self.picture) + len(self.sound)


@dataclass
class Embedder:
    """Turns media into what the page shows of them until the budget (bytes of the page) is used up.

    Each file is read once. `encoders` are those of the model by modality, whose own previews are shown.
    """

    budget: int
    encoders: Mapping[str, Encoder] = field(default_factory=dict)
    used: int = 0
    left_out: int = 0
    _done: dict[tuple[str, int], Shown] = field(default_factory=dict)

    def embed(self, part: Mapping[str, Any], pixels: int = GALLERY_PIXELS) -> Shown:
        """Return how the page shows one JSON part, such as `{"type": "image", "path": "frog.png"}`.

        Args:
            part: a part as `results.json` has it.
            pixels: most pixels of the longer side of a picture.
        """
        key = (repr(sorted(part.items(), key=lambda entry: entry[0])), pixels)
        if key not in self._done:
            self._done[key] = self._shown(part, pixels)
        shown = self._done[key]
        # The same file costs again wherever it is shown again: data URIs are not shared inside a page.
        if self.used + shown.num_bytes > self.budget:
            self.left_out += 1
            return replace(shown, picture="", sound="", text="left out to keep the page small")
        self.used += shown.num_bytes
        return shown

    def _shown(self, part: Mapping[str, Any], pixels: int) -> Shown:
        modality, label = str(part.get("type")), label_of(part)
        media = media_of(part)
        if media is None:
            return Shown(modality, label, text="no file, so it cannot be shown here")
        missing = [path for path in files_of(part) if not Path(path).is_file()]
        if missing:
            return Shown(modality, label, text="the file is no longer there")
        try:
            found = preview(media, self.encoders.get(modality))
            return replace(_draw(found, pixels), modality=modality, label=label)
        except Exception as error:  # an encoder's own preview may raise anything, and a report must not end by it
            return Shown(modality, label, text=f"cannot be shown: {str(error) or type(error).__name__}"[:200])


def media_of(part: Mapping[str, Any]) -> Media | None:
    """Return the media item that a JSON part names; None if that is no file."""
    sources = {key: part[key] for key in ("path", "features") if part.get(key)}
    if len(sources) != 1:
        return None
    details = {key: part[key] for key in ("row", "sampling_rate", "options") if part.get(key) is not None}
    return Media(str(part.get("type")), **sources, **details)


def files_of(part: Mapping[str, Any]) -> list[str]:
    """Return the files that a JSON part names."""
    paths = part.get("path") or part.get("features") or []
    return [str(path) for path in paths] if isinstance(paths, list) else [str(paths)]


def label_of(part: Mapping[str, Any]) -> str:
    """Return the name of a part's file, or what it is described by."""
    files = files_of(part)
    return Path(files[0]).name if files else str(part.get("description", part.get("type")))


@singledispatch
def _draw(found: Any, pixels: int) -> Shown:
    raise TypeError(f"{type(found).__name__} is no preview; use one of omni.previews")


@_draw.register
def _(found: Picture, pixels: int) -> Shown:
    return Shown("", "", picture_uri(found.image, pixels), caption=found.caption)


@_draw.register(Curves)
@_draw.register(Shape)
def _(found: Curves | Shape, pixels: int) -> Shown:
    return Shown("", "", picture_uri(found.still.image, max(pixels, LARGE_PIXELS)), caption=found.caption)


@_draw.register
def _(found: Player, pixels: int) -> Shown:
    picture = picture_uri(found.waveform.image, max(pixels, LARGE_PIXELS))
    return Shown("", "", picture, sound_uri(found.wav), caption=_heard(found.seconds))


@_draw.register
def _(found: Film, pixels: int) -> Shown:
    sound = "" if found.sound is None else sound_uri(found.sound.wav)
    return Shown("", "", picture_uri(found.still.image, max(pixels, LARGE_PIXELS)), sound, caption=found.caption)


@_draw.register
def _(found: Words, pixels: int) -> Shown:
    return Shown("", "", text=found.text)


def _heard(seconds: float) -> str:
    return length(seconds) if seconds <= SOUND_SECONDS else f"{length(seconds)}; its first {SOUND_SECONDS} s play here"


def picture_uri(picture: Image.Image, pixels: int) -> str:
    """Return a picture as a WebP of at most `pixels` on its longer side."""
    small = picture.convert("RGB")
    small.thumbnail((pixels, pixels))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=75, method=4)
    return _data_uri("image/webp", buffer.getvalue())


def sound_uri(wav: bytes) -> str:
    """Return the first seconds of a sound, a WAV file as bytes, as mono Ogg Vorbis."""
    with soundfile.SoundFile(io.BytesIO(wav)) as file:
        samples = file.read(frames=SOUND_SECONDS * file.samplerate, dtype="float32", always_2d=True).mean(axis=1)
        rate = file.samplerate
    samples = soxr.resample(samples, rate, SOUND_RATE)
    peak = float(np.abs(samples).max()) if samples.size else 0.0
    buffer = io.BytesIO()
    soundfile.write(buffer, samples / max(peak, 1.0), SOUND_RATE, format="OGG", subtype="VORBIS")
    return _data_uri("audio/ogg", buffer.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
