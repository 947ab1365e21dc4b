"""`python -m eval.retrieval --space DIR --data PATHS --query sound --target image`: retrieval across a joint space.

The media of the query's modality are compared by cosine with all of the target's modality, whichever rows of the data
they are in; those of rows with the same text are right. Queries to whose text no target belongs are left out. Beside
recall and mean reciprocal rank stand chance, a 95 % interval (bootstrap over texts, since rows of one text are no
independent cases), and the modality gap.
Shapes: B queries, T targets, D width of the space.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from omni.feature_cache import FeatureCache
from omni.joint_space import JointSpace
from omni.joint_space.inputs import text_of
from omni.joint_space.rows import items_of
from omni.media.item import Media
from omni.readers import open_dataset
from omni.runtime.device import default_device
from omni.runtime.files import write_atomically
from omni.samples.messages import SampleError
from omni.starter import home

_RESAMPLES = 10_000
_TOP = (1, 5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, or 2 for a mistake of the user's."""
    parser = argparse.ArgumentParser(prog="python -m eval.retrieval", description="Retrieval in a joint space.")
    parser.add_argument("--space", required=True, type=Path, help="folder of the joint space, such as RUN/best")
    parser.add_argument(
        "--data", required=True, nargs="+", help="data sets with media of both modalities, in one row or several"
    )
    parser.add_argument("--query", required=True, help="modality that is searched with, such as sound")
    parser.add_argument("--target", required=True, help="modality that is found, such as image")
    parser.add_argument("--output", type=Path, help="folder of retrieval.json and gap.png (default: beside the space)")
    parser.add_argument("--device", help="where the space runs (default: the GPU if there is one)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    options = parser.parse_args(arguments)
    try:
        if options.query == options.target:
            raise ValueError(f"--query and --target are both {options.query}; name two modalities")
        names = [options.query, options.target]
        space = JointSpace.load(options.space, modalities=names, device=options.device or default_device())
        space.feature_cache = FeatureCache(home() / "features")
        query, target = embed_items(space, options.data, options.query, options.target)
        figures = measure(query, target, options.seed)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    output = options.output or options.space.parent / "retrieval" / f"{options.query}-{options.target}"
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(output / "retrieval.json", json.dumps(figures, indent=1))
    draw_gap((options.query, query), (options.target, target), output / "gap.png", figures["gap"])
    print(summary(options.query, options.target, figures))
    print(f"\nwritten: {output / 'retrieval.json'}, {output / 'gap.png'}")
    return 0


class Items(NamedTuple):
    """Unit embeddings [N, D] of the items of one modality, on the CPU, and the text of the row of each.

    That is its answer, or the user's text, or its id where it has none.
    """

    embeddings: Tensor
    texts: list[str]


def embed_items(space: JointSpace, data: Sequence[str], query: str, target: str) -> tuple[Items, Items]:
    """The items of both modalities in the data; of the query's those to whose text a target belongs.

    Raises:
        ValueError: there is no such query, or fewer than two targets.
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
    found = space.embed({query: queries, target: media[target]})
    right_texts = [texts[query][index] for index in answered]
    return Items(found[query].cpu(), right_texts), Items(found[target].cpu(), texts[target])


def measure(query: Items, target: Items, seed: int = 0) -> dict[str, Any]:
    """Recall at 1 and 5 and mean reciprocal rank of the first right target, each with interval and chance; the gap."""
    names = sorted({*query.texts})
    numbers = np.array([names.index(text) for text in query.texts])
    right = torch.tensor([[text == other for other in target.texts] for text in query.texts])
    scores = query.embeddings @ target.embeddings.T
    ranks = first_right_ranks(scores, right)
    per_row = {f"recall@{k}": (ranks <= k).astype(float) for k in _TOP} | {"reciprocal_rank": 1 / ranks}
    random = np.random.default_rng(seed)
    shuffled = [first_right_ranks(torch.from_numpy(random.random(right.shape)), right) for _ in range(200)]
    chance_rows = {f"recall@{k}": [(found <= k).mean() for found in shuffled] for k in _TOP}
    chance_rows["reciprocal_rank"] = [(1 / found).mean() for found in shuffled]
    figures: dict[str, Any] = {"queries": len(query.texts), "texts": len(names), "targets": len(target.texts)}
    for name, values in per_row.items():
        low, high = clustered_interval(values, numbers, seed)
        chance = float(np.mean(chance_rows[name]))
        figures[name] = {"value": float(values.mean()), "low": low, "high": high, "chance": chance}
    gap = (query.embeddings.mean(0) - target.embeddings.mean(0)).norm()
    return figures | {"gap": float(gap), "cosine_of_pairs": float(scores[right].mean())}


def first_right_ranks(scores: Tensor, right: Tensor) -> np.ndarray:
    """Rank (from 1) of the best-ranked right target of each query; a tie counts against it: [B, T], [B, T] -> [B]."""
    best = scores.masked_fill(~right, float("-inf")).amax(1, keepdim=True)
    return ((scores >= best) & ~right).sum(1).numpy() + 1.0


def clustered_interval(values: np.ndarray, clusters: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean by a bootstrap over clusters."""
    names = np.unique(clusters)
    sums = np.array([values[clusters == name].sum() for name in names])
    counts = np.array([(clusters == name).sum() for name in names])
    draws = np.random.default_rng(seed).integers(0, len(names), (_RESAMPLES, len(names)))
    means = sums[draws].sum(1) / counts[draws].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def draw_gap(query: tuple[str, Items], target: tuple[str, Items], file: Path, gap: float) -> None:
    """The modality gap (Liang et al. 2022, arXiv 2203.02053): both modalities on their first two principal axes.

    A line leads from each query to the first target of its text.
    """
    from matplotlib.figure import Figure

    rows = torch.cat([query[1].embeddings, target[1].embeddings])
    center = rows.mean(0)
    axes = torch.linalg.svd(rows - center, full_matrices=False)[2][:2]
    figure = Figure(figsize=(5, 4), layout="constrained")
    plot = figure.add_subplot()
    places = [(items.embeddings - center) @ axes.T for _, items in (query, target)]
    for place, text in zip(places[0], query[1].texts, strict=True):
        right = places[1][target[1].texts.index(text)]
        plot.plot([place[0], right[0]], [place[1], right[1]], color="0.85", linewidth=0.6, zorder=0)
    for (name, _), found in zip((query, target), places, strict=True):
        plot.scatter(found[:, 0], found[:, 1], s=14, label=name)
    plot.set_title(f"modality gap {gap:.2f} (distance of the means)")
    plot.set_xlabel("first principal axis")
    plot.set_ylabel("second principal axis")
    plot.legend()
    figure.savefig(file, dpi=110)


def summary(query: str, target: str, figures: dict[str, Any]) -> str:
    """The table that the terminal shows."""
    sizes = f"{figures['queries']} queries of {figures['texts']} texts, {figures['targets']} targets"
    lines = [f"{query} -> {target}: {sizes}"]
    for name in (*(f"recall@{k}" for k in _TOP), "reciprocal_rank"):
        one = figures[name]
        times = one["value"] / one["chance"]
        interval = f"[{one['low']:.3f}, {one['high']:.3f}]"
        lines.append(f"{name:<16} {one['value']:.3f} {interval}  chance {one['chance']:.3f}  {times:.1f} x chance")
    lines.append(f"modality gap {figures['gap']:.3f}, mean cosine of pairs {figures['cosine_of_pairs']:.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
