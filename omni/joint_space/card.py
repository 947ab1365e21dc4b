"""The model card of a joint space."""

from collections.abc import Collection, Mapping

from omni.joint_space.modality import SpaceModality
from omni.model.card import ModelCard, figure_lines, licence_lines, training_lines
from omni.model.card_parts import encoder_cell, frozen_lines, sources_of


def render_space_card(
    modalities: Mapping[str, SpaceModality], dim: int, card: ModelCard, unfrozen: Collection[str] = ()
) -> str:
    """Write the model card as Markdown with the metadata block of Hugging Face hubs.

    Args:
        modalities: those of the space, in its order.
        dim: width of the embeddings.
        card: what is known of its training.
        unfrozen: plain names of pretrained weights that were trained.
    """
    parts = [(f"{name} encoder {one.encoder.class_name}", one.encoder.licence) for name, one in modalities.items()]
    parts += [(f"data {entry.name}", entry.licence) for entry in card.data]
    lines = ["---", "library_name: omni", "---", "", f"# Joint space of {', '.join(modalities)}", ""]
    lines += [f"Embeddings of width {dim}; frozen encoders are not in this folder.", ""]
    lines += ["| modality | encoder | head | parameters trained |", "|---|---|---|---|"]
    for name, modality in modalities.items():
        count = sum(parameter.numel() for parameter in modality.parameters() if parameter.requires_grad)
        encoder = encoder_cell(name, modality.encoder, unfrozen)
        lines.append(f"| {name} | {encoder} | {type(modality.head).__name__} | {count:,} |")
    configs = {name: modality.config for name, modality in modalities.items()}
    lines += ["", *frozen_lines(sources_of(configs))]
    lines += [*training_lines(card), "", *figure_lines(card), "", *licence_lines(parts)]
    return "\n".join(lines) + "\n"
