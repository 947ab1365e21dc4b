"""How long samples are, before they are prepared: the cheap pass over the data that packing is planned with.

The text is laid out and tokenised. A media item is only read where the number of its tokens depends on it: adapters
with queries make the same number of anything. This happens before the model is given its feature cache, so the lengths
are the same whatever is in it.
"""

import sys

from accelerate import Accelerator
from rich.console import Console
from rich.progress import track
from torch.utils.data import Dataset

from omni.recipe.instructions import add_instruction
from omni.samples.messages import Sample, SampleError
from train.data.loading import load_batches
from train.data.mixing import Draw, MixingPlan
from train.data.prepared import PreparedSamples, measure_answer, prepare_answer
from train.runtime.processes import from_all

_MEASURED_AT_ONCE = 64  # draws that a worker measures before it reports


class SampleLengths(Dataset[int]):
    """Gives for a draw the tokens of its sample, media included; 0 if it cannot be used. Runs in workers."""

    def __init__(self, samples: PreparedSamples, context_length: int) -> None:
        """context_length: tokens that the LLM can read."""
        self.samples = samples
        self.max_length = min(samples.max_length or context_length, context_length)

    def __getitem__(self, draw: Draw) -> int:
        samples = self.samples
        source = samples.sources[draw.source]
        try:
            sample = source.dataset[source.rows[draw.row]]
            if isinstance(sample, SampleError):
                return 0
            lengths = self._lengths(add_instruction(sample, source.instructions, samples.seed, draw.epoch))
        except Exception:  # what is wrong with it is found again, and reported, when it is prepared
            return 0
        return sum(lengths) if max(lengths) <= self.max_length else 0

    def _lengths(self, sample: Sample) -> list[int]:
        if self.samples.prepare is not prepare_answer:  # an objective's own: only it knows what it makes of a sample
            return self.samples.prepare(self.samples.model, sample).lengths
        return [measure_answer(self.samples.model, sample)]


class MeasuredDraws:
    """Lengths of the draws of a plan, measured by all processes and their workers as far as they are asked for."""

    def __init__(
        self,
        plan: MixingPlan,
        lengths: SampleLengths,
        accelerator: Accelerator,
        num_workers: int,
        num_draws: int | None = None,
    ) -> None:
        """`num_draws`: where the plan ends; None = unknown."""
        self.plan = plan
        self.lengths = lengths
        self.accelerator = accelerator
        self.num_workers = num_workers
        self.num_draws = num_draws
        self._known: dict[tuple[int, int, int], int] = {}
        self._measured: list[int] = []

    def __call__(self, start: int, stop: int) -> list[int]:
        """Tokens of the samples of the draws `start` to `stop` (exclusive)."""
        if len(self._measured) < stop:
            # Ahead of what is asked for, so that workers are not started anew for every window.
            end = max(stop, 2 * len(self._measured))
            end = end if self.num_draws is None else self.num_draws
            draws = [self.plan.draw(position) for position in range(len(self._measured), end)]
            keys = [self._key(draw) for draw in draws]
            self._measure({key: draw for key, draw in zip(keys, draws, strict=True) if key not in self._known})
            self._measured += [self._known[key] for key in keys]
        return self._measured[start:stop]

    def _measure(self, draws: dict[tuple[int, int, int], Draw]) -> None:
        """Each process measures its part of the draws, and all learn the lengths of all."""
        if not draws:
            return
        mine = [*draws.values()][self.accelerator.process_index :: self.accelerator.num_processes]
        batches = [mine[i : i + _MEASURED_AT_ONCE] for i in range(0, len(mine), _MEASURED_AT_ONCE)]
        loader = load_batches(self.lengths, batches, self.num_workers)
        shown = self.accelerator.is_main_process and sys.stderr.isatty()
        measured = track(loader, "measuring samples", console=Console(stderr=True), disable=not shown, transient=True)
        parts = from_all(self.accelerator, [length for batch in measured for length in batch])
        for index, part in enumerate(parts):
            self._known |= dict(zip([*draws][index :: len(parts)], part, strict=True))

    def _key(self, draw: Draw) -> tuple[int, int, int]:
        """What the length depends on: the epoch only where it chooses between instructions."""
        several = len(self.lengths.samples.sources[draw.source].instructions) > 1
        return draw.source, draw.row, draw.epoch if several else 0
