"""A measurement as Markdown, JSON and a bar chart."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from eval.speed.measuring import SpeedResult


def write_report(result: SpeedResult, folder: Path) -> list[Path]:
    """Write `SHAPE-DTYPE.json`, `.md` and `.png`; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{result.shape}-{result.dtype}"
    paths = [folder / f"{stem}{suffix}" for suffix in (".json", ".md", ".png")]
    paths[0].write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    paths[1].write_text(markdown(result) + "\n", encoding="utf-8")
    draw(result, paths[2])
    return paths


def markdown(result: SpeedResult) -> str:
    """Return the conditions of the measurement, a table, and the profile if there is one."""
    plain = result.contenders[0]
    lines = [
        f"Shape `{result.shape}`: {result.description}.",
        f"{result.dtype}, {result.device}, {result.threads} thread(s); batches of {result.batch_size}, medians of "
        f"{result.rounds} rounds of {result.steps} steps in turn. Tokens of a sample: {_spread(result.llm_tokens)}; of "
        f"its answer: {_spread(result.answer_tokens)}. Matrix products of this process: "
        f"{result.matmul_flops_per_second / 1e9:.0f} GFLOP/s.",
        "",
        "| | step | times (a) | samples/s | answer tokens/s | peak memory, MB | of (a) | without weights, MB "
        "| matmul peak |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in result.contenders:
        share = one.peak_bytes / plain.peak_bytes if plain.peak_bytes else 0
        lines.append(
            f"| {one.key} | {one.label} | {one.speedup:.2f} | {one.samples_per_second:.2f} | "
            f"{one.answer_tokens_per_second:.1f} | {one.peak_bytes / 1e6:.0f} | {share:.0%} | "
            f"{one.step_bytes / 1e6:.0f} | {one.share_of_peak:.0%} |"
        )
    if result.profile:
        lines += ["", "```text", result.profile, "```"]
    return "\n".join(lines)


def _spread(values: Sequence[int]) -> str:
    return f"{min(values)} to {max(values)}, median {statistics.median(values):g}"


def draw(result: SpeedResult, path: Path) -> None:
    """Draw bars: samples per second as a multiple of the plain loop's, and peak memory as a share of it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = [f"({one.key}) {one.label}" for one in result.contenders]
    plain = result.contenders[0]
    figure, (speed, memory) = plt.subplots(1, 2, figsize=(10, 0.5 * len(names) + 1.4), sharey=True)
    for axes, values, title, form in (
        (speed, [one.speedup for one in result.contenders], "samples per second, (a) = 1", "{:.2f}"),
        (
            memory,
            [100 * one.peak_bytes / max(1, plain.peak_bytes) for one in result.contenders],
            "peak memory, % of (a)",
            "{:.0f}",
        ),
    ):
        bars = axes.barh(names, values, color=["#9aa5b1"] + ["#2f6f9f"] * (len(names) - 1))
        axes.bar_label(bars, [form.format(value) for value in values], padding=3)
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.12)
    speed.invert_yaxis()
    figure.suptitle(f"{result.shape}, {result.dtype}, {result.device}, {result.threads} thread(s)", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
