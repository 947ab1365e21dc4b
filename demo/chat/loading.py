"""Load a saved model and describe it for the page."""

from dataclasses import dataclass
from pathlib import Path

from demo.chat.conversation import Upload, Uploads
from omni.model import OmniModel
from omni.model.card_rendering import model_licence
from omni.runtime.device import default_device


@dataclass(frozen=True)
class Loaded:
    """A model and its description."""

    model: OmniModel
    uploads: Uploads
    llm: str
    licence: str


def load(directory: Path, trust_code: bool = False) -> Loaded:
    """Load the model in `directory`; `trust_code` is that of `OmniModel.load`.

    Raises:
        FileNotFoundError, ValueError: it cannot be loaded; the message says why.
    """
    return describe(OmniModel.load(directory, trust_code, device=default_device()))


def describe(model: OmniModel) -> Loaded:
    """Return what the page shows of a model."""
    uploads = []
    for name in model.modalities:
        modality = model.modality(name)
        extensions = tuple(suffix.lower() for suffix in modality.encoder.file_extensions)
        uploads.append(Upload(name, extensions, modality.cue, modality.encoder))
    name = model.llm.config.name
    shown = Path(name).name if Path(name).is_dir() else name.removeprefix("starter:")
    return Loaded(model, Uploads(uploads), shown, model_licence(model))
