"""From data sets to prepared examples: opened, given instructions, prepared in worker processes, bad ones set apart."""

import hashlib
import multiprocessing
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from omni.augmentation import AugmentationDraw
from omni.model import OmniModel
from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.readers import AnswersAsMedia, SampleDataset, ShardDataset, open_dataset
from omni.recipe.instructions import add_instruction, resolve_instructions
from omni.recipe.schema import SourceConfig
from omni.samples.messages import Sample, SampleError, check_answer
from omni.samples.preferences import parse_preference
from train.data.bad_samples import BadSample
from train.data.input_meter import PreparedBatch
from train.data.mixing import Draw, stream_seeds
from train.data.stream_order import LaneReader
from train.data.streams import saved_options
from train.run.interrupts import survive_interrupts_in_worker
from train.run.step import TrainingStep


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
        return len(self.rows)


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
        if isinstance(dataset, ShardDataset) and config.limit is not None:
            dataset = dataset.limited(config.limit)
        size = len(dataset) if config.limit is None else min(len(dataset), config.limit)
        if size == 0:
            raise ValueError(f"data: {config.name} has no rows")
        rows = _rows_without(dataset, range(size), config) if config.without_answers_of else range(size)
        instructions = resolve_instructions(config.instructions)
        sources.append(Source(config.name, dataset, rows, config.weight, instructions, config.train_on_questions))
    return sources


def _rows_without(dataset: SampleDataset, rows: Sequence[int], config: SourceConfig) -> list[int]:
    """Those of `rows` whose answer is none of the data sets that `config.without_answers_of` names."""
    if isinstance(dataset, ShardDataset):
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
        if isinstance(source.dataset, ShardDataset):
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


def check_questions(sources: Sequence[Source], training_step: TrainingStep) -> None:
    """Refuse to train on questions where it would not be what it says.

    Raises:
        ValueError: naming the data set, and the objective or the modalities.
    """
    asked = [source.name for source in sources if source.train_on_questions]
    if asked and training_step.sample_objective is not None:
        raise ValueError(
            f"data: train_on_questions of {asked[0]}: {type(training_step.objective).__name__} lays out its samples "
            "itself; use the language-model loss"
        )
    model = training_step.model
    if not asked:
        return
    assert isinstance(model, OmniModel)  # other models have objectives with samples of their own
    told = [name for name in model.modalities if model.modality(name).adapter.uses_instruction]
    if told:
        raise ValueError(
            f"data: train_on_questions of {asked[0]}: the adapters of {told} read the question (instruction_tokenizer) "
            "and so the model could copy it from their tokens; use adapters without, or train on answers alone"
        )


Prepare = Callable[[Any, Sample], Example]


class PreparedSamples(Dataset[Example | BadSample]):
    """Gives for a draw the prepared example, or what is wrong with it. Runs in data-loading workers."""

    def __init__(
        self,
        sources: Sequence[Source],
        model: EncoderStack,
        seed: int,
        max_length: int | None,
        prepare: Prepare | None = None,
        augmented_views: int | None = None,
    ) -> None:
        """`prepare`: how an objective lays out its samples; default: as conversations that end with their answer.
        `augmented_views`: media are augmented, with that many versions in a feature cache; None = not augmented.
        """
        self.sources = sources
        self.model = model
        self.seed = seed
        self.max_length = max_length
        self.prepare = prepare or prepare_answer
        self.augmented_views = augmented_views
        self._lanes: dict[tuple[int, int], tuple[int, LaneReader]] = {}  # data set and lane -> epoch, reader

    def __getitems__(self, draws: Sequence[Draw]) -> PreparedBatch:
        """Those of a whole micro-batch, as torch's loader asks for them, with the time that they took."""
        started = time.perf_counter()
        batch = PreparedBatch(self[draw] for draw in draws)
        batch.seconds = time.perf_counter() - started
        return batch

    def __getitem__(self, draw: Draw) -> Example | BadSample:
        source = self.sources[draw.source]
        sample_id = f"row {source.rows[draw.row]}"
        try:
            sample = self._read(draw)
            if isinstance(sample, SampleError):
                return BadSample(sample.sample_id, source.name, sample.reason)
            sample_id = sample.id
            sample = add_instruction(sample, source.instructions, self.seed, draw.epoch)
            prepare = _prepare_answer_and_questions if source.train_on_questions else self.prepare
            views = self.augmented_views
            with self.model.augmented(None if views is None else AugmentationDraw(self.seed, draw.epoch, views)):
                example = prepare(self.model, sample)
        except SampleError as error:
            return BadSample(sample_id, source.name, error.reason)
        except Exception as error:  # whatever one sample does must not end a run; the share of bad ones is limited
            return BadSample(sample_id, source.name, str(error) or type(error).__name__)
        length = max(example.lengths)
        if self.max_length is not None and length > self.max_length:
            reason = f"{length} tokens, media included; train.max_length allows {self.max_length}"
            return BadSample(sample_id, source.name, reason)
        if example.num_answer_tokens == 0:
            return BadSample(sample_id, source.name, "the answer is empty: there is nothing to learn from it")
        return example

    def _read(self, draw: Draw) -> Sample | SampleError:
        source = self.sources[draw.source]
        if draw.place is None:
            return source.dataset[source.rows[draw.row]]
        assert isinstance(source.dataset, ShardDataset)
        key = draw.source, draw.place.lane
        epoch, reader = self._lanes.get(key, (-1, None))
        if reader is None or epoch != draw.epoch:
            reader = LaneReader(source.dataset, stream_seeds(self.seed, draw.source, draw.epoch))
            self._lanes[key] = draw.epoch, reader
        return reader.read(draw.place)


def split_bad(prepared: Iterable[Example | BadSample]) -> tuple[list[Example], list[BadSample]]:
    """The examples and the bad samples of a micro-batch."""
    examples, bad = [], []
    for item in prepared:
        if isinstance(item, BadSample):
            bad.append(item)
        else:
            examples.append(item)
    return examples, bad


def load_batches(samples: Dataset[Any], batches: Iterable[list[Draw]], num_workers: int) -> DataLoader[Any]:
    """Iterates over what `samples` gives for the draws of each batch, in order, whatever the number of workers."""
    return DataLoader(
        samples,
        batch_sampler=batches,  # type: ignore[arg-type]  # torch accepts any iterable of lists of keys
        num_workers=num_workers,
        collate_fn=_as_they_are,
        worker_init_fn=survive_interrupts_in_worker,
        # Workers share the model's memory by forking; other start methods would pickle the whole LLM for each of them.
        multiprocessing_context=multiprocessing.get_context("fork") if num_workers else None,
        # A generator of its own, so that creating an iterator does not advance the global one (exact resume).
        generator=torch.Generator(),
    )


def evaluation_batches(
    sources: Sequence[Source], batch_size: int, process_index: int, num_processes: int
) -> list[list[Draw]]:
    """This process's batches of one pass over the held-out data, always in the same order."""
    draws = [Draw(source, row, 0) for source in range(len(sources)) for row in range(sources[source].size)]
    mine = iter(draws[process_index::num_processes])
    batches = []
    while batch := list(islice(mine, batch_size)):
        batches.append(batch)
    return batches


def prepare_answer(model: Any, sample: Sample) -> Example:
    """A conversation that ends with its answer. Raises SampleError, MediaError."""
    check_answer(sample)
    return model.prepare(sample, answer=True)


def _prepare_answer_and_questions(model: Any, sample: Sample) -> Example:
    check_answer(sample)
    return model.prepare(sample, answer=True, questions=True)


def _as_they_are(items: list[Any]) -> list[Any]:
    return items


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
    return sample.last_answer


def _hash_as_number(text: str | None) -> float:
    """A number in [0, 1) that depends on the text alone; 1 for rows without one: they stay, and are counted as bad.

    Salted, because starter manifests are themselves one side of a split by the hash of the caption.
    """
    if text is None:
        return 1.0
    digest = hashlib.sha256(f"held out: {text.strip().lower()}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
