"""The chat page: attach media, ask, and watch the answer come."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from demo.chat import appearance
from demo.chat.conversation import AttachmentError, Uploads, notice, split_turn, to_messages, user_turn
from demo.chat.streaming import stream_answer
from omni.model import OmniModel
from omni.samples.messages import SampleError

History = list[dict[str, Any]]
DEFAULT_MAX_NEW_TOKENS = 64
MAX_NEW_TOKENS = 1024
MOST_WAITING = 64
UNDO = "Undo puts your question back in the box below; the bin clears the chat."
UPLOADS_CHECKED_EVERY, UPLOADS_KEPT = 3600, 86400  # seconds: uploaded files are deleted after a day
# Options of events that only change what is shown.
QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass
class Chat:
    """Reacts to the user's actions; the page below only wires them up."""

    model: OmniModel
    uploads: Uploads

    def send(self, busy: bool, typed: dict[str, Any], history: History, *choices: str) -> tuple[bool, Any, History]:
        """Move what was typed into the chat, or say why a file cannot be used and leave the rest in the text box.

        Raises:
            gr.Error: Enter was pressed while an answer is being written. What was typed stays in the box.
        """
        if busy:
            raise gr.Error("an answer is being written", print_exception=False)
        text, files = typed["text"] or "", typed["files"] or []
        if not text.strip() and not files:
            return False, _idle(), history
        good: list[tuple[str, str]] = []
        errors: list[str] = []
        for path in files:
            try:
                good.append((path, self.uploads.check(path, choices)))
            except AttachmentError as error:
                errors.append(str(error))
        if errors:
            box = _idle(value={"text": text, "files": [path for path, _ in good]})
            return False, box, [*history, notice("⚠️ " + "\n\n".join([*errors, _advice(text, len(good))]))]
        return True, _busy(), [*history, user_turn(text, good)]

    def answer(self, history: History, max_new_tokens: int, temperature: float) -> Iterator[History]:
        """Stream the answer to the last user turn into the chat; an error becomes a notice, in words."""
        if not history or history[-1]["role"] != "user":
            yield history  # nothing was sent; a generator that gives nothing would empty the chat
            return
        config: dict[str, Any] = {"max_new_tokens": int(max_new_tokens), "do_sample": temperature > 0}
        if temperature > 0:
            config["temperature"] = float(temperature)
        text = ""
        try:
            for text in stream_answer(self.model, to_messages(history, self.uploads), **config):
                yield [*history, {"role": "assistant", "content": text}]
        except (ValueError, OSError, RuntimeError) as error:
            partial = [{"role": "assistant", "content": text}] if text else []
            reason = error.reason if isinstance(error, SampleError) else error
            yield [*history, *partial, notice(f"⚠️ No answer: {reason}\n\n{UNDO}")]
            return
        if not text.strip():
            yield [
                *history,
                notice("The model ended its answer before the first word. Ask in other words, or try again."),
            ]

    def stopped(self, history: History) -> tuple[bool, Any, History]:
        """Say so if an answer was stopped before its first word, so that there is a turn to retry or to undo."""
        if history and history[-1]["role"] == "user":
            history = [*history, notice("Stopped before the first word.")]
        return False, _idle(), history

    def undo(self, history: History) -> tuple[Any, History]:
        """Take the last user turn and all after it out of the chat, back into the text box."""
        before, turn = _before_last_question(history)
        text, files = split_turn(turn) if turn else ("", [])
        return _idle(value={"text": text, "files": files}), before

    def retry(self, history: History) -> tuple[bool, Any, History]:
        """Take the answer to the last user turn out of the chat, to be answered again."""
        before, turn = _before_last_question(history)
        return True, _busy(), [*before, turn] if turn else before


@dataclass
class Example:
    """A question about starter media, to begin with."""

    text: str
    files: list[str] = field(default_factory=list)
    label: str = ""


def build_page(
    model: OmniModel, uploads: Uploads, llm: str, licence: str | None, examples: Sequence[Example] = ()
) -> gr.Blocks:
    """Return the page over a loaded model; `llm` and `licence` are shown in its header."""
    chat = Chat(model, uploads)
    with gr.Blocks(
        title="omni",
        analytics_enabled=False,
        delete_cache=(UPLOADS_CHECKED_EVERY, UPLOADS_KEPT),
    ) as page:
        gr.HTML(appearance.header(llm, licence, uploads), elem_id="header")
        chatbot = gr.Chatbot(
            elem_id="chat",
            show_label=False,
            placeholder=appearance.welcome(uploads),
            examples=[{"text": item.text, "files": list(item.files), "display_text": item.label} for item in examples]
            or None,  # pyright: ignore[reportArgumentType]
            buttons=["copy"],
            allow_tags=False,
            layout="bubble",
            height=420,  # the style sheet fits it to the window
        )
        choices = [
            gr.Radio(
                appearance.choice_options(modalities),
                value=modalities[0],
                label=appearance.choice_label(extensions),
                interactive=True,
                elem_classes="choice",
            )
            for modalities, extensions in uploads.ambiguous().items()
        ]
        box = gr.MultimodalTextbox(
            elem_id="ask",
            show_label=False,
            file_count="multiple",
            placeholder="Ask about what you attach" if uploads.extensions else "Ask something",
            lines=1,
            max_lines=8,
            submit_btn=True,
            stop_btn=False,
        )
        with gr.Accordion("Settings", open=False):
            labels = appearance.settings_labels()
            with gr.Row():
                max_new_tokens = gr.Slider(
                    1, MAX_NEW_TOKENS, DEFAULT_MAX_NEW_TOKENS, step=1,
                    label="Longest answer, in tokens", info=labels["max_new_tokens"],
                )  # fmt: skip
                temperature = gr.Slider(0, 2, 0, step=0.05, label="Temperature", info=labels["temperature"])
        _wire(chat, chatbot, box, choices, [max_new_tokens, temperature])
        chatbot.example_select(_example_taker(examples), None, [box], **QUICK)
    # One generation at a time: a second user waits in the queue rather than halving the speed for both.
    return page.queue(default_concurrency_limit=1, max_size=MOST_WAITING, api_open=False)


def _wire(
    chat: Chat, chatbot: gr.Chatbot, box: gr.MultimodalTextbox, choices: list[gr.Radio], settings: list[gr.Slider]
) -> None:
    """Connect what the user does to what happens."""
    busy = gr.State(False)  # whether an answer is being written
    answering: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}
    answers = []
    for start, inputs, function in (
        (box.submit, [busy, box, chatbot, *choices], chat.send),
        (chatbot.retry, [chatbot], chat.retry),
    ):
        answer = start(function, inputs, [busy, box, chatbot], **QUICK).success(
            chat.answer, [chatbot, *settings], [chatbot], **answering
        )
        answer.then(_release, None, [busy, box], **QUICK)
        answers.append(answer)
    box.stop(chat.stopped, [chatbot], [busy, box, chatbot], cancels=answers, **QUICK)
    chatbot.undo(chat.undo, [chatbot], [box, chatbot], **QUICK)
    chatbot.clear(_release, None, [busy, box], cancels=answers, **QUICK)


def _example_taker(examples: Sequence[Example]) -> Callable[[gr.SelectData], Any]:
    def take(event: gr.SelectData) -> Any:
        # By its number: what the browser sends back of the files are addresses that Gradio does not fetch.
        example = examples[event.index]
        return gr.MultimodalTextbox(value={"text": example.text, "files": list(example.files)})

    return take


def _advice(text: str, num_files: int) -> str:
    """Say what to do when a file was refused: `text` and `num_files` others went back into the box."""
    others = "the other file" if num_files == 1 else f"the other {num_files} files"
    kept = ["your text"] * bool(text.strip()) + [others] * bool(num_files)
    if not kept:
        return "Attach something else, or ask without."
    things = " and ".join(kept)
    verb = "is" if things in ("your text", "the other file") else "are"
    return (
        f"{things[0].upper()}{things[1:]} {verb} still in the box below: "
        "press Enter to ask without, or attach something else."
    )


def _busy() -> Any:
    return gr.MultimodalTextbox(value={"text": "", "files": []}, submit_btn=False, stop_btn=True)


def _idle(**changes: Any) -> Any:
    return gr.MultimodalTextbox(submit_btn=True, stop_btn=False, **changes)


def _release() -> tuple[bool, Any]:
    return False, _idle()


def _before_last_question(history: History) -> tuple[History, dict[str, Any] | None]:
    for index in range(len(history) - 1, -1, -1):
        if history[index]["role"] == "user":
            return history[:index], history[index]
    return [], None
