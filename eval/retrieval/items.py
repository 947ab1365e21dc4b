"""Read and embed the items that are searched with, and those that are found."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from omni.joint_space import JointSpace
from omni.joint_space.inputs import text_of
from omni.joint_space.rows import items_of
from omni.media.item import Media
from omni.readers import open_dataset
from omni.samples.messages import SampleError


class Items(NamedTuple):
    """The items of one modality.

    Attributes:
        embeddings: unit embeddings [N, D], on the CPU.
        texts: the text of the row of each item: its answer, else the user's text, else its id.
        sets: what each item is compared by, [N, D]; see `JointSpace.embed_sets`.
    """

    embeddings: Tensor
    texts: list[str]
    sets: list[Tensor]


def embed_items(space: JointSpace, data: Sequence[str], query: str, target: str) -> tuple[Items, Items]:
    """Embed the items of both modalities in the data; queries to whose text no target belongs are left out.

    Raises:
        ValueError: there is no query left, or there are fewer than two targets.
    """
    media: dict[str, list[Media]] = {query: [], target: []}
    texts: dict[str, list[str]] = {query: [], target: []}
    for path in data:
        for sample in open_dataset(path):
            if isinstance(sample, SampleError):
                print(f"left out: {sample}", file=sys.stderr)
                continue
            for item in items_of(space, sample):
                name = target if item.modality == space.resolve(target) else query
                media[name].append(item)
                texts[name].append(text_of(sample).lower() or sample.id)
    answered = [index for index, text in enumerate(texts[query]) if text in {*texts[target]}]
    if not answered or len(media[target]) < 2:
        raise ValueError(
            f"{', '.join(data)} hold {len(media[query])} items of {query}, {len(media[target])} of {target}, and "
            f"{len(answered)} of the first have the text of one of the second; one such and two targets are needed"
        )
    queries = [media[query][index] for index in answered]
    items = {query: queries, target: media[target]}
    found = space.embed(items)
    sets = {name: [F.normalize(one, dim=-1).cpu() for one in own] for name, own in space.embed_sets(items).items()}
    right_texts = [texts[query][index] for index in answered]
    return (
        Items(found[query].cpu(), right_texts, sets[query]),
        Items(found[target].cpu(), texts[target], sets[target]),
    )
