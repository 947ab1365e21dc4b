"""The data sets that a recipe names, opened, with the rows that are used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omni.config.reading import shown
from omni.readers.answers_as_media import AnswersAsMedia
from omni.readers.dataset import SampleDataset
from omni.readers.opening import open_dataset
from omni.recipe.instructions import resolve_instructions
from omni.recipe.schema import SourceConfig
from omni.samples.messages import Sample, SampleError
from omni.samples.preferences import parse_preference


@dataclass(frozen=True)
class Source:
    """An opened data set of a recipe."""

    name: str
    dataset: SampleDataset
    rows: Sequence[int]  # those that are used
    weight: float | None
    instructions: tuple[str, ...]
    train_on_questions: bool = False

    @property
    def size(self) -> int:
        """Number of rows that are used."""
        return len(self.rows)


def open_source(config: SourceConfig, options: Mapping[str, Any] | None = None) -> Source:
    """Open a data set of a recipe; `options` are arguments of the reader in place of those that the recipe gives.

    Raises:
        FileNotFoundError, ValueError: the data set is missing, unreadable or has no rows.
    """
    options = config.options if options is None else options
    try:
        dataset = open_dataset(config.path, **options)
    except (FileNotFoundError, ValueError):
        raise
    except Exception as error:  # options of another type than the reader takes, names too long for the system, ...
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"data: {shown(config.name)} cannot be opened with {shown(options)} ({reason})") from error
    if config.media_from_answer is not None:
        dataset = AnswersAsMedia(dataset, config.media_from_answer)
    if dataset.stream is not None and config.limit is not None:
        dataset = dataset.stream.limited(config.limit)
    size = len(dataset) if config.limit is None else min(len(dataset), config.limit)
    if size == 0:
        raise ValueError(f"data: {config.name} has no rows")
    rows = _rows_without(dataset, range(size), config) if config.without_answers_of else range(size)
    instructions = resolve_instructions(config.instructions)
    return Source(config.name, dataset, rows, config.weight, instructions, config.train_on_questions)


def _rows_without(dataset: SampleDataset, rows: Sequence[int], config: SourceConfig) -> list[int]:
    """Return those of `rows` whose answer occurs in none of the data sets that `config.without_answers_of` names."""
    if dataset.stream is not None:
        raise ValueError(
            f"data: without_answers_of cannot look into the tar shards of {config.name}; filter them first"
        )
    others = [sample for path in config.without_answers_of for sample in open_dataset(path)]
    taboo = {_plain(answer_of(sample)) for sample in others} - {""}
    kept = [row for row in rows if _plain(answer_of(dataset[row])) not in taboo]
    if not kept:
        raise ValueError(f"data: {config.name} has no rows but those that without_answers_of leaves out")
    return kept


def _plain(answer: str | None) -> str:
    return " ".join((answer or "").lower().split()).rstrip(".")


def answer_of(sample: Sample | SampleError) -> str | None:
    """Return the text of the last answer, or of the chosen one of a preference; None if the sample cannot be used."""
    if isinstance(sample, SampleError):
        return None
    if sample.meta.get("chosen") is not None and sample.messages[-1].role == "user":
        try:
            return parse_preference(sample).chosen[-1].text
        except SampleError:
            return None
    return sample.last_answer
