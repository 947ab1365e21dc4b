"""`python -m eval.retrieval --space DIR --data PATH --query sound --target image`: retrieval across a joint space.

Each row of the data that holds both modalities is a pair; the modality `text` is its answer, or the user's text. For
every query all targets are ranked by cosine; those of rows with the same text are all right. Beside recall and mean
reciprocal rank stand chance, a 95 % interval (bootstrap over texts, since rows of one text are no independent cases),
and the modality gap.
Shapes: B rows, D width of the space.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eval.results import write_text_atomically
from omni.device import default_device
from omni.joint_space import JointSpace
from omni.joint_space.inputs import TEXT, text_media, text_of
from omni.messages import Sample
from omni.readers import open_dataset

_RESAMPLES = 10_000
_TOP = (1, 5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, or 2 for a mistake of the user's."""
    parser = argparse.ArgumentParser(prog="python -m eval.retrieval", description="Retrieval in a joint space.")
    parser.add_argument("--space", required=True, type=Path, help="folder of the joint space, such as RUN/best")
    parser.add_argument("--data", required=True, nargs="+", help="data whose rows hold both modalities")
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
        embeddings, texts = embed_pairs(space, options.data, options.query, options.target)
        figures = measure(embeddings[options.query], embeddings[options.target], texts, options.seed)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    output = options.output or options.space.parent / "retrieval" / f"{options.query}-{options.target}"
    output.mkdir(parents=True, exist_ok=True)
    write_text_atomically(output / "retrieval.json", json.dumps(figures, indent=1))
    draw_gap(embeddings, output / "gap.png", figures["gap"])
    print(summary(options.query, options.target, figures))
    print(f"\nwritten: {output / 'retrieval.json'}, {output / 'gap.png'}")
    return 0


def embed_pairs(space: JointSpace, data: Sequence[str], query: str, target: str) -> tuple[dict[str, Tensor], list[str]]:
    """Unit embeddings of both modalities of the rows that hold both, on the CPU, and the texts of these rows; the id of
    one that has none.

    Raises:
        ValueError: fewer than two rows hold both.
    """
    media: dict[str, list[Any]] = {query: [], target: []}
    texts = []
    for path in data:
        for sample in open_dataset(path):
            if not isinstance(sample, Sample):
                continue
            found = {space.resolve(item.modality): item for item in sample.media}
            text = text_of(sample)
            if text:
                found.setdefault(TEXT, text_media(text))
            if query in found and target in found:
                for name, items in media.items():
                    items.append(found[name])
                texts.append(text.lower() or sample.id)
    if len(texts) < 2:
        raise ValueError(f"{', '.join(data)} holds {len(texts)} rows with {query} and {target}; two are needed")
    return {name: found.cpu() for name, found in space.embed(media).items()}, texts


def measure(query: Tensor, target: Tensor, texts: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Recall at 1 and 5 and mean reciprocal rank of the first right target, each with interval and chance; the gap."""
    numbers = torch.tensor([texts.index(text) for text in texts])
    right = numbers[:, None] == numbers
    ranks = first_right_ranks(query @ target.T, right)
    per_row = {f"recall@{k}": (ranks <= k).astype(float) for k in _TOP} | {"reciprocal_rank": 1 / ranks}
    random = np.random.default_rng(seed)
    shuffled = [first_right_ranks(torch.from_numpy(random.random(right.shape)), right) for _ in range(200)]
    chance_rows = {f"recall@{k}": [(found <= k).mean() for found in shuffled] for k in _TOP}
    chance_rows["reciprocal_rank"] = [(1 / found).mean() for found in shuffled]
    figures: dict[str, Any] = {"rows": len(texts), "texts": len(set(texts))}
    for name, values in per_row.items():
        low, high = clustered_interval(values, numbers.numpy(), seed)
        chance = float(np.mean(chance_rows[name]))
        figures[name] = {"value": float(values.mean()), "low": low, "high": high, "chance": chance}
    gap = (query.mean(0) - target.mean(0)).norm()
    return figures | {"gap": float(gap), "cosine_of_pairs": float((query * target).sum(-1).mean())}


def first_right_ranks(scores: Tensor, right: Tensor) -> np.ndarray:
    """Rank (from 1) of the best-ranked right target of each query; a tie counts against it: [B, B], [B, B] -> [B]."""
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


def draw_gap(embeddings: dict[str, Tensor], file: Path, gap: float) -> None:
    """The modality gap (Liang et al. 2022, arXiv 2203.02053): both modalities on their first two principal axes."""
    from matplotlib.figure import Figure

    rows = torch.cat([*embeddings.values()])
    center = rows.mean(0)
    axes = torch.linalg.svd(rows - center, full_matrices=False)[2][:2]
    figure = Figure(figsize=(5, 4), layout="constrained")
    plot = figure.add_subplot()
    places = [(values - center) @ axes.T for values in embeddings.values()]
    for first, second in zip(*places, strict=True):
        plot.plot([first[0], second[0]], [first[1], second[1]], color="0.85", linewidth=0.6, zorder=0)
    for name, found in zip(embeddings, places, strict=True):
        plot.scatter(found[:, 0], found[:, 1], s=14, label=name)
    plot.set_title(f"modality gap {gap:.2f} (distance of the means)")
    plot.set_xlabel("first principal axis")
    plot.set_ylabel("second principal axis")
    plot.legend()
    figure.savefig(file, dpi=110)


def summary(query: str, target: str, figures: dict[str, Any]) -> str:
    """The table that the terminal shows."""
    lines = [f"{query} -> {target}: {figures['rows']} rows, {figures['texts']} texts"]
    for name in (*(f"recall@{k}" for k in _TOP), "reciprocal_rank"):
        one = figures[name]
        times = one["value"] / one["chance"]
        interval = f"[{one['low']:.3f}, {one['high']:.3f}]"
        lines.append(f"{name:<16} {one['value']:.3f} {interval}  chance {one['chance']:.3f}  {times:.1f} x chance")
    lines.append(f"modality gap {figures['gap']:.3f}, mean cosine of pairs {figures['cosine_of_pairs']:.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
