"""What of Gradio's server the page needs, and nothing else of it: routes, events and uploads are checked here first.

Gradio rebuilds a chat history that a client sends, with parts of `{"type": "component"}` as components with the
client's arguments, and fetches files by their address. The page takes no history from the browser
(`demo.chat.turns` has its own form), and an event that holds such a part is refused before Gradio reads it.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from gradio.routes import App, ORJSONResponse
from starlette.types import ASGIApp

from demo.chat.sessions import Sessions
from demo.serving.access import AccessControl
from demo.serving.bodies import CheckedBodies, refuse
from demo.serving.budget import Budget, OverBudgetError
from demo.serving.private_folder import bytes_in

API = "/gradio_api"
STARTUP = f"{API}/startup-events"  # asked by Gradio itself, without a token, while it starts
UPLOAD = f"{API}/upload"
UPLOAD_BYTES = 500 << 20  # of one upload, and of one visitor in an hour
QUOTA_BYTES = 4 << 30  # of all uploads that are kept
_ROUTES = re.compile(
    r"/|/(?:config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon)/?|/(?:assets|static|svelte)/.*"
    rf"|{API}/(?:info|app_id|upload|upload_progress|queue/join|queue/data|run/predict|reset|cancel|startup-events"
    r"|theme\.css|user|login_check|token)/?"
    rf"|{API}/heartbeat/[A-Za-z0-9]+|{API}/file=.+"
)


class PageApp(App):
    """Gradio's server behind the gate.

    Args:
        token: what a visitor must show; None = nothing.
        names: further host names that the page is reached by.
        uploads: where Gradio puts uploads.
        sessions: which pages are open.
    """

    def __init__(self, token: str | None, names: Iterable[str], uploads: Path, sessions: Sessions) -> None:
        super().__init__(default_response_class=ORJSONResponse, docs_url=None, redoc_url=None, openapi_url=None)
        self.sessions = sessions
        self.uploads = UploadQuota(uploads)
        checked = CheckedBodies(self._answer_needed, check_event, except_for=[UPLOAD])
        self.control = AccessControl(checked, token, names, open_paths=[STARTUP], for_browsers=True)
        self._gradio: Any = None

    def build_middleware_stack(self) -> ASGIApp:
        """Return the gate around all that Gradio does, its rules for other origins included."""
        self._gradio = super().build_middleware_stack()
        return cast(ASGIApp, self.control)

    async def _answer_needed(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._gradio(scope, receive, send)
        elif scope["type"] != "http" or not is_needed(scope["path"]):
            await refuse(send, 404, "there is nothing here")
        elif scope["path"].rstrip("/") == UPLOAD:
            await self.uploads(self._gradio, scope, receive, send)
        else:
            with self.sessions.connected(scope, self):
                await self._gradio(scope, receive, send)


class UploadQuota:
    """Refuse uploads beyond what the disk and one visitor are given."""

    def __init__(self, folder: Path, most: int = QUOTA_BYTES, each: int = UPLOAD_BYTES) -> None:
        self.folder, self.most, self.each = folder, most, each
        self.budget = Budget(each, 3600, "bytes of uploads")

    async def __call__(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Answer an upload, or say why not; its length is counted before a byte is read."""
        length = dict(scope["headers"]).get(b"content-length", b"")
        visitor = (scope.get("client") or ("",))[0]
        if not length.isdigit():
            await refuse(send, 411, "an upload must say its length")
        elif int(length) > self.each:
            await refuse(send, 413, f"the files are larger than {self.each >> 20} MB together")
        elif bytes_in(self.folder) + int(length) > self.most:
            await refuse(send, 507, "the server keeps no more uploads now; older ones are removed after a day")
        else:
            try:
                self.budget.check(visitor, int(length))
            except OverBudgetError as error:
                await refuse(send, 429, str(error), {"Retry-After": f"{error.retry_after:.0f}"})
                return
            self.budget.use(visitor, int(length))
            await app(scope, receive, send)


def is_needed(path: str) -> bool:
    """Return whether the page asks for such a path; files by an address elsewhere are never fetched."""
    if not _ROUTES.fullmatch(path):
        return False
    _, is_file, name = path.partition(f"{API}/file=")
    return not is_file or not _is_address(unquote(name))


def check_event(body: bytes) -> str | None:
    """Say what is wrong with what a browser sends about an event, or None.

    The content of hidden fields is a text for Gradio; `demo.chat.turns` checks it when it is read.
    """
    try:
        values = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return "the body is not JSON"
    try:
        for part in _dictionaries(values):
            if part.get("type") == "component":
                return "parts of type 'component' are not taken: the page makes its own components"
            if part.get("role") == "system":
                return "turns of role 'system' are not taken: the system prompt is a setting of the page"
            for key in ("path", "url"):
                if "meta" in part and key in part and not _is_own(part[key], key):
                    return f"files are taken by their upload only, not by the {key} {str(part[key])[:100]!r}"
    except RecursionError:
        return "the body is nested too deep"
    return None


def _is_own(value: Any, key: str) -> bool:
    """Whether it may stand in a file of an event: nothing, or a place on this server (which Gradio then checks)."""
    if value is None:
        return True
    if not isinstance(value, str):
        return False
    return not _is_address(value) if key == "path" else f"{API}/file=" in value or not _is_address(value)


def _is_address(text: str) -> bool:
    return "://" in text or text.lower().lstrip().startswith(("http:", "https:", "//", "\\\\", "data:"))


def _dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _dictionaries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _dictionaries(inner)
