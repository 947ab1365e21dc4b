"""Batches in worker processes: of training, in the order of the plan, and of held-out data, one pass over it."""

import multiprocessing
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from omni.readers.sources import Source
from train.data.mixing import Draw
from train.runtime.interrupts import survive_interrupts_in_worker


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


def _as_they_are(items: list[Any]) -> list[Any]:
    return items
