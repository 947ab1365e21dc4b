"""A joint space as something that tasks are run on: it embeds what requests show, through the answer cache."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from eval.items.prefix import digest
from eval.run.answering import ITEM_ERRORS
from eval.run.answers import Answers
from eval.run.ask import NothingAnsweredError
from eval.run.cache import AnswerCache
from eval.run.requests import Requests
from omni.joint_space import JointSpace
from omni.llm.language_model import LanguageModel
from omni.model.modality import EncodedModality
from omni.samples.messages import Media

KIND = "joint space"


class Respondent(Protocol):
    """What a task is run on: an `OmniModel`, or a `SpaceRespondent`, which has no language model."""

    @property
    def language_model(self) -> LanguageModel | None:
        """The LLM; None for a joint space."""
        ...

    @property
    def modalities(self) -> Any:
        """The names of the modalities that it takes."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    def modality(self, name: str) -> EncodedModality:
        """The modality `name`."""
        ...

    def eval(self) -> Any:
        """Set evaluation mode."""
        ...

    def fingerprint(self) -> str:
        """Return 64 hex digits that change with anything that changes the answers."""
        ...


class SpaceRespondent:
    """A joint space that tasks are run on; see `Respondent`."""

    language_model = None

    def __init__(self, space: JointSpace) -> None:
        self.space = space

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the modalities, `sound` and `audio` both where it has one of them."""
        names = [*self.space.modalities]
        aliases = [name for name in ("sound", "audio") if self.space.resolve(name) in names]
        return tuple(dict.fromkeys((*names, *aliases)))

    @property
    def device(self) -> torch.device:
        """See `JointSpace.device`."""
        return self.space.device

    def modality(self, name: str) -> EncodedModality:
        """See `JointSpace.modality`."""
        return self.space.modality(name)

    def eval(self) -> None:
        """Set evaluation mode."""
        self.space.eval()

    def fingerprint(self) -> str:
        """Return 64 hex digits that change with the embeddings, the way of comparing and the logit scale."""
        prints = {name: str(value) for name, value in self.space.fingerprints().items()}
        return digest([KIND, prints, self.space.interaction, round(self.logit_scale, 6)])

    @property
    def logit_scale(self) -> float:
        """What similarities are multiplied by before a softmax."""
        return float(self.space.label_scale().detach())

    def embed(self, media: Sequence[Media]) -> list[Tensor]:
        """Return for each medium, all of one modality, the embeddings [N, D] that it is compared by, on the CPU."""
        name = media[0].modality
        return [one.float().cpu() for one in self.space.embed_sets({name: list(media)}, batch_size=len(media))[name]]


def ask_space(
    respondent: SpaceRespondent, requests: Requests, cache: AnswerCache, *, batch_size: int, progress: bool = True
) -> Answers:
    """Embed the media of all requests, each once, in batches of one modality.

    A batch that fails is embedded one by one; a prefix with a medium that fails alone is in `Answers.failed`.

    Raises:
        NothingAnsweredError: nothing could be embedded at all, with the first reason.
    """
    media = {_name(part): part for key in requests.embeddings for part in requests.prefixes[key].media}
    found, missing = _cached(media, cache)
    reasons: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for name in missing:
        groups.setdefault(media[name].modality, []).append(name)
    with tqdm(total=len(missing), unit="item", desc="embedding", disable=not progress or not missing) as bar:
        for names in groups.values():
            for start in range(0, len(names), batch_size):
                batch = names[start : start + batch_size]
                new = _embed(respondent, {name: media[name] for name in batch}, reasons)
                cache.put({_key(cache, name): _packed(one) for name, one in new.items()})
                found |= new
                bar.update(len(batch))
    if reasons and not found:
        raise NothingAnsweredError(
            f"the space could not embed a single item; the first reason: {next(iter(reasons.values()))}"
        )
    embeddings, failed = {}, {}
    for key in requests.embeddings:
        names = [_name(part) for part in requests.prefixes[key].media]
        bad = next((reasons[name] for name in names if name in reasons), None)
        if bad is None:
            embeddings[key] = [found[name] for name in names]
        else:
            failed[key] = bad
    asked = len(missing) - len(reasons)
    return Answers({}, {}, {}, failed, asked, len(media) - len(missing), embeddings, respondent.logit_scale)


def _cached(media: Mapping[str, Media], cache: AnswerCache) -> tuple[dict[str, Tensor], list[str]]:
    found: dict[str, Tensor] = {}
    missing = []
    for name in media:
        stored = cache.get(_key(cache, name))
        if stored is None:
            missing.append(name)
        else:
            found[name] = _unpacked(stored)
    return found, missing


def _embed(respondent: SpaceRespondent, media: Mapping[str, Media], reasons: dict[str, str]) -> dict[str, Tensor]:
    try:
        found = dict(zip(media, respondent.embed([*media.values()]), strict=True))
    except ITEM_ERRORS as error:
        if len(media) == 1:
            reasons[next(iter(media))] = f"{type(error).__name__}: {error}"
            return {}
        parts = [_embed(respondent, {name: one}, reasons) for name, one in media.items()]
        return {name: tensor for part in parts for name, tensor in part.items()}
    for name, one in [*found.items()]:
        if not math.isfinite(float(one.sum())) or not len(one):
            reasons[name] = "its embedding is not finite" if len(one) else "it has no real feature"
            del found[name]
    return found


def _name(part: Media) -> str:
    return f"{part.modality} {part.content_hash()}"


def _key(cache: AnswerCache, name: str) -> str:
    return cache.key("embeddings-v1", name)


def _packed(value: Tensor) -> list[Any]:
    return [list(value.shape), base64.b64encode(value.contiguous().numpy().tobytes()).decode()]


def _unpacked(stored: Sequence[Any]) -> Tensor:
    values = np.frombuffer(base64.b64decode(stored[1]), dtype=np.float32)
    return torch.from_numpy(values.copy()).reshape(stored[0])
