"""What a server serves: a model, a joint space, or both, each under its name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.server.limits import Limits
from demo.server.parts import Accepted
from omni.answering import Answering
from omni.answering.contract import AnswersQuestions
from omni.encoders.base import Encoder
from omni.joint_space import JointSpace
from omni.joint_space.folder import is_space
from omni.media.mesh import MESH_EXTENSIONS
from omni.model import OmniModel
from omni.model.recent_features import RecentFeatures
from omni.runtime.device import default_device

_WRITTEN_BY_TRAINING = ("best", "last", "model")  # folders inside that of a run
_KEPT_BYTES = 256 << 20  # of features of media that were asked about a moment ago


@dataclass(frozen=True)
class EngineAddress:
    """Where a vLLM server is, and the token that it wants."""

    url: str
    token: str | None = None


@dataclass(frozen=True)
class ServedModel:
    """A model with a language model, which chats, decides and embeds."""

    name: str
    created: int
    model: OmniModel
    answering: AnswersQuestions

    @property
    def accepted(self) -> dict[str, Accepted]:
        """What each modality takes."""
        return {name: _accepted(self.model.modality(name).encoder) for name in self.model.modalities}

    def details(self) -> dict[str, Any]:
        """Return what `/v1/models` says of it besides its name."""
        endpoints = ["/v1/chat/completions", "/v1/decisions", "/v1/embeddings"]
        return {"max_model_len": self.model.llm.context_length, "endpoints": endpoints}


@dataclass(frozen=True)
class ServedSpace:
    """A joint space, which embeds."""

    name: str
    created: int
    space: JointSpace

    @property
    def accepted(self) -> dict[str, Accepted]:
        """What each modality takes."""
        return {name: _accepted(self.space.modality(name).encoder) for name in self.space.modalities}

    def details(self) -> dict[str, Any]:
        """Return what `/v1/models` says of it besides its name."""
        return {"dimensions": self.space.dim, "endpoints": ["/v1/embeddings"]}


@dataclass(frozen=True)
class Served:
    """The model and the joint space of a server; one of both may be missing."""

    model: ServedModel | None = None
    space: ServedSpace | None = None

    def __iter__(self) -> Iterator[ServedModel | ServedSpace]:
        """Yield what there is."""
        if self.model is not None:
            yield self.model
        if self.space is not None:
            yield self.space

    def close(self) -> None:
        """End all answers."""
        if self.model is not None:
            self.model.answering.close()


def name_of(folder: Path) -> str:
    """Return the name under which a folder is served: its own, or, of `RUN/best`, that of the run."""
    path = folder.resolve()
    return path.parent.name if path.name in _WRITTEN_BY_TRAINING and path.parent.name else path.name


def load_served(
    folder: Path,
    space_folder: Path | None,
    name: str | None,
    trust_code: bool,
    limits: Limits,
    engine: EngineAddress | None = None,
) -> Served:
    """Load a model, or a joint space, and the joint space next to it.

    Args:
        folder: of a model or a joint space.
        space_folder: of a joint space for embeddings.
        name: of what is in `folder`; None = as `name_of` has it.
        trust_code: as that of `OmniModel.load`.
        limits: how many conversations are answered at once.
        engine: what generates; None = this process.

    Raises:
        FileNotFoundError, ValueError: something cannot be loaded; the message says why.
        EngineError: the engine cannot be reached, or serves something else.
    """
    name = name or name_of(folder)
    if is_space(folder):
        if space_folder is not None:
            raise ValueError(f"--model {folder} is a joint space already; leave --space out")
        if engine is not None:
            raise ValueError(f"--model {folder} is a joint space, which generates nothing; leave --engine out")
        return Served(space=_load_space(folder, name, trust_code))
    space = None
    if space_folder is not None:
        if not is_space(space_folder):
            raise ValueError(f"--space {space_folder} is no joint space")
        space_name = name_of(space_folder)
        space = _load_space(space_folder, space_name if space_name != name else f"{space_name}-space", trust_code)
    model = OmniModel.load(folder, trust_code, device=default_device())
    return Served(serve_model(model, name, limits, _created(folder), engine), space)


def serve_model(
    model: OmniModel, name: str, limits: Limits, created: int = 0, engine: EngineAddress | None = None
) -> ServedModel:
    """Return a model that answers several conversations at once, here or through an engine."""
    local: dict[str, Any] = {"max_rows": limits.max_running, "max_tokens": limits.max_running_tokens}
    local["kept_media_bytes"] = _KEPT_BYTES
    if engine is None:
        return ServedModel(name, created, model, Answering(model, max_waiting=limits.max_waiting, **local))
    from omni.answering.engine import VLLMAnswering

    numbers = {"max_running": limits.max_running, "max_waiting": limits.max_waiting}
    return ServedModel(name, created, model, VLLMAnswering(model, engine.url, token=engine.token, **numbers, **local))


def serve_space(space: JointSpace, name: str, created: int = 0) -> ServedSpace:
    """Return a joint space that does not encode the same medium twice in a row."""
    space.recent_features = RecentFeatures(_KEPT_BYTES)
    return ServedSpace(name, created, space)


def _load_space(folder: Path, name: str, trust_code: bool) -> ServedSpace:
    return serve_space(JointSpace.load(folder, trust_code, device=default_device()), name, _created(folder))


def _accepted(encoder: Encoder) -> Accepted:
    extensions = tuple(suffix.lower() for suffix in encoder.file_extensions)
    is_3d = ".obj" in extensions and set(extensions) <= set(MESH_EXTENSIONS)
    return Accepted(extensions, takes_format=is_3d)


def _created(folder: Path) -> int:
    return int(folder.stat().st_mtime)


def modalities_of(accepted: Mapping[str, Accepted]) -> dict[str, dict[str, list[str]]]:
    """Return modality -> what it takes, as `/v1/models` says it."""
    return {name: {"formats": [suffix[1:] for suffix in one.extensions]} for name, one in accepted.items()}
