"""Charts as inline SVG: horizontal bars with intervals, and curves. Colours come from the page's style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from eval.statistics.intervals import Estimate

WIDTH, LABEL_WIDTH, VALUE_WIDTH = 760, 150, 190
ROW_HEIGHT, BAR_HEIGHT = 30, 16


@dataclass(frozen=True)
class Bar:
    """One bar: `kind` is a CSS class (own, control, probe, other), `value_text` stands at its end."""

    label: str
    estimate: Estimate
    kind: str
    value_text: str


def bar_chart(bars: Sequence[Bar], *, chance: float | None, maximum: float, title: str) -> Markup:
    """Draw bars from 0 to `maximum` with their intervals; chance is a dashed line.

    Bounds outside [0, maximum] are cut at the edge.
    """
    plot, value_x = WIDTH - LABEL_WIDTH - VALUE_WIDTH, WIDTH - VALUE_WIDTH + 10
    top = 22 if chance is not None else 6
    height = top + ROW_HEIGHT * len(bars) + 6

    def x(value: float) -> float:
        finite = maximum if value == math.inf else 0.0 if value == -math.inf else value
        return round(LABEL_WIDTH + plot * min(max(finite / maximum, 0.0), 1.0), 1)

    parts = [f'<line class="axis" x1="{x(0)}" x2="{x(0)}" y1="{top - 4}" y2="{height - 4}"/>']
    for index, bar in enumerate(bars):
        y = top + index * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2
        middle = y + BAR_HEIGHT / 2
        low, high = x(bar.estimate.low), x(bar.estimate.high)
        width = max(1.5, x(bar.estimate.value) - x(0))
        parts += [
            f'<text class="label" x="{LABEL_WIDTH - 10}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="track" x="{x(0)}" y="{y}" width="{plot}" height="{BAR_HEIGHT}" rx="3"/>',
            f'<rect class="bar {bar.kind}" x="{x(0)}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT}" rx="3"/>',
            f'<path class="whisker" d="M{low} {middle}H{high}M{low} {middle - 4}v8M{high} {middle - 4}v8"/>',
            f'<text class="value {bar.kind}" x="{value_x}" y="{middle}">{escape(bar.value_text)}</text>',
        ]
    if chance is not None:
        parts += [
            f'<line class="chance" x1="{x(chance)}" x2="{x(chance)}" y1="{top - 4}" y2="{height - 4}"/>',
            f'<text class="chance-label" x="{x(chance)}" y="11" text-anchor="middle">chance</text>',
        ]
    return _svg("".join(parts), WIDTH, height, title)


def curve_chart(curves: dict[str, Sequence[tuple[float, float]]], *, title: str, y_label: str) -> Markup:
    """Draw curves over steps, with names and last values as the legend; points that are not finite are left out."""
    width, height, left, bottom, top, right = 720, 280, 52, 34, 26, 16
    finite = {
        name: [(step, value) for step, value in points if math.isfinite(value)] for name, points in curves.items()
    }
    all_points = [point for points in finite.values() for point in points]
    if not all_points:
        return Markup("<p>No points.</p>")
    last = max(max(step for step, _ in all_points), 1e-9)
    low, high = min(value for _, value in all_points), max(value for _, value in all_points)
    span = (high - low) or 1.0
    low, high = low - 0.05 * span, high + 0.05 * span

    def place(step: float, value: float) -> str:
        px = left + (width - left - right) * step / last
        py = top + (height - top - bottom) * (high - value) / (high - low)
        return f"{px:.1f} {py:.1f}"

    parts: list[str] = []
    for number in range(5):
        value = low + (high - low) * number / 4
        y = place(0, value).split()[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y}" text-anchor="end">{value:.2f}</text>')
        step = last * number / 4
        x = place(step, low).split()[0]
        parts.append(f'<text class="tick" x="{x}" y="{height - bottom + 18}" text-anchor="middle">{step:.0f}</text>')
    parts.append(f'<text class="tick" x="{left - 8}" y="12" text-anchor="end">{escape(y_label)}</text>')
    legend = left
    for index, (name, points) in enumerate(finite.items()):
        if not points:
            continue
        path = "M" + "L".join(place(step, value) for step, value in points)
        text = f"{name} {points[-1][1]:.2f}"
        parts.append(f'<path class="curve curve-{index % 4}" d="{path}"/>')
        parts.append(f'<rect class="swatch-{index % 4}" x="{legend}" y="6" width="12" height="4" rx="2"/>')
        parts.append(f'<text class="tick" x="{legend + 17}" y="9">{escape(text)}</text>')
        legend += 40 + 6.5 * len(text)
    return _svg("".join(parts), width, height, title)


def _svg(content: str, width: int, height: int, title: str) -> Markup:
    return Markup(f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{content}</svg>')
