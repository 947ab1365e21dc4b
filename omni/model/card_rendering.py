"""The model card (README.md of a model folder): what it was trained on, what was measured, what its use is bound to."""

from omni.model.card import figure_lines, licence_lines, training_lines
from omni.model.card_parts import encoder_cell, frozen_lines, hub_name, sources_of
from omni.model.core import ModelCore
from omni.runtime.licences import effective_licence
from omni.starter import ASSETS


def part_licences(model: ModelCore) -> list[tuple[str, str | None]]:
    """Return (part, licence) of the LLM, every encoder, published weights and every data set of a model."""
    parts: list[tuple[str, str | None]] = [(f"LLM {model.llm.config.name}", _llm_licence(model))]
    for name in model.modalities:
        encoder = model.modality(name).encoder
        parts.append((f"{name} encoder {encoder.class_name}", encoder.licence))
    parts += [(f"weights {entry.name}", entry.licence) for entry in model.card.weights]
    return parts + [(f"data {entry.name}", entry.licence) for entry in model.card.data]


def model_licence(model: ModelCore) -> str:
    """Return the licence that binds the use of a model."""
    return effective_licence([licence for _, licence in part_licences(model)])


def _llm_licence(model: ModelCore) -> str | None:
    config = model.llm.config
    if config.licence is None and config.name.startswith("starter:"):
        return ASSETS[config.name.removeprefix("starter:").split("/")[0]].licence
    return config.licence


def render_card(model: ModelCore) -> str:
    """Write the model card as Markdown with the metadata block of Hugging Face hubs."""
    card = model.card
    base = hub_name(model.llm.config.name)  # a hub takes no other name here
    lines = ["---", "library_name: omni", *([f"base_model: {base}"] if base else []), "---", ""]
    lines += [f"# {', '.join(model.modalities) or 'text'} for {model.llm.config.name}", ""]
    lines += ["Adapters in front of a frozen LLM; only the adapters (and LoRA, if any) are in this folder.", ""]
    lines += ["| modality | encoder | adapter (trained) | parameters trained |", "|---|---|---|---|"]
    for name in model.modalities:
        part = model.modality(name)
        count = sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)
        encoder = encoder_cell(name, part.encoder, model.unfrozen)
        lines.append(f"| {name} | {encoder} | {type(part.adapter).__name__} | {count:,} |")
    if card.weights:
        lines += ["", "## Published weights", "", *(f"- {entry.name}" for entry in card.weights)]
    configs = {name: model.modality(name).config for name in model.modalities}
    lines += ["", *frozen_lines({"LLM": model.llm.config.name, **sources_of(configs)})]
    lines += [*training_lines(card), "", *figure_lines(card), "", *licence_lines(part_licences(model))]
    return "\n".join(lines) + "\n"
