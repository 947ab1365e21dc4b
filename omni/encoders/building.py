"""Build the encoder that a recipe names."""

from omni.config import EncoderConfig
from omni.config.components import build
from omni.encoders.base import Encoder


def build_encoder(config: EncoderConfig, name: str, parent: str = "model.modalities") -> Encoder:
    """Build the encoder of the modality `name`; `parent` is where modalities are in the recipe, for errors."""
    key = f"{parent}.{name}.encoder"
    encoder = build(config.encoder, key, modality=name)
    if not isinstance(encoder, Encoder):
        raise ValueError(f"{key}: {config.encoder.class_path} is no omni.encoders.Encoder")
    return encoder
