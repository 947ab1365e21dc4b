"""From prepared conversations to what the LLM reads: media are encoded together, each content once."""

from collections.abc import Sequence

from omni.answering.row import Prompt
from omni.encoders.media_input import MediaInput
from omni.model import OmniModel
from omni.model.batch import Example


def embed_prompts(model: OmniModel, examples: Sequence[Example]) -> list[Prompt]:
    """Encode the media of conversations and embed all of their tokens."""
    cached = _cached_media(model, examples)
    tokens = model.media_tokens(examples)
    return [
        Prompt(example, model.interleave(example, found), tuple(map(len, found)), count)
        for example, found, count in zip(examples, tokens, cached, strict=True)
    ]


def _cached_media(model: OmniModel, examples: Sequence[Example]) -> list[int]:
    """How many media of each example need not be encoded, since they have been, or are in the same batch."""
    recent = model.recent_features
    seen: set[tuple[str, str]] = set()

    def is_cached(item: MediaInput) -> bool:
        if item.features is not None:
            return True
        if recent is None or item.content_hash is None:
            return False
        key = (item.modality, item.content_hash)
        found = key in seen or recent.holds(item)
        seen.add(key)
        return found

    return [sum([is_cached(item) for item in example.media]) for example in examples]
