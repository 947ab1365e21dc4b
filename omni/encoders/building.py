"""Build the encoder that a recipe names."""

from omni.config import EncoderConfig
from omni.config.components import ComponentConfig, build, import_class, naming_argument
from omni.encoders.base import Encoder


def check_encoder(config: EncoderConfig, name: str, parent: str = "model.modalities") -> None:
    """Check the arguments of the encoder of the modality `name` before anything large is loaded.

    Raises:
        FileNotFoundError, ValueError: naming the key.
    """
    key = f"{parent}.{name}.encoder"
    component = ComponentConfig.parse(config.encoder, key)
    found = import_class(component.class_path)
    if issubclass(found, Encoder):
        with naming_argument(key, component.init_args):
            found.check_arguments(component.init_args)


def build_encoder(config: EncoderConfig, name: str, parent: str = "model.modalities") -> Encoder:
    """Build the encoder of the modality `name`; `parent` is where modalities are in the recipe, for errors."""
    key = f"{parent}.{name}.encoder"
    encoder = build(config.encoder, key, modality=name)
    if not isinstance(encoder, Encoder):
        raise ValueError(f"{key}: {config.encoder.class_path} is no omni.encoders.Encoder")
    return encoder
