"""Open the page on an address, behind the gate."""

import hashlib
from collections.abc import Iterable

import gradio as gr

from demo.chat import appearance
from demo.chat.app import Parts, build_page
from demo.chat.gate import UPLOAD_BYTES, PageApp


def launch(
    parts: Parts,
    host: str,
    port: int,
    *,
    token: str | None = None,
    names: Iterable[str] = (),
    is_shared: bool = False,
    finds_examples: bool = True,
) -> tuple[gr.Blocks, PageApp, str | None]:
    """Open the page; return it, its server and its public address, and answer requests in threads from now on.

    Args:
        parts: what the page is made of.
        host, port: the address to listen on.
        token: what visitors must show; None = nothing.
        names: further host names that the page is reached by.
        is_shared: whether to open a public link through Gradio's tunnel.
        finds_examples: whether to look for examples where none are kept.
    """
    page = build_page(parts)
    app = PageApp(token, names, parts.folder, parts.sessions)
    # of another model on the same address, conversations are other ones
    name = hashlib.sha256(f"{parts.model_folder or ''} {parts.loaded.llm}".encode()).hexdigest()[:12]
    _, _, public_url = page.launch(
        server_name=host,
        server_port=port,
        share=is_shared,
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        state_session_capacity=1000,
        max_file_size=UPLOAD_BYTES,
        theme=appearance.theme(),
        css=appearance.CSS,
        head=appearance.head(name),
        _app=app,
    )
    if finds_examples and parts.examples is not None:
        parts.examples.find()
    return page, app, public_url or None
