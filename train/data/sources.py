"""The data sets of a run: opened as its recipe says, or as the checkpoint that it goes on from has them."""

from collections.abc import Mapping, Sequence
from typing import Any

from omni.readers.sources import Source, open_source
from omni.recipe.schema import SourceConfig
from train.data.streams import saved_options


def open_sources(
    configs: Sequence[SourceConfig], saved_streams: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Source]:
    """Open the data sets of a recipe; `saved_streams` is what a checkpoint says of its streams (`train.data.streams`).

    Raises:
        FileNotFoundError, ValueError: a data set is missing, unreadable or has no rows.
    """
    saved = saved_streams or {}
    return [
        open_source(config, saved_options(config, saved[str(index)]) if str(index) in saved else None)
        for index, config in enumerate(configs)
    ]


def check_questions(sources: Sequence[Source], own_layout: str | None, readers: Sequence[str]) -> None:
    """Refuse to train on questions where it would not be what it says.

    Args:
        sources: the data sets to train on.
        own_layout: class name of an objective that lays out its samples itself; None = they are conversations.
        readers: modalities whose adapters read the user's text.

    Raises:
        ValueError: naming the data set, and the objective or the modalities.
    """
    asked = [source.name for source in sources if source.train_on_questions]
    if asked and own_layout is not None:
        raise ValueError(
            f"data: train_on_questions of {asked[0]}: {own_layout} lays out its samples itself; use the "
            "language-model loss"
        )
    if asked and readers:
        raise ValueError(
            f"data: train_on_questions of {asked[0]}: the adapters of {[*readers]} read the question "
            "(instruction_tokenizer) and so the model could copy it from their tokens; use adapters without, or train "
            "on answers alone"
        )
