"""The look of the chat page: theme, style sheet, icon and the parts in HTML. Nothing is fetched: no web fonts, no CDN."""
# ruff: noqa: E501 (style sheet and drawings read better unbroken)

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from gradio.themes import Base, Soft

from demo.chat.conversation import Upload, Uploads

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
NUM_EXTENSIONS_SHOWN = 4  # the rest is in the tooltip

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

HEAD = f"""
<link rel="icon" type="image/svg+xml" href="{ICON_URL}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
"""

CSS = """
.gradio-container { max-width: 960px !important; width: 100% !important; margin: 0 auto !important; padding: 0 !important; }
.gradio-container .main.app { padding: 16px 20px 10px !important; max-width: 100% !important; }
svg.icon { width: 1.25em; height: 1.25em; flex: none; color: var(--color-accent); }
#header { padding: 0; }
#header .bar { display: flex; align-items: center; gap: 12px; flex-wrap: wrap; }
#header img { width: 38px; height: 38px; }
#header h1 { font-size: 1.5rem; font-weight: 700; letter-spacing: -0.02em; margin: 0; line-height: 1.1; }
#header .llm { color: var(--body-text-color-subdued); font-size: .85rem; overflow-wrap: anywhere; }
#header .licence { margin-left: auto; font-size: .78rem; padding: 3px 10px; border-radius: 999px; white-space: nowrap;
  border: 1px solid var(--border-color-primary); color: var(--body-text-color-subdued); }
#header .modalities { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 12px; }
#header .modality { display: flex; align-items: center; gap: 8px; padding: 6px 12px; border-radius: 12px; font-size: .82rem;
  background: var(--block-background-fill); border: 1px solid var(--border-color-primary); }
#header .modality b { font-weight: 600; }
#header .modality span.types { color: var(--body-text-color-subdued); }
#header .modality code { font-size: .76rem; padding: 1px 6px; border-radius: 6px; background: var(--background-fill-secondary);
  color: var(--body-text-color-subdued); border: none; white-space: pre; }
#chat { border-radius: 16px; height: max(340px, calc(100dvh - 375px)) !important; }
#chat .welcome { text-align: center; max-width: 460px; margin: 0 auto; padding: 12px; }
#chat .welcome .icons { font-size: 2rem; display: flex; gap: 14px; justify-content: center; }
#chat .welcome h2 { font-size: 1.25rem; font-weight: 650; margin: 8px 0 4px; color: var(--body-text-color); }
#chat .welcome p { color: var(--body-text-color-subdued); font-size: .92rem; line-height: 1.5; margin: 0; }
#chat .message-buttons-right:has([aria-label="Copy message"]) { display: none; } /* it would copy character references */
#ask { border-radius: 16px; }
#ask textarea { font-size: 1rem; }
.choice { border: none !important; background: transparent !important; padding: 0 4px !important; box-shadow: none !important;
  display: flex; align-items: center; gap: 4px 14px; flex-wrap: wrap; }
.choice > span { background: none !important; padding: 0 !important; margin: 0 !important; }
.choice > span, .choice > span * { color: var(--body-text-color-subdued) !important; font-size: .82rem !important; font-weight: 500 !important; }
.form:has(.choice), .styler:has(> .choice) { background: transparent !important; border: none !important; box-shadow: none !important; }
#chat .message img { max-height: 180px; width: auto; object-fit: contain; }
#chat button[aria-label="Share"], #chat button[title="Share"] { display: none; }
.choice label { padding: 4px 12px !important; font-size: .85rem; }
#chat .example { border: 1px solid var(--border-color-primary); border-radius: 14px; }
@media (max-width: 640px) {
  .gradio-container .main.app { padding: 10px 10px 6px !important; }
  #header .licence { margin-left: 0; }
  #header .modality { padding: 5px 9px; }
  #header .modality code { display: none; }
}
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


def header(llm: str, licence: str | None, uploads: Uploads) -> str:
    """Return the header: LLM, effective licence, and each modality with its file types and cue."""
    shown_licence = escape(licence) if licence else "not stated"
    modalities = "".join(_modality(upload) for upload in uploads.by_modality.values())
    if not modalities:
        modalities = '<div class="modality">text only</div>'
    return (
        f'<div class="bar"><img src="{ICON_URL}" alt=""><div><h1>omni</h1><div class="llm">{escape(llm)}</div></div>'
        f'<div class="licence" title="The strictest of the licences of the LLM, the encoders and the training data">'
        f'licence: {shown_licence}</div></div><div class="modalities">{modalities}</div>'
    )


def welcome(uploads: Uploads) -> str:
    """Return the text of the empty chat, which says what to do first."""
    names = [name.replace("_", " ") for name, upload in uploads.by_modality.items() if upload.extensions]
    icons = "".join(icon(name) for name in uploads.by_modality)
    if not names:
        return f'<div class="welcome"><div class="icons">{icons}</div><h2>Ask something</h2><p>This model takes text.</p></div>'
    kinds = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    more = " You can attach several at once and ask about them together." if len(names) > 1 else ""
    article = "an" if kinds[0] in "aeiou" else "a"
    return (
        f'<div class="welcome"><div class="icons">{icons}</div><h2>Show it something, then ask</h2>'
        f"<p>Attach {article} {escape(kinds)} file with the clip below, or drop it here, write a question and press Enter.{more}</p></div>"
    )


def icon(modality: str) -> str:
    """Return a small picture for a modality, as SVG in the colour of the text around it."""
    return (
        '<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true">{_STROKES.get(modality, _OTHER_STROKES)}</svg>'
    )


def choice_label(extensions: Sequence[str]) -> str:
    """Return the label of the choice between modalities that share file types."""
    return f"Take attached {' '.join(extensions)} files as"


def choice_options(modalities: Sequence[str]) -> list[tuple[str, str]]:
    """Return the options of that choice: the text that is shown, and the modality."""
    return [(name.replace("_", " "), name) for name in modalities]


def settings_labels() -> Mapping[str, str]:
    """Return the explanations of the generation settings."""
    return {
        "max_new_tokens": "The answer ends there at the latest; a token is about three quarters of a word",
        "temperature": "0 always takes the likeliest word; higher is more varied and less reliable",
    }


def _modality(upload: Upload) -> str:
    types = " ".join(upload.extensions[:NUM_EXTENSIONS_SHOWN]) or "no upload"
    rest = len(upload.extensions) - NUM_EXTENSIONS_SHOWN
    more = f" +{rest}" if rest > 0 else ""
    cue = f"<code>{escape(upload.cue)}</code>" if upload.cue.strip() else ""
    tooltip = f"files: {' '.join(upload.extensions) or 'none'}; cue: {upload.cue!r}"
    return (
        f'<div class="modality" title="{escape(tooltip)}">{icon(upload.modality)} <b>{escape(upload.modality.replace("_", " "))}</b>'
        f' <span class="types">{escape(types)}{more}</span>{cue}</div>'
    )
