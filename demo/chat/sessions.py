"""Which pages are open: the memory of one that is closed is freed, and nobody works for one that is gone."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from gradio.routes import App
from starlette.types import Scope

_HEARTBEAT = re.compile(r"/gradio_api/heartbeat/([A-Za-z0-9]+)")
_DATA = "/gradio_api/queue/data"


class Sessions:
    """Count the connections that each page holds open to hear of its events.

    Args:
        arrival_seconds: within which a page that asked begins to listen for the answer.
        freed_after: seconds after its last connection in which what is kept of a page is freed: a network that fails
            for a moment loses nothing.
    """

    def __init__(self, arrival_seconds: float = 5.0, freed_after: float = 60.0) -> None:
        self.arrival_seconds, self.freed_after = arrival_seconds, freed_after
        self._listening: dict[str, int] = {}
        self._open: dict[str, int] = {}
        self._freeing: set[asyncio.Task[None]] = set()

    @contextmanager
    def connected(self, scope: Scope, app: App) -> Iterator[None]:
        """Count a request while it lasts, if it is one of the long ones that a page keeps open."""
        session, counts = _session_of(scope)
        if session is None:
            yield
            return
        tables = [self._open, self._listening] if counts else [self._open]
        for table in tables:
            table[session] = table.get(session, 0) + 1
        try:
            yield
        finally:
            for table in tables:
                table[session] -= 1
                if not table[session]:
                    del table[session]
            if session not in self._open:
                task = asyncio.get_running_loop().create_task(self._free_later(session, app))
                self._freeing.add(task)
                task.add_done_callback(self._freeing.discard)

    def is_listening(self, session: str | None) -> bool:
        """Return whether the page waits for answers; a client that has no session is its own matter."""
        return session is None or session in self._listening

    async def arrives(self, session: str | None) -> bool:
        """Wait until the page listens; return False if it does not in time."""
        deadline = time.monotonic() + self.arrival_seconds
        while not self.is_listening(session):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    async def _free_later(self, session: str, app: App) -> None:
        await asyncio.sleep(self.freed_after)
        if session not in self._open:
            free(session, app)


def free(session: str, app: App) -> None:
    """Drop what Gradio keeps of a session, which is otherwise kept until ten thousand others have come."""
    holder: Any = app.state_holder
    holder.delete_state(session)
    holder.session_data.pop(session, None)
    holder.time_last_used.pop(session, None)
    queue = app.get_blocks()._queue
    queue.pending_event_ids_session.pop(session, None)
    if session in queue.pending_messages_per_session:
        del queue.pending_messages_per_session[session]


def _session_of(scope: Scope) -> tuple[str | None, bool]:
    """The session that a long request belongs to, and whether it is the one by which answers come."""
    found = _HEARTBEAT.fullmatch(scope["path"])
    if found:
        return found.group(1), False
    if scope["path"].rstrip("/") == _DATA:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        return query.get("session_hash", [None])[0], True
    return None, False
