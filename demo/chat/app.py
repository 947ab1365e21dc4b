"""The page: what is where, and which action leads to which handler."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from demo.chat import appearance
from demo.chat.compare import Compared, build_compare
from demo.chat.controls import ANSWERS, QUICK, SLOW, asker, cameras, hidden, hidden_button
from demo.chat.examples import Examples
from demo.chat.handlers import Handlers
from demo.chat.labels import Labels, build_labels
from demo.chat.loading import Loaded, LoadedSpace
from demo.chat.looking import Looking
from demo.chat.retrieve import Gallery, build_retrieve
from demo.chat.sessions import Sessions
from demo.chat.store import Store
from demo.chat.talk import MOST_NEW_TOKENS, Talk
from omni.answering import Answering

MOST_WAITING = 64
UPLOADS_CHECKED_EVERY, UPLOADS_KEPT = 3600, 86400  # seconds: uploaded files are deleted after a day


@dataclass
class Parts:
    """What a page is made of.

    Attributes:
        loaded: the model.
        folder: where uploads are put.
        sessions: which pages are open.
        model_folder: where the model lies, to keep its examples; None = they are not kept.
        compared: another model to compare with.
        space: a joint space to retrieve and classify in.
        gallery: media files to retrieve from.
    """

    loaded: Loaded
    folder: Path
    sessions: Sessions = field(default_factory=Sessions)
    model_folder: Path | None = None
    compared: Loaded | None = None
    space: LoadedSpace | None = None
    gallery: Path | None = None
    answering: list[Answering] = field(default_factory=list)
    examples: Examples | None = None

    def close(self) -> None:
        """Let go of the models."""
        if self.examples is not None:
            self.examples.stop()
        for answering in self.answering:
            answering.close()


def build_page(parts: Parts) -> gr.Blocks:
    """Return the page."""
    loaded = parts.loaded
    store = Store(parts.folder, loaded.uploads)
    talk = _talk(loaded, parts, store)
    parts.examples = Examples(loaded.model, talk.answering, store, parts.model_folder)
    handlers = Handlers(talk, store, parts.sessions, parts.examples)
    with gr.Blocks(title="omni", analytics_enabled=False, delete_cache=(UPLOADS_CHECKED_EVERY, UPLOADS_KEPT)) as page:
        side = _side(loaded)
        gr.HTML(appearance.header(loaded.llm), elem_id="header")
        with gr.Tabs():
            with gr.Tab("Chat", id="chat-tab"):
                _chat(page, handlers, side, loaded)
            with gr.Tab("Which of these?", id="labels-tab"):
                build_labels(Labels(talk, store, parts.space, parts.folder))
            if parts.compared is not None:
                with gr.Tab("Compare", id="compare-tab"):
                    other = _talk(parts.compared, parts, Store(parts.folder, parts.compared.uploads))
                    build_compare(
                        Compared([talk, other], [loaded.llm, parts.compared.llm], parts.sessions), side.settings
                    )
            if parts.space is not None:
                with gr.Tab("Retrieve", id="retrieve-tab"):
                    build_retrieve(Gallery(parts.space, Store(parts.folder, parts.space.uploads), parts.gallery))
    return page.queue(default_concurrency_limit=4, max_size=MOST_WAITING, api_open=False)


@dataclass
class Side:
    """The bar at the side: kept conversations and settings."""

    new: gr.Button
    export: gr.Button
    settings: list[Any]


def _talk(loaded: Loaded, parts: Parts, store: Store) -> Talk:
    answering = Answering(loaded.model)
    parts.answering.append(answering)
    return Talk(loaded.model, answering, store)


def _side(loaded: Loaded) -> Side:
    with gr.Sidebar(open=False, elem_id="side", width=300):
        with gr.Row(elem_classes="actions"):
            new = gr.Button("New conversation", size="sm", variant="primary", elem_id="new")
            export = gr.Button("Export", size="sm", elem_id="export")
        gr.HTML(
            '<div class="list"></div><p class="empty">Conversations are kept in this browser, and nowhere else.</p>',
            elem_id="shelf",
        )
        gr.Markdown("### Settings")
        system = gr.Textbox(label="System prompt", lines=2, max_length=4000, placeholder=loaded.model.system or "None")
        length = gr.Slider(
            1, MOST_NEW_TOKENS, 64, step=1, label="Longest answer", info="In tokens; 4 are about 3 words"
        )
        temperature = gr.Slider(0, 2, 0, step=0.05, label="Temperature", info="0 takes the likeliest word")
        beams = gr.Slider(1, 8, 1, step=1, label="Beams", info="Above 1 the answer comes as a whole")
        seed = gr.Number(0, label="Seed", precision=0, info="The same seed gives the same answer")
        forgets = gr.Checkbox(False, label="Forget earlier turns", info="Only the last question is asked")
        with gr.Accordion("About this model", open=False):
            gr.HTML(appearance.about(loaded.llm, loaded.licence, loaded.uploads), elem_id="about")
    return Side(new, export, [system, length, temperature, beams, seed, forgets])


def _chat(page: gr.Blocks, handlers: Handlers, side: Side, loaded: Loaded) -> None:
    uploads = loaded.uploads
    state, opened, picked = map(hidden, ("conversation", "opened", "example"))
    welcome = gr.HTML(appearance.welcome(uploads), elem_id="welcome", js_on_load=None)
    chatbot = gr.Chatbot(
        elem_id="chat", show_label=False, buttons=["copy"], allow_tags=False, layout="bubble", visible=False,
        height=420,  # the style sheet fits it to the window
    )  # fmt: skip
    placeholder = "Ask about what you attach" if uploads.extensions else "Ask something"
    parts = asker("ask", uploads, placeholder, handlers.attached)
    with gr.Row(elem_classes="actions", elem_id="turn-actions"):
        regenerate = gr.Button("Regenerate", size="sm", elem_id="regenerate")
        edit = gr.Button("Edit question", size="sm", elem_id="edit")
        undo = gr.Button("Undo", size="sm", elem_id="undo")
        look = gr.Button("What did it look at?", size="sm", elem_id="look")
    maps = gr.HTML("", elem_id="looking", js_on_load=None)
    taking = cameras(uploads)
    box, said, tray = parts.box, parts.notice, parts.tray
    outputs = [state, chatbot, welcome, box, said, tray]
    ask = box.submit(handlers.ask, [box, parts.choices, state, *side.settings], outputs, js=parts.first, **ANSWERS)
    again = regenerate.click(handlers.regenerate, [state, *side.settings], outputs, **ANSWERS)
    answers: Any = [ask, again]
    box.stop(handlers.stopped, [state], [box, said], cancels=answers, **QUICK)
    undo.click(handlers.undo, [state], outputs, cancels=answers, **QUICK)
    edit.click(handlers.edit, [state], outputs, cancels=answers, **QUICK)
    hidden_button("opened").click(
        handlers.open, [opened], outputs, js="() => [omni.taken('opened')]", cancels=answers, **QUICK
    )
    side.new.click(lambda: handlers.open(""), None, outputs, cancels=answers, **QUICK)
    side.export.click(None, [state], None, js="(text) => omni.exported(text)")
    page.load(handlers.restore, [opened], [state, chatbot, welcome], js="() => [omni.last()]", **QUICK)
    page.load(handlers.welcome, None, [welcome], **QUICK)
    look.click(Looking(handlers.talk).looked, [state, *side.settings], [maps, said], **SLOW)
    state.change(None, [state], [maps], js="(text) => (omni.save(text), '')")
    hidden_button("example").click(
        handlers.example, [picked], [box, said, tray], js="() => [omni.taken('example')]", **QUICK
    )
    for camera in taking:
        camera.change(handlers.add, [box, camera], [box, camera], **QUICK)
