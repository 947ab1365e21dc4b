"""Uploads by name, and the files that are drawn of them, in the private folder of the run."""

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from demo.chat.modalities import AttachmentError, Uploads
from demo.chat.turns import Attachment
from omni.media.item import Media
from omni.previews import Curves, Film, Picture, Player, Preview, Shape, Words, preview

_UPLOAD = re.compile(r"[0-9a-f]{32,128}/[^/\\\0]{1,255}")  # as Gradio lays them: the hash of the content, the name


@dataclass(frozen=True)
class Shown:
    """What is drawn of an attachment: the files that a browser shows, in order, and a picture of it."""

    files: tuple[str, ...]
    caption: str
    still: str  # a picture of it


class Store:
    """Find uploads by their names, and draw them once.

    Args:
        folder: where Gradio puts uploads.
        uploads: the files that the model takes.
    """

    def __init__(self, folder: Path, uploads: Uploads) -> None:
        self.folder = folder.resolve()
        self.uploads = uploads
        self._shown: dict[tuple[str, str], Shown] = {}

    def name_of(self, path: str) -> str:
        """Return the name of an upload, by which the browser asks for it again.

        Raises:
            AttachmentError: the file is no upload.
        """
        try:
            name = Path(path).resolve().relative_to(self.folder).as_posix()
        except ValueError:
            name = ""
        if not _UPLOAD.fullmatch(name):
            raise AttachmentError(f"{Path(path).name!r} is no file that was uploaded here")
        return name

    def path_of(self, upload: str) -> str:
        """Return where an upload lies.

        Raises:
            AttachmentError: it is gone, or nothing that was uploaded.
        """
        is_name = _UPLOAD.fullmatch(upload) and not upload.endswith(("/.", "/.."))
        path = (self.folder / upload).resolve() if is_name else self.folder
        if path == self.folder or not path.is_relative_to(self.folder):
            raise AttachmentError(f"{upload.rpartition('/')[2][:100]!r} is no file that was uploaded here")
        if not path.is_file():
            name = path.name
            raise AttachmentError(
                f"{name} is no longer here: uploads go when the page is stopped, or after a day. Attach it again."
            )
        return str(path)

    def take(self, file: Path) -> str:
        """Put a file of the server, such as one of an example, where uploads lie; return its name there."""
        with file.open("rb") as content:
            folder = self.folder / hashlib.file_digest(content, "sha256").hexdigest()
        folder.mkdir(exist_ok=True)
        if not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)
        return f"{folder.name}/{file.name}"

    def media_of(self, attachment: Attachment) -> Media:
        """Return the media item that the model gets for an attachment.

        Raises:
            AttachmentError: the file is gone, or the model has no such modality.
        """
        upload = self.uploads.by_modality.get(attachment.modality)
        if upload is None:
            raise AttachmentError(f"this model does not take {attachment.modality[:100]}, so not {attachment.name}")
        return upload.media(self.path_of(attachment.upload))

    def show(self, attachment: Attachment) -> Shown:
        """Return what is drawn of an attachment; a file that is gone or cannot be drawn is named."""
        key = attachment.upload, attachment.modality
        found = self._shown.get(key)
        if found is not None and Path(found.still).exists():
            return found
        try:
            media = self.media_of(attachment)
            drawn = preview(media, self.uploads.by_modality[attachment.modality].encoder)
        except AttachmentError as error:
            drawn = Words(str(error))
        except (ValueError, OSError):  # the encoder reads what the preview does not
            drawn = Words(attachment.name)
        self._shown[key] = shown = self._write(drawn, key)
        return shown

    def _write(self, drawn: Preview, key: tuple[str, str]) -> Shown:
        folder = self.folder / "drawn" / hashlib.sha256("\n".join(key).encode()).hexdigest()[:32]
        folder.mkdir(parents=True, exist_ok=True)
        still = str(folder / "picture.png")
        drawn.still.image.save(still)
        files = _FILES[type(drawn)](drawn, folder, still)
        return Shown(tuple(files), drawn.caption, still)


def _film_files(film: Film, folder: Path, still: str) -> list[str]:
    if film.mp4 is None:
        sound = [] if film.sound is None else _player_files(film.sound, folder, still)[:1]
        return [still, *sound]
    if isinstance(film.mp4, str):
        return [film.mp4]
    (folder / "film.mp4").write_bytes(film.mp4)
    return [str(folder / "film.mp4")]


def _player_files(player: Player, folder: Path, still: str) -> list[str]:
    (folder / "sound.wav").write_bytes(player.wav)
    return [str(folder / "sound.wav"), still]


def _shape_files(shape: Shape, folder: Path, still: str) -> list[str]:
    (folder / "shape.glb").write_bytes(shape.glb)
    return [still, str(folder / "shape.glb")]  # a viewer needs WebGL, a picture does not


# the kinds of previews are a closed set, so each has its line here
_FILES: dict[type, Callable[..., list[str]]] = {
    Picture: lambda picture, folder, still: [still],
    Curves: lambda curves, folder, still: [still],
    Words: lambda words, folder, still: [still],
    Player: _player_files,
    Film: _film_files,
    Shape: _shape_files,
}


def thumbnail(still: str, height: int = 96) -> Image.Image:
    """Return a small copy of a picture, for the row of what is attached."""
    with Image.open(still) as image:
        shown = image.convert("RGB")
    shown.thumbnail((height * 3, height))
    return shown
