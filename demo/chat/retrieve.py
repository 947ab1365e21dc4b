"""The tab "Retrieve": the nearest of a gallery in a joint space, to any mix of media and text with weights."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from demo.chat.controls import FEW, asker
from demo.chat.loading import LoadedSpace
from demo.chat.markup import notice
from demo.chat.modalities import AttachmentError
from demo.chat.store import Store
from demo.chat.talk import reason_of
from demo.chat.tray import draw_tray, read_choices, read_paths
from demo.chat.turns import Attachment
from omni.media.item import Media
from omni.readers import open_dataset
from omni.samples.messages import Sample

MOST_ITEMS = 5000  # of a gallery
_BATCH = 64
TEXT = "text"


class Gallery:
    """Items to retrieve from: files of a folder or data set, and those that a visitor adds for the time of the run.

    Args:
        loaded: the joint space.
        store: the uploads.
        source: a folder of media, a manifest, or another data set; None = only what visitors attach.
    """

    def __init__(self, loaded: LoadedSpace, store: Store, source: Path | None) -> None:
        self.space, self.uploads, self.store, self.source = loaded.space, loaded.uploads, store, source
        self.items: list[Attachment] = []
        self.embeddings = torch.zeros(0, loaded.space.dim)
        self._known: set[str] = set()
        self._lock = Lock()
        self._is_read = source is None

    def add(self, items: Sequence[Attachment]) -> int:
        """Embed items and take them in; return how many were new.

        Raises:
            ValueError: there are too many, or one cannot be read.
        """
        with self._lock:
            return self._add(items)

    def _add(self, items: Sequence[Attachment]) -> int:
        new = [one for one in items if f"{one.upload} {one.modality}" not in self._known]
        if len(self.items) + len(new) > MOST_ITEMS:
            raise ValueError(f"a gallery holds at most {MOST_ITEMS:,} items")
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            rows = torch.cat([self.space.embed_query(self.store.media_of(one)).cpu() for one in batch])
            self.embeddings = torch.cat([self.embeddings, rows])
            self.items += batch
            self._known |= {f"{one.upload} {one.modality}" for one in batch}
        return len(new)

    def read_source(self) -> None:
        """Embed the items of the source, once."""
        with self._lock:
            if self._is_read:
                return
            self._is_read = True
            found = []
            for media in _media_of(str(self.source)):
                modality = media.modality if media.modality in self.uploads.by_modality else ""
                if modality and isinstance(media.path, str):
                    found.append(Attachment(self.store.take(Path(media.path)), modality))
                if len(found) == MOST_ITEMS:
                    break
            self._add(found)

    def query(self, parts: Sequence[tuple[Attachment | str, float]]) -> Tensor:
        """Return the unit embedding [D] of a weighted mix of media and texts."""
        items: list[tuple[Any, float]] = [
            (part if isinstance(part, str) else self.store.media_of(part), weight) for part, weight in parts
        ]
        return self.space.compose(items).cpu()

    def nearest(self, query: Tensor, most: int) -> list[tuple[Attachment, float]]:
        """Return the items nearest to a query, with their cosine similarity, the nearest first."""
        with self._lock:
            if not self.items:
                return []
            cosines = self.embeddings @ query
            best = cosines.topk(min(most, len(self.items)))
            return [
                (self.items[row], score) for row, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            ]

    # --- what the tab does ---

    def attachments(self, files: Sequence[str], choices: str) -> list[Attachment]:
        """Return files that were attached, each read once.

        Raises:
            AttachmentError: one cannot be used.
        """
        chosen, found = read_choices(choices), []
        for path in files:
            upload = self.store.name_of(path)
            modality = self.uploads.choose(path, chosen.get(upload))
            self.uploads.check(path, modality)
            found.append(Attachment(upload, modality))
        return found

    async def search(self, box: Any, choices: str, weights: str, most: float) -> tuple[Any, str]:
        """Return the gallery of results and a notice for what was typed."""
        text, files = (box or {}).get("text") or "", (box or {}).get("files") or []
        try:
            return await asyncio.to_thread(self._search, text, files, choices, weights, int(most))
        except (AttachmentError, ValueError, RuntimeError, OSError) as error:
            return gr.skip(), notice(reason_of(error))

    def _search(self, text: str, files: Sequence[str], choices: str, weights: str, most: int) -> tuple[Any, str]:
        self.read_source()
        things: list[Attachment | str] = [*self.attachments(files, choices)]
        things += [line.strip() for line in text.splitlines() if line.strip()]
        if not things:
            raise ValueError("Attach something, or write what to look for; each line is a text of its own.")
        if TEXT not in self.space.modalities and any(isinstance(one, str) for one in things):
            raise ValueError("This space has no texts: attach media to look for.")
        found = self.nearest(self.query([*zip(things, read_weights(weights, len(things)), strict=True)]), most)
        if not found:
            raise ValueError("The gallery is empty: add files to it below, or start the page with --gallery FOLDER.")
        return [(self.store.show(one).still, f"{one.name} · {score:.3f}") for one, score in found], ""

    async def grow(self, files: Sequence[str] | None) -> tuple[str, Any]:
        """Take files into the gallery; return what is in it, and the empty box of files."""
        try:
            added = await asyncio.to_thread(lambda: self.add(self.attachments(files or [], "{}")))
        except (AttachmentError, ValueError, RuntimeError, OSError) as error:
            return notice(reason_of(error)), gr.skip()
        return f"{added} added; {len(self.items)} items in the gallery.", None


def read_weights(text: str, count: int) -> list[float]:
    """Return the weights of `count` things; what is not given is 1.

    Raises:
        ValueError: more weights than things, or something that is no number.
    """
    words = [word for word in re.split(r"[\s,;]+", text.strip()) if word]
    try:
        found = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"Weights are numbers, such as 1, -1 or 0.5; got {text[:60]!r}.") from None
    if len(found) > count:
        raise ValueError(f"There are {len(found)} weights for {count} things: files come first, then lines of text.")
    return found + [1.0] * (count - len(found))


def build_retrieve(gallery: Gallery) -> None:
    """Put the tab together."""
    gr.Markdown(
        "What is nearest to a mix of media and texts? Each line of text is one thing. Weights add and subtract: "
        "a picture with 1 and “rain” with -1 is the picture without the rain."
    )
    parts = asker(
        "retrieve-ask", gallery.uploads, "Attach media, or write what to look for",
        lambda attached: draw_tray(read_paths(attached), gallery.store, None),
    )  # fmt: skip
    with gr.Row():
        weights = gr.Textbox(
            label="Weights", placeholder="1 1 -1", info="Of the files in order, then of the lines", elem_id="weights"
        )
        most = gr.Slider(1, 48, 12, step=1, label="Results")
    search = gr.Button("Retrieve", variant="primary", elem_id="retrieve")
    results = gr.Gallery(label="Nearest first", columns=4, height="auto", object_fit="contain", elem_id="results")
    with gr.Accordion("Add to the gallery", open=gallery.source is None):
        files = gr.File(file_count="multiple", show_label=False, elem_id="gallery-files", height=120)
        held = gr.HTML("", elem_id="gallery-held", js_on_load=None)
    inputs = [parts.box, parts.choices, weights, most]
    for start in (parts.box.submit, search.click):
        start(gallery.search, inputs, [results, parts.notice], js=parts.first, **FEW)
    files.upload(gallery.grow, [files], [held, files], **FEW)


def _media_of(source: str) -> Any:
    rows = open_dataset(source)
    for index in range(len(rows)):
        sample = rows[index]
        if isinstance(sample, Sample):
            yield from (media for media in sample.media if isinstance(media, Media))
