"""Embeddings of samples as they are gathered from micro-batches and processes, and put together again.

Shapes: B rows, D width of an embedding, N embeddings of a row with several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class EmbeddedRows:
    """Embeddings of the rows (samples) of one or several micro-batches, by name, such as that of a modality.

    A row need not have an embedding of each name: B below is the number of rows that have one.
    """

    values: dict[str, Tensor] = field(default_factory=dict)  # [B, D], or [B, N, D] for late interaction
    masks: dict[str, Tensor] = field(default_factory=dict)  # [B, N], for late interaction only
    rows: dict[str, list[int]] = field(default_factory=dict)  # the row that each embedding belongs to
    groups: list[str] = field(default_factory=list)  # one for each row; rows of one group mean the same

    def detached(self) -> "EmbeddedRows":
        """Return a copy on the CPU, to be sent to other processes."""
        values = {name: value.detach().cpu() for name, value in self.values.items()}
        return replace(self, values=values, masks={name: mask.cpu() for name, mask in self.masks.items()})

    def single_rows(self) -> list["EmbeddedRows"]:
        """Return each row by itself, in memory of its own: a view would be sent to others with all the rest."""
        found = [EmbeddedRows(groups=[group]) for group in self.groups]
        for name, members in self.rows.items():
            for position, row in enumerate(members):
                found[row].rows[name] = [0]
                found[row].values[name] = self.values[name][position : position + 1].clone()
                if name in self.masks:
                    found[row].masks[name] = self.masks[name][position : position + 1].clone()
        return found

    @classmethod
    def joined(cls, parts: Sequence["EmbeddedRows"], device: torch.device) -> "EmbeddedRows":
        """Return all parts as one, in order."""
        whole = cls(groups=[group for part in parts for group in part.groups])
        for name in sorted({name for part in parts for name in part.values}):
            values, masks, first = [], [], 0
            for part in parts:
                if name in part.values:
                    values.append(part.values[name].to(device))
                    masks.append(part.masks[name].to(device) if name in part.masks else None)
                    whole.rows.setdefault(name, []).extend(first + row for row in part.rows[name])
                first += len(part.groups)
            longest = max(value.shape[1] for value in values)
            if masks[0] is not None:
                values = [F.pad(value, (0, 0, 0, longest - value.shape[1])) for value in values]
                padded = [F.pad(mask, (0, longest - mask.shape[1])) for mask in masks if mask is not None]
                whole.masks[name] = torch.cat(padded)
            whole.values[name] = torch.cat(values)
        return whole


def split_like(values: Mapping[str, Tensor], parts: Sequence[EmbeddedRows]) -> list[dict[str, Tensor]]:
    """Return what belongs to the joined embeddings, such as their gradients, part by part."""
    found: list[dict[str, Tensor]] = [{} for _ in parts]
    for name, value in values.items():
        sizes = [len(part.rows.get(name, [])) for part in parts]
        for target, piece in zip(found, value.split(sizes), strict=True):
            target[name] = piece
    return found
