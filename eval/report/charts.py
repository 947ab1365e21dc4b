"""Curves as inline SVG, with round ticks. Colours come from the page's style sheet."""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

# Small, so that its letters can still be read where a phone shows it at three quarters of its size.
WIDTH, HEIGHT = 460, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 44
NUM_COLOURS = 4


def curve_chart(curves: dict[str, Sequence[tuple[float, float]]], *, title: str, y_label: str) -> Markup:
    """Draw curves over steps; points that are not finite are left out. The legend is `curve_legend`."""
    from matplotlib.ticker import MaxNLocator  # late: it takes a moment, and most pages have no curves

    finite = finite_points(curves)
    points = [point for found in finite.values() for point in found]
    if not points:
        return Markup("<p>No points.</p>")
    rounds = [1, 2, 2.5, 5, 10]
    across = MaxNLocator(5, steps=rounds, integer=True).tick_values(0, max(1.0, *(step for step, _ in points)))
    values = [value for _, value in points]
    up = MaxNLocator(5, steps=rounds).tick_values(min(values), max(values))
    first, last, low, high = 0.0, max(1.0, *(step for step, _ in points)), up[0], up[-1]

    def x(step: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (step - first) / (last - first)

    def y(value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    digits = max(0, -math.floor(math.log10(up[1] - up[0]) + 1e-9))
    digits += round((up[1] - up[0]) * 10**digits, 6) % 1 != 0  # steps of 2.5
    parts: list[str] = []
    for value in up:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        text = f"{value:,.{digits}f}"
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y(value):.1f}" text-anchor="end">{text}</text>')
    for step in across:
        if step <= last:
            place = f'x="{x(step):.1f}" y="{HEIGHT - _BOTTOM + 16}"'
            parts.append(f'<text class="tick" {place} text-anchor="middle">{step:,.0f}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">steps</text>')
    for index, found in enumerate(finite.values()):
        path = "M" + "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in found)
        parts.append(f'<path class="curve curve-{index % NUM_COLOURS}" d="{path}"/>')
    label = f"{title}: {y_label} over steps"
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>')


def curve_legend(curves: dict[str, Sequence[tuple[float, float]]]) -> list[tuple[int, str, str]]:
    """Return for each curve that is drawn the number of its colour, its name, and its first and last value."""
    return [
        (index % NUM_COLOURS, name, f"{points[0][1]:.2f} → {points[-1][1]:.2f}")
        for index, (name, points) in enumerate(finite_points(curves).items())
    ]


def finite_points(curves: dict[str, Sequence[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    """Return the curves that have a point with a finite value, without their other points."""
    finite = {
        name: [(step, value) for step, value in points if math.isfinite(value)] for name, points in curves.items()
    }
    return {name: points for name, points in finite.items() if points}
