"""The README.md of an export: what it is made of, and what its use is bound to."""

from collections.abc import Sequence

from omni.model.card import licence_lines, training_lines
from omni.model.card_parts import hub_name
from omni.model.card_rendering import part_licences
from omni.model.core import ModelCore


def render_export_card(model: ModelCore, library: str, title: str, about: Sequence[str]) -> str:
    """Write the card as Markdown with the metadata block of hubs.

    Args:
        model: what was exported.
        library: whose form the folder has, such as `transformers`.
        title: the headline.
        about: paragraphs on what the folder holds and how to use it.
    """
    base = hub_name(model.llm.config.name)
    lines = ["---", f"library_name: {library}", *([f"base_model: {base}"] if base else []), "---", "", f"# {title}", ""]
    for paragraph in about:
        lines += [paragraph, ""]
    lines += [*training_lines(model.card), "", *licence_lines(part_licences(model))]
    return "\n".join(lines) + "\n"
