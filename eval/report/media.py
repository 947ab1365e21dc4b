"""Media for a self-contained page: small pictures and short sounds as data URIs, within a budget of bytes."""

import base64
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from PIL import Image

from omni.media.image import open_picture

THUMBNAIL_PIXELS = 240
# Sounds are cut to so many seconds and put at this rate (Hz), in Ogg Vorbis.
SOUND_SECONDS = 8
SOUND_RATE = 16_000


@dataclass
class Embedder:
    """Turns files into data URIs until the budget (bytes of the page) is used up. Each file is encoded once."""

    budget: int
    used: int = 0
    left_out: int = 0
    _done: dict[str, str] = field(default_factory=dict)

    def embed(self, part: dict[str, Any]) -> dict[str, str]:
        """Return how the page shows one JSON part: `kind` (picture, sound, other), `uri` (empty: left out), `label`."""
        path = part.get("path")
        paths = path if isinstance(path, list) else [path] if path else []
        kind = _kind(str(part.get("type")), paths)
        label = Path(paths[0]).name if paths else str(part.get("description", part.get("type")))
        uri = ""
        if paths and kind != "other":
            # The middle one of a sequence of pictures stands for all.
            uri = self._uri(kind, str(paths[len(paths) // 2]))
        return {"kind": kind if uri else "other", "uri": uri, "label": label, "modality": str(part.get("type"))}

    def _uri(self, kind: str, path: str) -> str:
        if path not in self._done:
            try:
                encoded = picture_uri(path) if kind == "picture" else sound_uri(path)
            except (OSError, ValueError, RuntimeError, Image.DecompressionBombError):
                encoded = ""  # the task has named this file as bad; the page shows its name
            self._done[path] = encoded
        encoded = self._done[path]
        # The same file costs again wherever it is shown again: data URIs are not shared inside a page.
        if self.used + len(encoded) > self.budget:
            self.left_out += 1
            return ""
        self.used += len(encoded)
        return encoded


def _kind(modality: str, paths: list[str]) -> str:
    suffix = Path(paths[0]).suffix.lower() if paths else ""
    if suffix in {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}:
        return "picture"
    return "sound" if modality in {"sound", "speech"} and suffix else "other"


def picture_uri(path: str) -> str:
    """Return a picture as a small WebP, transparent parts white."""
    with open_picture(path) as opened:
        opened.draft("RGB", (THUMBNAIL_PIXELS * 2, THUMBNAIL_PIXELS * 2))
        picture = opened.convert("RGBA")
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    buffer = io.BytesIO()
    white.save(buffer, "WEBP", quality=72, method=4)
    return _data_uri("image/webp", buffer.getvalue())


def sound_uri(path: str) -> str:
    """Return the first seconds of a sound as mono Ogg Vorbis."""
    with soundfile.SoundFile(path) as file:
        samples = file.read(frames=SOUND_SECONDS * file.samplerate, dtype="float32", always_2d=True).mean(axis=1)
        rate = file.samplerate
    samples = np.nan_to_num(soxr.resample(samples, rate, SOUND_RATE))
    peak = float(np.abs(samples).max()) if samples.size else 0.0
    if not samples.size or math.isinf(peak):
        raise ValueError(f"{path} has no samples")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples / max(peak, 1.0), SOUND_RATE, format="OGG", subtype="VORBIS")
    return _data_uri("audio/ogg", buffer.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
