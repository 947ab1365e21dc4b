"""Which files the page takes, and as which modality of the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omni.encoders.base import Encoder
from omni.media.item import Media

_SPOKEN = {"imu": "IMU", "depth": "depth picture", "thermal": "thermal picture"}


class AttachmentError(ValueError):
    """An attached file cannot be used; the message says why, in words for the chat."""


@dataclass(frozen=True)
class Upload:
    """The files that the page takes for one modality of the model."""

    modality: str
    extensions: tuple[str, ...]  # with the dot, in lower case; empty = nothing can be uploaded
    cue: str
    encoder: Encoder

    def media(self, path: str) -> Media:
        """Return an uploaded file as a media item of this modality."""
        return self.encoder.media_of_file(path, self.modality)


class Uploads:
    """Which modality an attached file is, by the file types that the model's encoders declare."""

    def __init__(self, uploads: Sequence[Upload]) -> None:
        self.by_modality = {upload.modality: upload for upload in uploads}

    @property
    def extensions(self) -> tuple[str, ...]:
        """Every file type that some modality takes, each once."""
        return tuple(dict.fromkeys(suffix for upload in self.by_modality.values() for suffix in upload.extensions))

    def candidates(self, path: str) -> tuple[str, ...]:
        """Return the modalities that take such a file, in the model's order.

        Raises:
            AttachmentError: none does; the message lists the types that are taken.
        """
        name, suffix = Path(path).name, Path(path).suffix.lower()
        found = tuple(name for name, upload in self.by_modality.items() if suffix in upload.extensions)
        if not found:
            kind = f"files of type {suffix}" if suffix else "files without an extension"
            raise AttachmentError(f"{name}: this model does not take {kind}. It takes {self.describe()}.")
        return found

    def describe(self) -> str:
        """Return the accepted file types in words: `image (.jpg .png), sound (.wav)`."""
        taken = [
            f"{name} ({' '.join(upload.extensions)})" for name, upload in self.by_modality.items() if upload.extensions
        ]
        return ", ".join(taken) or "no files, only text"

    def choose(self, path: str, choice: str | None) -> str:
        """Return the modality of an attached file: the only possible one, or what the user chose.

        Raises:
            AttachmentError: the file is of no type that is taken, or could be several and none of them was chosen.
        """
        candidates = self.candidates(path)
        if len(candidates) == 1:
            return candidates[0]
        if choice not in candidates:
            raise AttachmentError(f"{Path(path).name}: say below whether it is {' or '.join(map(spoken, candidates))}.")
        return choice

    def check(self, path: str, modality: str) -> None:
        """Read an attached file as its encoder will, so that a broken one is named before an answer is begun.

        Raises:
            AttachmentError: it is broken, or nothing that this modality takes.
        """
        upload = self.by_modality[modality]
        try:
            upload.encoder.preprocess(upload.media(path))
        except (ValueError, OSError) as error:
            # Errors name the file by its path; here that is the page's own upload folder, which tells the user nothing.
            name = Path(path).name
            reason = str(error).replace(path, name).removeprefix(f"{modality} {name}: ")
            raise AttachmentError(f"{name} cannot be used as {modality}: {reason}") from error


def spoken(modality: str) -> str:
    """Return the name of a modality as people write it."""
    return _SPOKEN.get(modality, modality.replace("_", " "))
