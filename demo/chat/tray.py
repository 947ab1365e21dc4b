"""The row of what is attached to the next question: each file drawn, named, and asked about where it could be two."""

import json
from collections.abc import Sequence
from html import escape

from demo.chat.appearance import data_url
from demo.chat.modalities import AttachmentError, spoken
from demo.chat.store import Store, thumbnail
from demo.chat.talk import Talk
from demo.chat.turns import Attachment


def read_paths(attached: str) -> list[str]:
    """Return the paths that the script of the page lists; none if they are no list of texts."""
    try:
        found = json.loads(attached or "[]")
    except ValueError:
        return []
    return [path for path in found if isinstance(path, str)][:100] if isinstance(found, list) else []


def read_choices(choices: str) -> dict[str, str]:
    """Return upload -> modality, as chosen in the row; nothing if it is no such table."""
    try:
        found = json.loads(choices or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def draw_tray(paths: Sequence[str], store: Store, talk: Talk | None) -> str:
    """Return the HTML of the row; `talk` counts the tokens of files of which the modality is clear."""
    items = [_item(path, number + 1, store, talk) for number, path in enumerate(paths)]
    return f'<div class="tray">{"".join(items)}</div>' if items else ""


def _item(path: str, number: int, store: Store, talk: Talk | None) -> str:
    try:
        upload = store.name_of(path)
        candidates = store.uploads.candidates(store.path_of(upload))
    except AttachmentError as error:
        return f'<div class="item asks"><span class="about">{escape(str(error))}</span></div>'
    name = f'<span class="name">[{number}] {escape(Attachment(upload, "").name)}</span>'
    if len(candidates) != 1:
        radios = "".join(
            f'<label><input type="radio" name="choice-{number}" data-upload="{escape(upload)}" value="{escape(one)}">'
            f"{escape(spoken(one))}</label>"
            for one in candidates
        )
        return f'<div class="item asks">{name}<span>What is it?</span><span>{radios}</span>{_mark(number)}</div>'
    (modality,) = candidates
    shown = store.show(Attachment(upload, modality))
    picture = f'<img src="{data_url(thumbnail(shown.still, 168))}" alt="">'
    tokens = talk.tokens(path, modality) if talk else None
    about = " · ".join(
        [spoken(modality), *([shown.caption] if shown.caption else []), *([f"{tokens} tokens"] if tokens else [])]
    )
    place = _mark(number) if talk else ""
    return f'<div class="item">{picture}{name}<span class="about">{escape(about)}</span>{place}</div>'


def _mark(number: int) -> str:
    return (
        f'<button type="button" data-mark="[{number}]" title="Media without a mark stand in front of the text">'
        f"Put [{number}] into the text</button>"
    )
