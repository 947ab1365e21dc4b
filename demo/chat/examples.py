"""Examples to click on: items of the model's own test sets that it answers right.

Which these are is found once, by asking the model while nobody else does, and kept in the model's folder.
"""

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from demo.chat.store import Store, thumbnail
from demo.chat.turns import Attachment, Turn, interleave
from omni.answering import Answering, Sampling
from omni.media.frames import load_frames
from omni.media.item import Media
from omni.model import OmniModel
from omni.readers import open_dataset
from omni.runtime.files import write_atomically
from omni.samples.messages import Message, Sample, Text
from omni.starter import resolve

QUESTIONS = {
    "sound": "What do you hear? Answer in a few words.",
    "speech": "What is being said?",
}
OTHER_QUESTION = "What is it? Answer in a few words."
_EACH, _MOST = 2, 6  # examples of a modality, and in all
_MOST_ASKED, _MOST_SECONDS = 40, 90.0  # items of a modality, and seconds of asking in all
_FILE = "examples.json"

logger = logging.getLogger("omni.chat")


@dataclass(frozen=True)
class Example:
    """A question about media to begin with, and small pictures of these."""

    text: str
    attachments: tuple[Attachment, ...]
    pictures: tuple[Image.Image, ...] = field(default=(), compare=False)


class Examples:
    """The examples of a model; `find` fills the list in a thread of its own, and pages that are opened later have them.

    Args:
        model: the model.
        answering: what answers its conversations.
        store: where the files of examples are put.
        folder: the model's folder, in which the list is kept; None = it is not kept.
    """

    def __init__(self, model: OmniModel, answering: Answering, store: Store, folder: Path | None) -> None:
        self._model, self._answering, self._store, self._folder = model, answering, store, folder
        self._stopped = threading.Event()
        self.found: list[Example] = []

    def find(self, after: float = 10.0) -> None:
        """Read the list, or begin to make it `after` some seconds, so that the first visitor does not wait for it."""
        kept = self._read()
        if kept is not None:
            self.found = kept
            return
        threading.Thread(target=self._search, args=(after,), name="omni-examples", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()

    def _search(self, after: float) -> None:
        if self._stopped.wait(after):
            return
        deadline = time.monotonic() + _MOST_SECONDS
        rows: list[dict[str, Any]] = []
        try:
            for modality in self._model.modalities:
                rows += self._right_ones(modality, deadline)[: _MOST - len(rows)]
            if not self._stopped.is_set():
                self._keep(rows)
        except Exception:  # examples are a nicety: the page does without
            logger.warning("no examples were found", exc_info=True)

    def _right_ones(self, modality: str, deadline: float) -> list[dict[str, Any]]:
        question = QUESTIONS.get(modality, OTHER_QUESTION)
        rows: list[dict[str, Any]] = []
        for number, (media, caption) in enumerate(items_of_tests(self._model, modality)):
            while self._answering.statistics().running and not self._stopped.is_set():
                time.sleep(0.5)  # people come first
            if self._stopped.is_set() or time.monotonic() > deadline or number == _MOST_ASKED or len(rows) == _EACH:
                break
            messages = [Message("user", (media, Text(question)))]
            if is_right(self._answering.submit(messages, Sampling(24)).text(), caption):
                rows.append({"text": question, "modality": modality, "path": media.path})
                self.found = [*self.found, self._example(rows[-1])]
        return rows

    def _example(self, row: dict[str, Any]) -> Example:
        upload = self._store.take(_one_file(row, self._store.folder))
        attachment = Attachment(upload, row["modality"])
        return Example(row["text"], (attachment,), (thumbnail(self._store.show(attachment).still, 264),))

    def _read(self) -> list[Example] | None:
        try:
            kept = json.loads((self._folder / _FILE).read_text(encoding="utf-8")) if self._folder else None
            if kept is None or kept["weights"] != self._weights():
                return None
            return [self._example(row) for row in kept["examples"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep(self, rows: list[dict[str, Any]]) -> None:
        if self._folder is None:
            return
        content = {"weights": self._weights(), "examples": rows}
        try:
            write_atomically(self._folder / _FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        except OSError:
            logger.info("the examples are not kept: %s cannot be written to", self._folder)

    def _weights(self) -> str:
        """What the list holds for: other weights answer otherwise."""
        assert self._folder is not None
        files = sorted(self._folder.glob("*.safetensors"))
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.read_bytes())
        return digest.hexdigest()


def items_of_tests(model: OmniModel, modality: str) -> Iterator[tuple[Media, str]]:
    """Yield media of one modality with their captions, from the test sets that belong to the model's training sets."""
    for reference in references_of_tests([entry.name for entry in model.card.data]):
        try:
            rows = open_dataset(resolve(reference) if reference.startswith("starter:") else reference)
        except (OSError, ValueError):
            continue  # not fetched, or gone: the page does without
        for index in range(len(rows)):
            sample = rows[index]
            if isinstance(sample, Sample) and len(sample.media) == 1 and sample.media[0].modality == modality:
                answers = [message.text for message in sample.messages if message.role == "assistant"]
                if sample.media[0].path is not None and answers:
                    yield sample.media[0], answers[-1]


def references_of_tests(names: Sequence[str]) -> list[str]:
    """Return the test sets of training sets: `image-test.jsonl` of `image-train.jsonl`."""
    found = [re.sub(r"train(?=[^/]*$)", "test", name) for name in names]
    return [test for test, name in zip(found, names, strict=True) if test != name]


def is_right(answer: str, caption: str) -> bool:
    """Return whether an answer says what the caption says, but for articles, capitals and signs."""
    words = _plain(answer)
    return bool(words) and words == _plain(caption)


def to_turn(example: Example) -> Turn:
    """Return the turn that an example asks."""
    return Turn("user", interleave(example.text, example.attachments))


def _plain(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.lower()) if word not in ("a", "an", "the")]


def _one_file(row: dict[str, Any], folder: Path) -> Path:
    """The file of an example; the frames of a video become an animation, since an upload is one file."""
    if isinstance(row["path"], str):
        return Path(row["path"])
    frames = load_frames(Media(row["modality"], path=row["path"])).images
    name = Path(row["path"][0]).stem.rstrip("-0123456789") or "video"
    made = folder / "made"
    made.mkdir(exist_ok=True)
    frames[0].save(made / f"{name}.gif", save_all=True, append_images=frames[1:], duration=100, loop=0)
    return made / f"{name}.gif"
