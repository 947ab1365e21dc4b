"""What the embedding of a modality would be that an item lacks, predicted from those it has.

Shapes: B rows, D width of the space.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_FEWEST_ROWS = 3


@dataclass(frozen=True)
class _Map:
    """target = mean_of_target + (source - mean_of_source) @ weight"""

    source_mean: Tensor  # [D]
    target_mean: Tensor  # [D]
    weight: Tensor  # [D, D]
    error: float  # mean squared error, leave-one-out


class MissingModality:
    """Ridge regression from each modality to each other one; several present ones are averaged, the surer count more.

    The means of the modalities are kept apart, since in a joint space each has a region of its own (the modality gap,
    Liang et al. 2022, arXiv 2203.02053).
    """

    def __init__(self, maps: Mapping[tuple[str, str], _Map]) -> None:
        self._maps = dict(maps)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(from, to) that can be predicted."""
        return sorted(self._maps)

    @classmethod
    def fit(cls, embeddings: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None) -> "MissingModality":
        """Fit to rows that have several modalities.

        Args:
            embeddings: modality -> [B, D], row by row the same things (`JointSpace.embed`).
            present: modality -> which rows are real [B] (bool); default: all.

        Raises:
            ValueError: different numbers of rows, real rows that hold NaN or infinite numbers, `present` that is no
                mask of these rows, or no two modalities have three rows in common.
        """
        sizes = {len(rows) for rows in embeddings.values()}
        if len(sizes) != 1:
            raise ValueError(f"all modalities need the same rows, got {sorted(sizes)} rows")
        real = _real_rows(embeddings, present or {})
        maps = {}
        for source, values in embeddings.items():
            for target, wanted in embeddings.items():
                both = real[source] & real[target]
                if source != target and int(both.sum()) >= _FEWEST_ROWS:
                    maps[source, target] = _ridge(values[both].float(), wanted[both].float())
        if not maps:
            raise ValueError(
                f"no two of {sorted(embeddings)} have {_FEWEST_ROWS} rows in common: nothing to learn from"
            )
        return cls(maps)

    def predict(self, target: str, present: Mapping[str, Tensor]) -> Tensor:
        """Unit embeddings [B, D] of modality `target` from those present (modality -> [B, D]).

        Raises:
            ValueError: it cannot be predicted from any of these, or they have different numbers of rows, or are of
                another width.
        """
        if target in present:
            raise ValueError(f"{target!r} is among those present, so it is not missing")
        usable = [name for name in present if (name, target) in self._maps]
        if not usable:
            raise ValueError(f"{target!r} cannot be predicted from {sorted(present)}; pairs: {self.pairs}")
        rows = {name: present[name].reshape(-1, present[name].shape[-1]).float() for name in usable}
        if len({len(values) for values in rows.values()}) != 1:
            counts = {name: len(values) for name, values in rows.items()}
            raise ValueError(f"all modalities that are present need the same rows, got {counts}")
        total = torch.zeros(1)
        for name, values in rows.items():
            one = self._maps[name, target]
            if values.shape[1] != len(one.weight):
                raise ValueError(
                    f"{name!r} has width {values.shape[1]}, not that of the rows fitted: {len(one.weight)}"
                )
            predicted = one.target_mean + (values - one.source_mean) @ one.weight
            total = total.to(predicted.device) + predicted / max(one.error, 1e-8)
        return F.normalize(total, dim=-1)


def _real_rows(embeddings: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Which rows of each modality are real [B] (bool); ValueError for a mask that is none, and for NaN among them."""
    unknown = sorted(present.keys() - embeddings.keys())
    if unknown:
        raise ValueError(f"present names {', '.join(unknown)}; there are embeddings of {', '.join(sorted(embeddings))}")
    real = {}
    for name, values in embeddings.items():
        rows = torch.ones(len(values), dtype=torch.bool) if name not in present else present[name]
        if rows.shape != (len(values),):
            raise ValueError(
                f"present[{name!r}] has shape {[*rows.shape]}; it needs one value for each of {len(values)} rows"
            )
        real[name] = rows.to(values.device, torch.bool)
        damaged = int((~values[real[name]].isfinite().all(-1)).sum())
        if damaged:
            raise ValueError(
                f"{damaged} embeddings of {name!r} hold NaN or infinite numbers; say in present which rows are real"
            )
    return real


def _ridge(source: Tensor, target: Tensor) -> _Map:
    """Ridge regression with the strength that has the least leave-one-out error (in closed form from the singular
    values; Hastie et al. 2009, The Elements of Statistical Learning, equation 7.64)."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    x, y = (source - source_mean).double(), (target - target_mean).double()
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    projected = u.T @ y
    best: _Map | None = None
    for strength in torch.logspace(-4, 3, 15, dtype=torch.float64).tolist():
        shrink = s**2 / (s**2 + strength)
        fitted = u @ (shrink[:, None] * projected)
        leverage = (u**2 @ shrink + 1 / len(x)).clamp(max=1 - 1e-6)
        error = float((((y - fitted) / (1 - leverage)[:, None]) ** 2).mean())
        if best is None or error < best.error:
            weight = vh.T @ ((s / (s**2 + strength))[:, None] * projected)
            best = _Map(source_mean, target_mean, weight.to(source.dtype), error)
    assert best is not None
    return best
