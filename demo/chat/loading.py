"""Load a saved model or joint space and describe it for the page."""

from dataclasses import dataclass
from pathlib import Path

from demo.chat.modalities import Upload, Uploads
from omni.joint_space import JointSpace
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


@dataclass(frozen=True)
class LoadedSpace:
    """A joint space and the files that it takes."""

    space: JointSpace
    uploads: Uploads


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
        uploads.append(Upload(name, _extensions(modality.encoder.file_extensions), modality.cue, modality.encoder))
    name = model.llm.config.name
    shown = Path(name).name if Path(name).is_dir() else name.removeprefix("starter:")
    return Loaded(model, Uploads(uploads), shown, model_licence(model))


def load_space(directory: Path, trust_code: bool = False) -> LoadedSpace:
    """Load the joint space in `directory`; `trust_code` is that of `JointSpace.load`.

    Raises:
        FileNotFoundError, ValueError: it cannot be loaded; the message says why.
    """
    return describe_space(JointSpace.load(directory, trust_code, device=default_device()))


def describe_space(space: JointSpace) -> LoadedSpace:
    """Return the files that a joint space takes; texts are typed."""
    uploads = []
    for name in space.modalities:
        encoder = space.modality(name).encoder
        if name != "text":
            uploads.append(Upload(name, _extensions(encoder.file_extensions), "", encoder))
    return LoadedSpace(space, Uploads(uploads))


def _extensions(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(suffix.lower() for suffix in names)
