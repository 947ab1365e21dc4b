"""From draws to prepared examples, as data-loading workers make them; what cannot be used is set apart."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch.utils.data import Dataset

from omni.augmentation import AugmentationDraw
from omni.model.batch import Example
from omni.model.encoder_stack import EncoderStack
from omni.readers.sources import Source
from omni.recipe.instructions import add_instruction
from omni.samples.messages import Sample, SampleError, check_answer
from train.data.bad_samples import BadSample, BadSampleKind
from train.data.input_meter import PreparedBatch
from train.data.mixing import Draw, stream_seeds
from train.data.stream_order import LaneReader

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
        """Return the examples of a whole micro-batch, as torch's loader asks for them, with the time that they took."""
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
                return BadSample.from_error(sample, source.name)
            sample_id = sample.id
            sample = add_instruction(sample, source.instructions, self.seed, draw.epoch)
            prepare = _prepare_answer_and_questions if source.train_on_questions else self.prepare
            views = self.augmented_views
            with self.model.augmented(None if views is None else AugmentationDraw(self.seed, draw.epoch, views)):
                example = prepare(self.model, sample)
        except SampleError as error:
            return BadSample.from_error(error, source.name, sample_id)
        except Exception as error:  # whatever one sample does must not end a run; the share of bad ones is limited
            return BadSample(sample_id, source.name, str(error) or type(error).__name__)
        length = max(example.lengths)
        if self.max_length is not None and length > self.max_length:
            reason = f"{length} tokens, media included; train.max_length allows {self.max_length}"
            return BadSample(sample_id, source.name, reason, BadSampleKind.TOO_LONG)
        if example.num_answer_tokens == 0:
            return BadSample(sample_id, source.name, "the answer is empty: there is nothing to learn from it")
        return example

    def _read(self, draw: Draw) -> Sample | SampleError:
        source = self.sources[draw.source]
        if draw.place is None:
            return source.dataset[source.rows[draw.row]]
        stream = source.dataset.stream
        assert stream is not None  # only draws from streams have a place
        key = draw.source, draw.place.lane
        epoch, reader = self._lanes.get(key, (-1, None))
        if reader is None or epoch != draw.epoch:
            reader = LaneReader(stream, stream_seeds(self.seed, draw.source, draw.epoch))
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


def prepare_answer(model: Any, sample: Sample) -> Example:
    """A conversation that ends with its answer. Raises SampleError, MediaError."""
    check_answer(sample)
    return model.prepare(sample, answer=True)


def measure_answer(model: Any, sample: Sample) -> int:
    """The length of what `prepare_answer` makes, at less cost. Raises SampleError, MediaError."""
    check_answer(sample)
    return model.measure(sample)


def _prepare_answer_and_questions(model: Any, sample: Sample) -> Example:
    check_answer(sample)
    return model.prepare(sample, answer=True, questions=True)
