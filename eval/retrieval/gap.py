"""Draw the modality gap (Liang et al. 2022, arXiv:2203.02053)."""

from pathlib import Path

import torch

from eval.retrieval.items import Items


def draw_gap(query: tuple[str, Items], target: tuple[str, Items], file: Path, gap: float) -> None:
    """Draw both modalities, given as name and items, on their first two principal axes.

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
