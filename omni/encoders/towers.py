"""Encoders as the networks of transformers that they run, which exports write down (`Encoder.vision_tower`)."""

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class VisionTower:
    """A network of transformers that sees pictures, and what an encoder takes of it.

    Attributes:
        network: the network.
        processor: its image processor.
        layers: which of its hidden states are features, as the encoder counts them; several are joined by width.
        num_prefix: positions before those of the patches, such as that of the class token.
        keeps_prefix: whether these are features too.
    """

    network: nn.Module
    processor: Any
    layers: tuple[int, ...]
    num_prefix: int
    keeps_prefix: bool


@dataclass(frozen=True)
class TextTower:
    """A network of transformers that reads texts.

    Attributes:
        network: the network, whose last hidden states are the features.
        tokenizer: its tokenizer.
        max_tokens: most tokens of a text, those that the tokenizer puts around it included.
    """

    network: nn.Module
    tokenizer: Any
    max_tokens: int
