"""From data sets to prepared examples: opened, given instructions, prepared in worker processes, bad ones set apart."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from omni.augmentation import AugmentationDraw
from omni.model import OmniModel
from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.readers import ShardDataset
from omni.readers.sources import Source, open_source
from omni.recipe.instructions import add_instruction
from omni.recipe.schema import SourceConfig
from omni.samples.messages import Sample, SampleError, check_answer
from train.data.bad_samples import BadSample
from train.data.input_meter import PreparedBatch
from train.data.mixing import Draw, stream_seeds
from train.data.stream_order import LaneReader
from train.data.streams import saved_options
from train.run.interrupts import survive_interrupts_in_worker
from train.run.step import TrainingStep


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
