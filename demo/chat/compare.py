"""The tab "Compare": two models answer the same question, side by side."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo.chat.controls import ANSWERS, QUICK, asker
from demo.chat.handlers import visitor_of
from demo.chat.markup import literal, notice
from demo.chat.sessions import Sessions
from demo.chat.talk import RefusedError, Settings, Talk, reason_of
from demo.chat.tray import draw_tray, read_choices, read_paths
from demo.chat.turns import Conversation, Turn


@dataclass(frozen=True)
class Compared:
    """Models by name; both are asked with the same settings."""

    talks: Sequence[Talk]
    names: Sequence[str]
    sessions: Sessions

    async def answers(
        self, request: gr.Request, box: Any, choices: str, *settings: Any
    ) -> AsyncIterator[tuple[Any, Any, Any]]:
        """Yield both answers as they grow, and a notice. Outputs: first answer, second answer, notice."""
        text, files = (box or {}).get("text") or "", (box or {}).get("files") or []
        if not text.strip() and not files:
            yield gr.skip(), gr.skip(), notice("Attach something, or ask a question.")
            return
        chosen = Settings(*settings)
        shown = ["…", "…"]
        queue: asyncio.Queue[tuple[int, str | None]] = asyncio.Queue()

        async def ask(index: int, talk: Talk) -> None:
            try:
                turn = await asyncio.to_thread(talk.question, text, files, read_choices(choices))
                async with aclosing(talk.answer(Conversation((turn,)), chosen, visitor_of(request))) as grows:
                    async for grown, _ in grows:
                        await queue.put((index, _shown(grown.turns[-1])))
            except (RefusedError, ValueError, RuntimeError, OSError) as error:
                await queue.put((index, f"*No answer: {literal(reason_of(error))}*"))
            finally:
                await queue.put((index, None))

        if not await self.sessions.arrives(request.session_hash):
            return
        yield shown[0], shown[1], ""
        tasks = [asyncio.create_task(ask(index, talk)) for index, talk in enumerate(self.talks)]
        try:
            running = len(tasks)
            while running and self.sessions.is_listening(request.session_hash):
                index, answer = await queue.get()
                if answer is None:
                    running -= 1
                    continue
                shown[index] = answer
                yield shown[0], shown[1], gr.skip()
        finally:
            for task in tasks:
                task.cancel()


def build_compare(compared: Compared, settings: Sequence[Any]) -> None:
    """Put the tab together."""
    first = compared.talks[0]
    gr.Markdown("Both models get the same question, with the settings at the side. Each question stands for itself.")
    parts = asker(
        "compare-ask", first.store.uploads, "Ask both",
        lambda attached: draw_tray(read_paths(attached), first.store, first),
    )  # fmt: skip
    with gr.Row(elem_classes="actions"):
        start = gr.Button("Compare", variant="primary", elem_id="compare")
        stop = gr.Button("Stop", elem_id="compare-stop")
    with gr.Row():
        answers = []
        for index, name in enumerate(compared.names):
            with gr.Column(elem_classes="answer-card"):
                gr.Markdown(f"**{literal(name)}**")
                answers.append(gr.Markdown("", elem_id=f"compare-{index}", min_height=80))
    inputs, outputs = [parts.box, parts.choices, *settings], [*answers, parts.notice]
    events: Any = [
        begin(compared.answers, inputs, outputs, js=parts.first, **ANSWERS) for begin in (parts.box.submit, start.click)
    ]
    stop.click(None, None, None, cancels=events, **QUICK)


def _shown(turn: Turn) -> str:
    return turn.text + (f"\n\n*{literal(turn.note)}*" if turn.note else "")
