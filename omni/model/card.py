"""The model card (README.md of a model folder): what it was trained on, what was measured, what its use is bound to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omni.runtime.licences import effective_licence

if TYPE_CHECKING:
    from omni.model.omni_model import OmniModel


@dataclass
class TrainingData:
    """One data set that a model was trained on."""

    # path or name, as the recipe gives it
    name: str
    # samples that were used
    num_samples: int | None = None
    # its licence; null = not stated
    licence: str | None = None


@dataclass
class PublishedWeights:
    """Published weights that are in a model, or that its training began with."""

    # what they are, and the file they came from
    name: str
    # their licence; null = not stated
    licence: str | None = None


@dataclass
class ModelCard:
    """What a model card states besides what the model itself shows."""

    # data sets of the training
    data: list[TrainingData] = field(default_factory=list)
    # name -> figure
    metrics: dict[str, float] = field(default_factory=dict)
    # optimiser steps, samples and the like, in words
    training: list[str] = field(default_factory=list)
    # published weights of adapters and LoRAs
    weights: list[PublishedWeights] = field(default_factory=list)

    @classmethod
    def merge(cls, cards: Iterable[ModelCard]) -> ModelCard:
        """The card of a model that is combined of several."""
        merged = cls()
        for card in cards:
            merged.data += [entry for entry in card.data if entry not in merged.data]
            merged.metrics |= card.metrics
            merged.training += [line for line in card.training if line not in merged.training]
            merged.weights += [entry for entry in card.weights if entry not in merged.weights]
        return merged


def part_licences(model: OmniModel) -> list[tuple[str, str | None]]:
    """(part, licence) of the LLM, every encoder, published weights and every data set of a model."""
    parts: list[tuple[str, str | None]] = [(f"LLM {model.llm.config.name}", _llm_licence(model))]
    for name in model.modalities:
        encoder = model.modality(name).encoder
        parts.append((f"{name} encoder {encoder.class_name}", encoder.licence))
    parts += [(f"weights {entry.name}", entry.licence) for entry in model.card.weights]
    return parts + [(f"data {entry.name}", entry.licence) for entry in model.card.data]


def model_licence(model: OmniModel) -> str:
    """The licence that binds the use of a model."""
    return effective_licence([licence for _, licence in part_licences(model)])


def _llm_licence(model: OmniModel) -> str | None:
    from omni.starter import ASSETS

    config = model.llm.config
    if config.licence is None and config.name.startswith("starter:"):
        return ASSETS[config.name.removeprefix("starter:").split("/")[0]].licence
    return config.licence


def render_card(model: OmniModel) -> str:
    """The model card as Markdown with the metadata block of Hugging Face hubs."""
    card = model.card
    lines = ["---", "library_name: omni", f"base_model: {model.llm.config.name}", "---", ""]
    lines += [f"# {', '.join(model.modalities) or 'text'} for {model.llm.config.name}", ""]
    lines += ["Adapters in front of a frozen LLM; only the adapters (and LoRA, if any) are in this folder.", ""]
    lines += ["| modality | encoder (frozen) | adapter (trained) | parameters trained |", "|---|---|---|---|"]
    for name in model.modalities:
        part = model.modality(name)
        count = sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)
        lines.append(f"| {name} | {part.encoder.class_name} | {type(part.adapter).__name__} | {count:,} |")
    if card.weights:
        lines += ["", "## Published weights", "", *(f"- {entry.name}" for entry in card.weights)]
    lines += ["", *training_lines(card), "", *figure_lines(card)]
    lines += ["", "## Licence", "", f"Effective licence: **{model_licence(model)}**, the strictest of its parts:", ""]
    lines += [f"- {part}: {licence or 'not stated'}" for part, licence in part_licences(model)]
    return "\n".join(lines) + "\n"


def training_lines(card: ModelCard) -> list[str]:
    """The section of the card on training data and training."""
    data = [f"- {entry.name}: {_samples(entry)}, licence {entry.licence or 'not stated'}" for entry in card.data]
    return ["## Training data", "", *(data or ["Not recorded."]), "", *(f"- {line}" for line in card.training)]


def figure_lines(card: ModelCard) -> list[str]:
    """The section of the card on what was measured."""
    figures = [f"- {name}: {value:.4g}" for name, value in card.metrics.items()]
    return ["## Figures", "", *(figures or ["None recorded."])]


def _samples(entry: TrainingData) -> str:
    return "number of samples not recorded" if entry.num_samples is None else f"{entry.num_samples:,} samples"
