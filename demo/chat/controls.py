"""Controls that several tabs share: a box to type into and to attach to, with the row of what is attached."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo.chat.modalities import Uploads
from demo.chat.turns import MOST_CHARACTERS

# Options of events that only change what is shown, and of those that answer.
QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
ANSWERS: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
FEW: dict[str, Any] = {**ANSWERS, "concurrency_limit": 2}  # those that hold a thread each
SLOW: dict[str, Any] = {**FEW, "show_progress": "minimal"}  # and show that something is being done
RECORDED = (".wav",)  # what a browser's microphone gives


@dataclass(frozen=True)
class Asker:
    """A box with its row of attachments; `choices` and `first` go in front of a submit's inputs and into its `js`."""

    box: gr.MultimodalTextbox
    tray: gr.HTML
    choices: gr.Textbox
    notice: gr.HTML
    first: str


def hidden(name: str) -> gr.Textbox:
    """Return a field that only the page's script and handlers see."""
    return gr.Textbox(elem_id=name, elem_classes="field", container=False, show_label=False)


def hidden_button(name: str) -> gr.Button:
    """Return a button that only the page's script presses, to take along the value that it keeps by this name."""
    return gr.Button(name, elem_id=f"{name}-button", elem_classes="field")


def asker(name: str, uploads: Uploads, placeholder: str, draw: Callable[[str], str]) -> Asker:
    """Return a box to type into and to attach to, by choosing, dropping, pasting or recording.

    Args:
        name: the id of the box; the other parts are called after it.
        uploads: the files that are taken.
        placeholder: what stands in the empty box.
        draw: draws the row from what is attached.
    """
    attached, choices = hidden(f"{name}-attached"), hidden(f"{name}-choices")
    notice = gr.HTML("", elem_id=f"{name}-notice", js_on_load=None)
    tray = gr.HTML("", elem_id=f"{name}-tray", elem_classes="tray-row", js_on_load=None)
    extensions = uploads.extensions
    box = gr.MultimodalTextbox(
        elem_id=name,
        elem_classes="asker",
        show_label=False,
        file_count="multiple",
        sources=["upload", "microphone"] if set(RECORDED) & set(extensions) else ["upload"],
        placeholder=placeholder,
        lines=1,
        max_lines=8,
        max_plain_text_length=MOST_CHARACTERS,
    )
    box.change(None, [box], [attached], js="(box) => omni.attached(box)")
    attached.change(draw, [attached], [tray], **QUICK)
    first = f"(box, choices, ...rest) => [box, omni.choices('{name}-tray'), ...rest]"
    return Asker(box, tray, choices, notice, first)


def cameras(uploads: Uploads) -> list[Any]:
    """Return cameras for pictures and videos, where the model takes them."""
    kinds = {upload.encoder.modality for upload in uploads.by_modality.values()}
    has_camera, has_video = "image" in kinds and ".png" in uploads.extensions, "video" in kinds
    found: list[Any] = []
    if has_camera or has_video:
        with gr.Accordion("Camera", open=False, elem_id="camera"), gr.Row():
            if has_camera:
                found.append(
                    gr.Image(sources=["webcam"], type="filepath", format="png", label="Take a picture", height=260)
                )
            if has_video:
                found.append(gr.Video(sources=["webcam"], label="Film with sound", height=260))
    return found
