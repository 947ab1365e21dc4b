"""`report.html`: one self-contained page from sections. No script, no address outside the page, works offline."""

import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from eval.report.media import Embedder
from eval.report.sections import Section
from eval.report.views import view
from omni.encoders.base import Encoder
from omni.runtime.files import write_atomically

# Bytes of embedded media in a page, so that it stays below about 8 MB with everything else.
MEDIA_BUDGET = 7_000_000
GALLERY_ITEMS = 12


def write_report(
    path: Path,
    sections: Sequence[Section],
    *,
    title: str,
    intro_html: str = "",
    gallery_items: int = GALLERY_ITEMS,
    media_budget: int = MEDIA_BUDGET,
    encoders: Mapping[str, Encoder] | None = None,
) -> None:
    """Write a page from sections, atomically.

    Args:
        path: the file of the page.
        sections: in the order of the page; those of one evaluation come from `sections_of`.
        title: the title of the page; it is escaped.
        intro_html: a paragraph under the title; trusted HTML, not escaped.
        gallery_items: the most items that a task's gallery shows, spread over right and wrong ones as they occur.
        media_budget: bytes of embedded pictures and sounds; those that do not fit are shown by their file names.
        encoders: the model's encoders by modality, whose own previews show their media; None = the usual previews.
    """
    embedder = Embedder(media_budget, encoders or {})
    views = [view(section, embedder, gallery_items) for section in sections]
    for number, shown in enumerate(views):
        shown["number"] = number
    # A tile of the summary leads to its task.
    places = {shown["task"].name: shown["number"] for shown in views if shown["kind"] == "task"}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_read("page.html.j2"))
    page = template.render(
        title=title,
        intro=Markup(intro_html),
        style=Markup(_read("page.css")),
        sections=views,
        places=places,
        left_out=embedder.left_out,
    )
    write_atomically(path, page)


def _read(name: str) -> str:
    return importlib.resources.files("eval.report").joinpath(name).read_text(encoding="utf-8")
