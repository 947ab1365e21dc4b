"""What is known of a model's training, and the sections of a model card that all kinds of models have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from omni.runtime.licences import effective_licence, in_plain_words


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
    """What is known of a model that the model itself does not show."""

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
        """Return the card of a model that is combined from several."""
        merged = cls()
        for card in cards:
            merged.data += [entry for entry in card.data if entry not in merged.data]
            merged.metrics |= card.metrics
            merged.training += [line for line in card.training if line not in merged.training]
            merged.weights += [entry for entry in card.weights if entry not in merged.weights]
        return merged


def training_lines(card: ModelCard) -> list[str]:
    """Return the section of the card on training data and training."""
    data = [f"- {entry.name}: {_samples(entry)}, licence {entry.licence or 'not stated'}" for entry in card.data]
    return ["## Training data", "", *(data or ["Not recorded."]), "", *(f"- {line}" for line in card.training)]


def figure_lines(card: ModelCard) -> list[str]:
    """Return the section of the card on measured figures."""
    figures = [f"- {name}: {value:.4g}" for name, value in card.metrics.items()]
    return ["## Figures", "", *(figures or ["None recorded."])]


def licence_lines(parts: Sequence[tuple[str, str | None]]) -> list[str]:
    """Return the section of the card on the licence that follows from those of the parts (part, licence)."""
    licence = effective_licence([licence for _, licence in parts])
    lines = ["## Licence", "", in_plain_words(licence), ""]
    lines += [f"Effective licence: **{licence}**, the strictest of its parts:", ""]
    return lines + [f"- {part}: {licence or 'not stated'}" for part, licence in parts]


def _samples(entry: TrainingData) -> str:
    return "number of samples not recorded" if entry.num_samples is None else f"{entry.num_samples:,} samples"
