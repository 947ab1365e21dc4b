"""What the chat does with what the user does; `demo.chat.app` only wires it up.

The outputs of most handlers are the same six, in this order: the conversation as text, the chat, the welcome, the box,
the notice, and the row of attachments.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import gradio as gr

from demo.chat.appearance import welcome
from demo.chat.examples import Examples, to_turn
from demo.chat.markup import notice
from demo.chat.sessions import Sessions
from demo.chat.showing import show, shown_turn
from demo.chat.store import Store
from demo.chat.talk import RefusedError, Settings, Talk, reason_of, without_last_answer
from demo.chat.tray import draw_tray, read_choices, read_paths
from demo.chat.turns import Conversation, ConversationError, Turn, typed
from demo.serving.address import is_loopback

AGAIN = 0.7  # temperature of another answer where the user's is 0, which would give the same again
BACK = "Your question stands in the chat: “Edit question” puts it back into the box."
GONE = "Some files of this question are no longer here: uploads go when the page is stopped. Attach them again."
Outputs = tuple[Any, Any, Any, Any, Any, Any]


class Handlers:
    """Reacts to the user's actions.

    Args:
        talk: asks the model.
        store: the uploads.
        sessions: which pages are open.
        examples: what to begin with.
    """

    def __init__(self, talk: Talk, store: Store, sessions: Sessions, examples: Examples | None = None) -> None:
        self.talk, self.store, self.sessions, self.examples = talk, store, sessions, examples
        self._busy: dict[str, int] = {}
        self._regenerated = 0

    async def ask(
        self, request: gr.Request, box: dict[str, Any], choices: str, state: str, *settings: Any
    ) -> AsyncIterator[Outputs]:
        """Move what was typed into the chat and answer it, or say why not and leave the box as it is."""
        self._refuse_if_busy(request)
        text, files = (box or {}).get("text") or "", (box or {}).get("files") or []
        if not text.strip() and not files:
            yield _nothing()
            return
        try:
            conversation = Conversation.from_json(state)
            turn = await asyncio.to_thread(self.talk.question, text, files, read_choices(choices))
        except RefusedError as error:
            kept = {"text": text, "files": error.kept}
            row = await asyncio.to_thread(draw_tray, error.kept, self.store, self.talk)
            yield gr.skip(), gr.skip(), gr.skip(), _box(value=kept), notice(f"{error}\n\n{_advice(text, error)}"), row
            return
        except ConversationError as error:
            yield _said(str(error))
            return
        async with aclosing(self._answer(conversation.with_turn(turn), Settings(*settings), request)) as answers:
            async for outputs in answers:
                yield outputs

    async def regenerate(self, request: gr.Request, state: str, *settings: Any) -> AsyncIterator[Outputs]:
        """Answer the last question again, otherwise than before."""
        self._refuse_if_busy(request)
        try:
            conversation = without_last_answer(Conversation.from_json(state))
        except ConversationError as error:
            yield _said(str(error))
            return
        if not conversation.turns:
            yield _said("There is no question to answer again.")
            return
        self._regenerated += 1
        chosen = Settings(*settings)
        other = replace(chosen, seed=int(chosen.seed) + self._regenerated)
        said = ""
        if chosen.temperature == 0:
            other = replace(other, temperature=AGAIN, num_beams=1)
            said = f"Another answer, drawn at temperature {AGAIN} with the seed {other.seed}."
        async with aclosing(self._answer(conversation, other, request, said)) as answers:
            async for outputs in answers:
                yield outputs

    async def _answer(
        self, conversation: Conversation, settings: Settings, request: gr.Request, said: str = ""
    ) -> AsyncGenerator[Outputs]:
        session = request.session_hash or ""
        self._busy[session] = self._busy.get(session, 0) + 1
        try:
            shown = await asyncio.to_thread(show, conversation, self.store)
            yield conversation.to_json(), gr.Chatbot(shown, visible=True), gr.HTML(visible=False), _busy(), "", ""
            if not await self.sessions.arrives(request.session_hash):
                return  # nobody waits for the answer any more
            async with aclosing(self.talk.answer(conversation, settings, visitor_of(request))) as answers:
                async for grown, is_whole in answers:
                    if not self.sessions.is_listening(request.session_hash):
                        return
                    last = grown.turns[-1]
                    if is_whole and said:
                        last = Turn(last.role, last.parts, " ".join([said, last.note]).strip())
                        grown = conversation.with_turn(last)
                    chat = [*shown, shown_turn(last, self.store)]
                    box = _box() if is_whole else gr.skip()
                    yield grown.to_json(), chat, gr.skip(), box, gr.skip(), gr.skip()
        except (ValueError, OSError, RuntimeError) as error:
            yield gr.skip(), gr.skip(), gr.skip(), _box(), notice(f"No answer: {reason_of(error)}\n\n{BACK}"), gr.skip()
        finally:
            self._busy[session] -= 1
            if not self._busy[session]:
                del self._busy[session]

    def stopped(self, state: str) -> tuple[Any, Any]:
        """Say so if an answer was stopped before its first word."""
        turns = Conversation.from_json(state).turns
        is_without = bool(turns) and turns[-1].role == "user"
        return _box(), notice(f"Stopped before the first word. {BACK}") if is_without else ""

    def undo(self, state: str) -> Outputs:
        """Take the last question and its answer out of the chat."""
        try:
            before, _ = Conversation.from_json(state).before_last_question()
        except ConversationError as error:
            return _said(str(error))
        return self._opened(before)

    def edit(self, state: str) -> Outputs:
        """Take the last question and its answer out of the chat, and put the question back into the box."""
        try:
            before, turn = Conversation.from_json(state).before_last_question()
        except ConversationError as error:
            return _said(str(error))
        return self._opened(before, turn)

    def open(self, state: str) -> Outputs:
        """Show a conversation that the browser has kept; a blank text is a new one."""
        try:
            return self._opened(Conversation.from_json(state.strip()))
        except ConversationError as error:
            return (*self._opened(Conversation())[:4], notice(str(error)), "")

    def restore(self, state: str) -> tuple[Any, Any, Any]:
        """Show the last conversation that the browser has kept; outputs: conversation, chat, welcome.

        The box is left alone: somebody may have begun to type.
        """
        conversation, chat, start, *_ = self.open(state)
        return conversation, chat, start

    def example(self, picked: str) -> tuple[Any, Any, Any]:
        """Put an example into the box; outputs: box, notice, row of attachments."""
        found = self.examples.found if self.examples else []
        if not picked.isdecimal() or int(picked) >= len(found):
            return gr.skip(), gr.skip(), gr.skip()
        value, row = self._put_back(to_turn(found[int(picked)]))
        return _box(value=value), "", row

    def welcome(self) -> str:
        """Return the page of a new conversation, with the examples that have been found by now."""
        return welcome(self.store.uploads, self.examples.found if self.examples else ())

    def attached(self, attached: str) -> str:
        """Draw what is attached."""
        return draw_tray(read_paths(attached), self.store, self.talk)

    def add(self, box: dict[str, Any] | None, path: str | None) -> tuple[Any, Any]:
        """Attach what a camera took; outputs: box, camera (empty again)."""
        if not path:
            return gr.skip(), gr.skip()
        box = box or {}
        return _box(value={"text": box.get("text") or "", "files": [*(box.get("files") or []), path]}), None

    def _opened(self, conversation: Conversation, question: Turn | None = None) -> Outputs:
        is_new = not conversation.turns
        value, row = self._put_back(question) if question else ({"text": "", "files": []}, "")
        chat = gr.Chatbot(show(conversation, self.store), visible=not is_new)
        is_whole = question is None or len(value["files"]) == len(question.attachments)
        said = "" if is_whole else notice(GONE)
        return conversation.to_json() if not is_new else "", chat, gr.HTML(visible=is_new), _box(value=value), said, row

    def _put_back(self, turn: Turn) -> tuple[dict[str, Any], str]:
        text, attachments = typed(turn)
        paths = []
        for attachment in attachments:
            try:
                paths.append(self.store.path_of(attachment.upload))
            except ValueError:
                continue
        return {"text": text, "files": paths}, draw_tray(paths, self.store, self.talk)

    def _refuse_if_busy(self, request: gr.Request) -> None:
        if (request.session_hash or "") in self._busy:
            raise gr.Error("An answer is being written: wait for it, or stop it.", print_exception=False)


def visitor_of(request: gr.Request) -> str:
    """Return what tells visitors apart: the address, or the page where all come through this machine."""
    host = request.client.host if request.client else ""
    return host if host and not is_loopback(host) else f"page {request.session_hash}"


def _advice(text: str, error: RefusedError) -> str:
    kept = ["your text"] * bool(text.strip()) + [f"{len(error.kept)} of the files"] * bool(error.kept)
    return f"Still in the box: {' and '.join(kept)}." if kept else ""


def _said(text: str) -> Outputs:
    return gr.skip(), gr.skip(), gr.skip(), _box(), notice(text), gr.skip()


def _nothing() -> Outputs:
    return (gr.skip(),) * 6  # type: ignore[return-value]


def _busy() -> Any:
    return gr.MultimodalTextbox(value={"text": "", "files": []}, submit_btn=False, stop_btn=True)


def _box(**changes: Any) -> Any:
    return gr.MultimodalTextbox(submit_btn=True, stop_btn=False, **changes)
