"""Build the encoder that a recipe names."""

from omni.augmentation import Augmentation
from omni.config import EncoderConfig, ModalityConfig, SpaceModalityConfig
from omni.config.components import ComponentConfig, admit, build, import_class, naming_argument
from omni.encoders.base import Encoder


def admit_media(config: ModalityConfig | SpaceModalityConfig, name: str, parent: str = "model.modalities") -> None:
    """Check the classes of encoder and augmentation of the modality `name`, of a folder, before anything is built.

    Raises:
        ValueError: naming the class that may not run, or is no encoder or augmentation.
    """
    admit(config.encoder, f"{parent}.{name}.encoder", Encoder)
    if config.augmentation is not None:
        admit(config.augmentation, f"{parent}.{name}.augmentation", Augmentation)


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
    return build(config.encoder, f"{parent}.{name}.encoder", Encoder, modality=name)
