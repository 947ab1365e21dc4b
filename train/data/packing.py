"""Packs: samples put together by length until a budget of tokens is full, as a plan that is fixed before training.

Like the plan of draws it is made of, the plan of packs depends on the seed, the data and the recipe alone. Step s takes
the packs from s x (packs of a step) on, whichever process they go to, so the number of processes, accumulation, workers
and resuming change nothing.
"""

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omni.recipe.schema import TrainConfig
from train.data.mixing import Draw, MixingPlan

PACKS = "packs.npz"  # in the output folder of a run

# (first position, position after the last) -> tokens of each draw of the plan; 0 = cannot be used, and takes no room
Measure = Callable[[int, int], Sequence[int]]


def global_batch_size(config: TrainConfig, num_processes: int) -> int:
    """Samples of a step, or with `train.pack_tokens` packs."""
    passes = config.accumulation_steps * num_processes
    return passes * config.batch_size if config.pack_tokens is None else passes


def describe_global_batch(config: TrainConfig, size: int) -> str:
    """What a step of `size` samples or packs takes, in words."""
    return f"{size} samples" if config.pack_tokens is None else f"{size} packs of {config.pack_tokens:,} tokens"


def first_fit(lengths: Sequence[int], budget: int, open_bin: int = 0) -> list[list[int]]:
    """Indices of `lengths` in bins of at most `budget`: first-fit decreasing (Johnson 1973).

    The longest first, each into the first bin that has room. The first bin begins with `open_bin` tokens in it.
    Whatever is longer than the budget has a bin to itself. Within a bin the indices rise.
    """
    bins: list[list[int]] = [[]]
    room = np.array([budget - open_bin])
    for index in np.argsort(-np.asarray(lengths), kind="stable").tolist():
        fitting = np.flatnonzero(room >= lengths[index])
        if len(fitting):
            bins[fitting[0]].append(index)
            room[fitting[0]] -= lengths[index]
        else:
            bins.append([index])
            room = np.append(room, budget - lengths[index])
    return [sorted(found) for found in bins]


@dataclass(frozen=True)
class PackPlan:
    """Which draws stand in which pack."""

    positions: np.ndarray  # int64, positions in the plan of draws, pack by pack
    ends: np.ndarray  # int64, where in `positions` each pack ends

    def __len__(self) -> int:
        return len(self.ends)

    def pack(self, index: int) -> list[int]:
        """Positions of the draws of a pack; beyond the last pack none."""
        if index >= len(self.ends):
            return []
        start = 0 if index == 0 else int(self.ends[index - 1])
        return self.positions[start : int(self.ends[index])].tolist()

    def num_draws(self, num_packs: int) -> int:
        """Draws in the first `num_packs` packs."""
        return 0 if num_packs == 0 else int(self.ends[min(num_packs, len(self.ends)) - 1])


def plan_packs(
    plan: MixingPlan,
    measure: Measure,
    *,
    budget: int,
    window: int,
    num_draws: int | None = None,
    num_packs: int | None = None,
) -> PackPlan:
    """Pack the first `num_draws` draws, or as many as fill `num_packs` packs.

    The draws are looked at in windows of `window`, which end with the epoch. A window's emptiest pack stays open for
    the next, so no window leaves a half-empty pack; the others come in an order shuffled by the seed, since first-fit
    makes packs of few long samples first. `budget` is the tokens of a pack.
    """
    packs: list[list[int]] = []
    left_open: list[int] = []
    tokens_left_open = 0
    for number, (window_start, lengths) in enumerate(_windows(plan, measure, window, num_draws)):
        bins = first_fit(lengths, budget, tokens_left_open)
        sizes = [sum(lengths[i] for i in found) for found in bins]
        sizes[0] += tokens_left_open
        found = [[window_start + i for i in indices] for indices in bins]
        found[0] = left_open + found[0]
        emptiest = int(np.argmin(sizes))
        left_open, tokens_left_open = [], 0
        if any(lengths):  # else nothing can be used, and an open pack would never be full
            left_open, tokens_left_open = found.pop(emptiest), sizes[emptiest]
        order = np.random.default_rng((plan.seed, 2, number)).permutation(len(found))
        packs += [found[i] for i in order]
        if num_packs is not None and len(packs) >= num_packs:
            packs, left_open = packs[:num_packs], []
            break
    packs += [left_open] if left_open else []
    return PackPlan(
        np.array([position for found in packs for position in found], dtype=np.int64),
        np.cumsum([len(found) for found in packs], dtype=np.int64),
    )


def _windows(
    plan: MixingPlan, measure: Measure, window: int, num_draws: int | None
) -> Iterator[tuple[int, Sequence[int]]]:
    """Position of the first draw of each window, and the lengths of its draws."""
    start = 0
    while num_draws is None or start < num_draws:
        epoch_end = (start // plan.epoch_length + 1) * plan.epoch_length
        stop = min(start + window, epoch_end, epoch_end if num_draws is None else num_draws)
        yield start, measure(start, stop)
        start = stop


class PackedMicroBatches:
    """The draws of one process, one pack for each forward pass; see `train.data.mixing.MicroBatches`."""

    def __init__(
        self,
        plan: MixingPlan,
        packs: PackPlan,
        *,
        accumulation_steps: int,
        process_index: int,
        num_processes: int,
        first_step: int,
        num_steps: int,
    ) -> None:
        self.plan = plan
        self.packs = packs
        self.accumulation_steps = accumulation_steps
        self.process_index = process_index
        self.num_processes = num_processes
        self.first_step = first_step
        self.num_steps = num_steps

    def __len__(self) -> int:
        return (self.num_steps - self.first_step) * self.accumulation_steps

    def __iter__(self) -> Iterator[list[Draw]]:
        for number in range(self.first_step * self.accumulation_steps, self.num_steps * self.accumulation_steps):
            pack = self.packs.pack(number * self.num_processes + self.process_index)
            yield [self.plan.draw(position) for position in pack]


def positions_taken(lengths: Sequence[int], budget: int | None) -> tuple[int, int, int]:
    """Return what one forward pass over samples of `lengths` tokens has and takes, in three numbers.

    They are the tokens of the samples, the positions of a padded batch of them, and the positions that the budget
    allows: without a budget, or where one sample is longer than it, the tokens themselves.
    """
    tokens = sum(lengths)
    return tokens, len(lengths) * max(lengths, default=0), max(budget or 0, tokens) if lengths else 0


def save_packs(packs: PackPlan, file: Path) -> None:
    """Write a plan, in one atomic step."""
    temporary = file.with_name(f".{file.name}")
    with temporary.open("wb") as stream:
        np.savez(stream, positions=packs.positions, ends=packs.ends)
    os.replace(temporary, file)


def load_packs(file: Path) -> PackPlan | None:
    """What `save_packs` wrote, or None if it is not there or not whole."""
    try:
        with np.load(file) as arrays:
            return PackPlan(arrays["positions"], arrays["ends"])
    except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
