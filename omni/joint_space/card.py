"""The model card of a joint space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omni.model.card import figure_lines, training_lines
from omni.runtime.licences import effective_licence

if TYPE_CHECKING:
    from omni.joint_space.space import JointSpace


def render_space_card(space: JointSpace) -> str:
    """The model card as Markdown with the metadata block of Hugging Face hubs."""
    parts: list[tuple[str, str | None]] = []
    for name in space.modalities:
        encoder = space.modality(name).encoder
        parts.append((f"{name} encoder {encoder.class_name}", encoder.licence))
    parts += [(f"data {entry.name}", entry.licence) for entry in space.card.data]
    lines = ["---", "library_name: omni", "---", "", f"# Joint space of {', '.join(space.modalities)}", ""]
    lines += [f"Embeddings of width {space.dim}; frozen encoders are not in this folder.", ""]
    lines += ["| modality | encoder | head | parameters trained |", "|---|---|---|---|"]
    for name in space.modalities:
        modality = space.modality(name)
        count = sum(parameter.numel() for parameter in modality.parameters() if parameter.requires_grad)
        lines.append(f"| {name} | {modality.encoder.class_name} | {type(modality.head).__name__} | {count:,} |")
    lines += ["", *training_lines(space.card), "", *figure_lines(space.card)]
    licence = effective_licence([licence for _, licence in parts])
    lines += ["", "## Licence", "", f"Effective licence: **{licence}**, the strictest of its parts:", ""]
    lines += [f"- {part}: {licence or 'not stated'}" for part, licence in parts]
    return "\n".join(lines) + "\n"
