"""Rows of data in a joint space: the items of a conversation, and the centre of each modality over many."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor
from tqdm import tqdm

from omni.joint_space.inputs import TEXT, text_media, text_of
from omni.joint_space.space import JointSpace
from omni.media.item import Media
from omni.samples.messages import Sample, SampleError


def items_of(space: JointSpace, sample: Sample) -> list[Media]:
    """The items of a row that the space has modalities for: its media, and its text if it has one."""
    items = [replace(item, modality=space.resolve(item.modality)) for item in sample.media]
    items = [item for item in items if item.modality in space.modalities]
    text = text_of(sample)
    return [*items, text_media(text)] if TEXT in space.modalities and text else items


def measure_centers(space: JointSpace, samples: Iterable[Sample | SampleError]) -> tuple[dict[str, int], list[str]]:
    """Set `space.centers` to the mean unit embedding of each modality's items in `samples`.

    The distance between two centres is the gap between their modalities (Liang et al. 2022, arXiv 2203.02053).

    Returns how many items of each modality there were, and what is wrong with those that cannot be read.

    Raises:
        ValueError: there is nothing of any modality of the space.
    """
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(space.dim, dtype=torch.float64))
    counts: dict[str, int] = defaultdict(int)
    bad: list[str] = []
    for sample in tqdm(samples, "embedding", unit=" rows", disable=None):
        if isinstance(sample, SampleError):
            bad.append(str(sample))
            continue
        for item in items_of(space, sample):
            try:
                embedding = space.embed({item.modality: [item]})[item.modality][0]
            except (ValueError, OSError) as error:  # MediaError, and what encoders of users' own raise
                bad.append(f"sample {sample.id!r}: {error}")
                continue
            sums[item.modality] += embedding.double().cpu()
            counts[item.modality] += 1
    if not counts:
        reason = f"; the first row that cannot be used: {bad[0]}" if bad else ""
        raise ValueError(f"the data hold nothing of {', '.join(space.modalities)}{reason}")
    space.centers |= {name: (sums[name] / count).float() for name, count in counts.items()}
    return dict(counts), bad
