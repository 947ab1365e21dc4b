"""The data sets of a recipe: opened, without the rows that the recipe leaves out, and split by their answers."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from omni.readers import AnswersAsMedia, SampleDataset, open_dataset
from omni.recipe.instructions import resolve_instructions
from omni.recipe.schema import SourceConfig
from omni.samples.messages import Sample, SampleError
from omni.samples.preferences import parse_preference
from train.data.source import Source
from train.data.streams import saved_options


def open_sources(
    configs: Sequence[SourceConfig], saved_streams: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Source]:
    """Open the data sets of a recipe; `saved_streams` is what a checkpoint says of its streams (`train.data.streams`).

    Raises:
        FileNotFoundError, ValueError: a data set is missing, unreadable or has no rows.
    """
    sources = []
    for index, config in enumerate(configs):
        saved = (saved_streams or {}).get(str(index))
        dataset = open_dataset(config.path, **(config.options if saved is None else saved_options(config, saved)))
        if config.media_from_answer is not None:
            dataset = AnswersAsMedia(dataset, config.media_from_answer)
        if dataset.stream is not None and config.limit is not None:
            dataset = dataset.stream.limited(config.limit)
        size = len(dataset) if config.limit is None else min(len(dataset), config.limit)
        if size == 0:
            raise ValueError(f"data: {config.name} has no rows")
        rows = _rows_without(dataset, range(size), config) if config.without_answers_of else range(size)
        instructions = resolve_instructions(config.instructions)
        sources.append(Source(config.name, dataset, rows, config.weight, instructions, config.train_on_questions))
    return sources


def _rows_without(dataset: SampleDataset, rows: Sequence[int], config: SourceConfig) -> list[int]:
    """Those of `rows` whose answer is none of the data sets that `config.without_answers_of` names."""
    if dataset.stream is not None:
        raise ValueError(
            f"data: without_answers_of cannot look into the tar shards of {config.name}; filter them first"
        )
    others = [sample for path in config.without_answers_of for sample in open_dataset(path)]
    taboo = {_plain(_answer(sample)) for sample in others} - {""}
    kept = [row for row in rows if _plain(_answer(dataset[row])) not in taboo]
    if not kept:
        raise ValueError(f"data: {config.name} has no rows but those that without_answers_of leaves out")
    return kept


def hold_out(sources: Sequence[Source], share: float) -> tuple[list[Source], list[Source]]:
    """Split data sets in two by the hash of the answer, so that no answer is on both sides; `share` goes to the second.

    Raises:
        ValueError: nothing is left on one side.
    """
    if share == 0:
        return [*sources], []
    for source in sources:
        if source.dataset.stream is not None:
            raise ValueError(
                f"data.held_out_share cannot be taken from {source.name}, whose rows are read in order; set it to 0 "
                "and give shards of their own as data.evaluation"
            )
    kept, held_out = [], []
    for source in sources:
        is_held_out = [_hash_as_number(_answer(source.dataset[row])) < share for row in source.rows]
        for target, wanted in ((kept, False), (held_out, True)):
            rows = [row for row, found in zip(source.rows, is_held_out, strict=True) if found is wanted]
            if rows:
                questions = source.train_on_questions and not wanted  # what is held out measures answers
                target.append(replace(source, rows=rows, train_on_questions=questions))
    if not kept or not held_out:
        side = "training" if not kept else "evaluation"
        raise ValueError(f"data.held_out_share {share} leaves nothing for {side}: there are too few different answers")
    return kept, held_out


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


def _plain(answer: str | None) -> str:
    return " ".join((answer or "").lower().split()).rstrip(".")


def _answer(sample: Sample | SampleError) -> str | None:
    if isinstance(sample, SampleError):
        return None
    if sample.meta.get("chosen") is not None and sample.messages[-1].role == "user":
        try:
            return parse_preference(sample).chosen[-1].text
        except SampleError:
            return None
    return next((message.text for message in reversed(sample.messages) if message.role == "assistant"), None)


def _hash_as_number(text: str | None) -> float:
    """A number in [0, 1) that depends on the text alone; 1 for rows without one: they stay, and are counted as bad.

    Salted, because starter manifests are themselves one side of a split by the hash of the caption.
    """
    if text is None:
        return 1.0
    digest = hashlib.sha256(f"held out: {text.strip().lower()}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
