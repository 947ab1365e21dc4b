"""The look of the chat page: theme, style sheet, icon and the parts in HTML. Nothing is fetched: no web fonts, no CDN."""
# ruff: noqa: E501 (style sheet and drawings read better unbroken)

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from gradio.themes import Base, Soft
from PIL import Image

from demo.chat.examples import Example
from demo.chat.modalities import Uploads, spoken

# Strokes on a 24 x 24 grid; drawn here because not every system has a font with pictures.
_STROKES = {
    "image": '<rect x="3" y="4" width="18" height="16" rx="3"/><circle cx="8.5" cy="9.5" r="1.6"/><path d="M4 18l5.5-5.5 4 4 2.5-2.5 4 4"/>',
    "sound": '<path d="M3 12h2M7.5 8v8M12 4v16M16.5 8v8M19 12h2"/>',
    "speech": '<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"/>',
    "video": '<rect x="3" y="5" width="18" height="14" rx="3"/><path d="M10.5 9.2v5.6l4.5-2.8z"/>',
    "point_cloud": '<path d="M12 3l8 4.5v9L12 21l-8-4.5v-9zM4.3 7.7L12 12l7.7-4.3M12 12v9"/>',
    "depth": '<path d="M3 20h18M3 15l6-3M3 9l9-5 9 5-9 5z"/>',
    "thermal": '<path d="M10 13.5V5a2 2 0 0 1 4 0v8.5a4.5 4.5 0 1 1-4 0z"/>',
    "imu": '<circle cx="12" cy="12" r="9"/><path d="M15.5 8.5l-2 5-5 2 2-5z"/>',
}
_OTHER_STROKES = (
    '<path d="M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.4 3.4 0 0 1 4.8 4.8l-8.4 8.4a1.7 1.7 0 0 1-2.4-2.4l7.6-7.6"/>'
)
_ICON_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1">'
    '<stop offset="0" stop-color="#0ea5a4"/><stop offset="1" stop-color="#4f46e5"/></linearGradient></defs>'
    '<rect width="64" height="64" rx="16" fill="url(#g)"/><circle cx="32" cy="32" r="13" fill="none" stroke="#fff" stroke-width="7"/>'
    '<circle cx="13" cy="32" r="4.5" fill="#fff"/><circle cx="51" cy="32" r="4.5" fill="#fff"/>'
    '<circle cx="32" cy="13" r="4.5" fill="#fff"/><circle cx="32" cy="51" r="4.5" fill="#fff"/></svg>'
)
ICON_URL = "data:image/svg+xml," + quote(_ICON_SVG)

# An answer is Markdown, and a model can be made to write a picture's address with what was said in it.
_POLICY = "img-src 'self' data: blob:; media-src 'self' data: blob:; frame-src 'none'; form-action 'self'"

_HERE = Path(__file__).parent
CSS = (_HERE / "style.css").read_text(encoding="utf-8")


def head(page: str) -> str:
    """Return what stands in the page's head: icon, policy, and the script, which keeps conversations apart by `page`."""
    script = (_HERE / "browser.js").read_text(encoding="utf-8")
    name = json.dumps(page).replace("<", "\\u003c")
    return f"""
<link rel="icon" type="image/svg+xml" href="{ICON_URL}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<script>const PAGE = {name};\n{script}</script>
"""


def theme() -> Base:
    """Return the theme: teal and indigo on slate, in the fonts of the system."""
    sans = (
        "ui-sans-serif",
        "system-ui",
        "-apple-system",
        "Segoe UI",
        "Roboto",
        "Helvetica Neue",
        "Noto Sans",
        "sans-serif",
    )
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    return Soft(
        primary_hue="teal", secondary_hue="indigo", neutral_hue="slate", radius_size="lg", font=sans, font_mono=mono
    )


def header(llm: str) -> str:
    """Return the one line at the top: the name, the language model, and the way to the side."""
    return (
        f'<div class="bar"><img src="{ICON_URL}" alt=""><h1>omni</h1><div class="llm">{escape(llm)}</div>'
        '<button type="button" data-side="" id="side-toggle"><span class="wide">Conversations and settings</span>'
        '<span class="narrow">Menu</span></button></div>'
    )


def about(llm: str, licence: str | None, uploads: Uploads) -> str:
    """Return what is known of the model: LLM, modalities with all their file types, licence with what it means."""
    modalities = "".join(
        f"<div>{icon(upload.modality)} <b>{escape(spoken(upload.modality))}</b> "
        f"{escape(' '.join(upload.extensions) or 'no files')}</div>"
        for upload in uploads.by_modality.values()
    )
    return (
        f"<div><b>Language model</b> {escape(llm)}</div>{modalities}<div><b>Licence</b> "
        f"{escape(licence) if licence else 'not stated'}, the strictest of those of the language model, the encoders and "
        "the training data</div>"
    )


def welcome(uploads: Uploads, examples: Sequence[Example] = ()) -> str:
    """Return the page of a new conversation, which says what to do first, with examples to click on."""
    names = [spoken(name) for name, upload in uploads.by_modality.items() if upload.extensions]
    icons = "".join(icon(name) for name in uploads.by_modality)
    if not names:
        said = "<h2>Ask something</h2><p>This model takes text.</p>"
    else:
        kinds = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
        article = "an" if kinds[0] in "aeiou" else "a"
        more = " Several at once are taken together." if len(names) > 1 else ""
        said = (
            f"<h2>Show it something, then ask</h2><p>Attach {article} {escape(kinds)} file below, drop or paste it, "
            f"write a question and press Enter.{more}</p>"
        )
    cards = "".join(_card(number, example) for number, example in enumerate(examples))
    shown = f'<div class="examples">{cards}</div>' if cards else ""
    return f'<div class="welcome"><div class="icons">{icons}</div>{said}</div>{shown}'


def icon(modality: str) -> str:
    """Return a small picture for a modality, as SVG in the colour of the text around it."""
    return (
        '<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true">{_STROKES.get(modality, _OTHER_STROKES)}</svg>'
    )


def data_url(image: Image.Image) -> str:
    """Return a small picture as an address that holds it."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _card(number: int, example: Example) -> str:
    pictures = "".join(f'<img src="{data_url(picture)}" alt="">' for picture in example.pictures)
    return (
        f'<button type="button" class="example" data-example="{number}"><span class="pictures">{pictures}</span>'
        f"<span>{escape(example.text)}</span></button>"
    )
