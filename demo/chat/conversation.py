"""Convert the history of the chat page to the messages that the model takes.

It knows of Gradio only the shape of its chat history: a list of `{"role", "content", "metadata"}`, where content
is a list of `{"type": "text", "text": ...}` and `{"type": "file", "file": {"path": ...}, "alt_text": ...}`. Gradio
renders all text as Markdown with HTML; what the user typed is therefore kept there as character references.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni.encoders.base import Encoder
from omni.media.item import Media
from omni.samples.messages import Message, Text

# Characters that may mean something in Markdown or HTML: some anywhere, others at the head of a line or in addresses.
# Other text is left as it is, because screen readers are given the Markdown.
_MARKUP = re.compile(
    r"[\\`*_{}\[\]<>#|~$&@]|^ +|^[ ]*[-+=]|(?<=\d)[.)](?=\s)|:(?=//)|(?<=www)\.", re.MULTILINE | re.IGNORECASE
)
NOTICE = {"id": "notice"}  # metadata of the page's own messages, which the model never sees


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

    def candidates(self, suffix: str) -> tuple[str, ...]:
        """Return the modalities that take files ending in `suffix` (`".wav"`), in the model's order."""
        return tuple(name for name, upload in self.by_modality.items() if suffix.lower() in upload.extensions)

    def ambiguous(self) -> dict[tuple[str, ...], tuple[str, ...]]:
        """Return groups of modalities with the file types that they share; the user has to choose within a group."""
        groups: dict[tuple[str, ...], tuple[str, ...]] = {}
        for suffix in self.extensions:
            modalities = self.candidates(suffix)
            if len(modalities) > 1:
                groups[modalities] = (*groups.get(modalities, ()), suffix)
        return groups

    def modality_of(self, path: str, choices: Sequence[str] = ()) -> str:
        """Return the modality of an attached file; if several are possible, the first that is among `choices`.

        Raises:
            AttachmentError: no modality takes such a file; the message lists the types that are taken.
        """
        name, suffix = Path(path).name, Path(path).suffix
        candidates = self.candidates(suffix)
        if not candidates:
            kind = f"files of type {suffix.lower()}" if suffix else "files without an extension"
            raise AttachmentError(f"{name}: this model does not take {kind}. It takes {self.describe()}.")
        return next((modality for modality in candidates if modality in choices), candidates[0])

    def describe(self) -> str:
        """Return the accepted file types in words: `image (.jpg .png), sound (.wav)`."""
        taken = [
            f"{name} ({' '.join(upload.extensions)})" for name, upload in self.by_modality.items() if upload.extensions
        ]
        return ", ".join(taken) or "no files, only text"

    def check(self, path: str, choices: Sequence[str] = ()) -> str:
        """Return the modality of an attached file, once its encoder has read it.

        The file is read as the encoder will read it, so that a broken one is named before an answer is begun.

        Raises:
            AttachmentError: the file's type is not taken, or the file is broken.
        """
        modality = self.modality_of(path, choices)
        upload = self.by_modality[modality]
        try:
            upload.encoder.preprocess(upload.media(path))
        except (ValueError, OSError) as error:
            # Errors name the file by its path; here that is the page's own upload folder, which tells the user nothing.
            name = Path(path).name
            reason = str(error).replace(path, name).removeprefix(f"{modality} {name}: ")
            raise AttachmentError(f"{name} cannot be used as {modality}: {reason}") from error
        return modality


def user_turn(text: str, files: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return a new turn: `files` are (path, modality); the modality is kept, whatever the user chooses later."""
    content: list[dict[str, Any]] = [{"path": path, "alt_text": modality} for path, modality in files]
    if text.strip():
        content.append({"type": "text", "text": literal(text)})
    return {"role": "user", "content": content}


def literal(text: str) -> str:
    """Return Markdown that shows `text` as it was typed; `html.unescape` gives the text again."""
    return _MARKUP.sub(lambda match: "".join(f"&#{ord(letter)};" for letter in match.group()), text)


def notice(text: str) -> dict[str, Any]:
    """Return a turn in which the page itself speaks: an error, in words."""
    return {"role": "assistant", "content": [{"type": "text", "text": literal(text)}], "metadata": dict(NOTICE)}


def split_turn(turn: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return text and file paths of a turn of the chat history, to put it back where it was typed."""
    text = "".join(html.unescape(part["text"]) for part in turn["content"] if part["type"] == "text")
    return text, [part["file"]["path"] for part in turn["content"] if part["type"] == "file"]


def to_messages(history: Sequence[Mapping[str, Any]], uploads: Uploads) -> tuple[Message, ...]:
    """Return the chat history as the model's messages, with media kept where they occurred.

    Left out are the page's own notices and the user turns that got no answer (an error, or stopped before the first
    word): chat templates want user and assistant to take turns. The last user turn is the one to be answered.
    """
    messages: list[Message] = []
    for turn in history:
        if _is_notice(turn):
            continue
        content = tuple(_part(part, turn["role"], uploads) for part in turn["content"])
        if not content or (turn["role"] == "assistant" and not _has_text(content)):
            continue
        if messages and messages[-1].role == turn["role"]:
            messages.pop()  # a question that was never answered, followed by the next one
        messages.append(Message(turn["role"], content))
    return tuple(messages)


def _part(part: Mapping[str, Any], role: str, uploads: Uploads) -> Text | Media:
    if part["type"] == "text":
        return Text(html.unescape(part["text"]) if role == "user" else part["text"])
    path, modality = part["file"]["path"], part.get("alt_text")
    if modality not in uploads.by_modality:
        modality = uploads.modality_of(path)
    return uploads.by_modality[modality].media(path)


def _is_notice(turn: Mapping[str, Any]) -> bool:
    return (turn.get("metadata") or {}).get("id") == NOTICE["id"]


def _has_text(content: Sequence[Text | Media]) -> bool:
    return any(isinstance(part, Text) and part.text.strip() for part in content)
