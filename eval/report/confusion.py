"""The confusion matrix of a task: as a heat map where its classes can be read, and as the pairs most often confused."""

from markupsafe import Markup, escape

from eval.metrics.confusion import Confusion

MOST_CLASSES = 60
_NUM_PAIRS = 10
_LETTER_WIDTH, _LONGEST = 6, 28


def confused_pairs(confusion: Confusion, number: int = _NUM_PAIRS) -> list[list[str]]:
    """Return the pairs most often confused as rows of a table: right class, class that was said, how often."""
    return [[right, said, f"{count:g} ({share:.0%})"] for right, said, count, share in confusion.most_confused(number)]


def confusion_map(confusion: Confusion) -> Markup:
    """Draw the matrix as inline SVG, one row a right class, shaded by its share of the row; empty above 60 classes."""
    labels = [label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…" for label in confusion.labels]
    number = len(labels)
    if number > MOST_CLASSES:
        return Markup("")
    size = 26 if number <= 20 else 14
    margin = 12 + _LETTER_WIDTH * max(map(len, labels))
    matrix = confusion.matrix()
    totals = matrix.sum(1)
    parts: list[str] = []
    for index, label in enumerate(labels):
        middle = margin + size * index + size / 2
        parts.append(f'<text class="tick" x="{margin - 6}" y="{middle}" text-anchor="end">{escape(label)}</text>')
        parts.append(
            f'<text class="tick" x="{middle}" y="{margin - 6}" text-anchor="start" '
            f'transform="rotate(-90 {middle} {margin - 6})">{escape(label)}</text>'
        )
    for row, column, count in confusion.cells:
        share = count / totals[row]
        kind = "own" if row == column else "other"
        title = f"{confusion.labels[row]} taken for {confusion.labels[column]}: {count:g} of {totals[row]:g}"
        x, y = margin + size * column, margin + size * row
        parts.append(
            f'<rect class="bar {kind}" x="{x}" y="{y}" width="{size - 1}" height="{size - 1}" '
            f'fill-opacity="{0.15 + 0.85 * share:.2f}"><title>{escape(title)}</title></rect>'
        )
    side = margin + size * number + 4
    return Markup(
        f'<svg class="confusion" viewBox="0 0 {side} {side}" style="max-width:{side}px" role="img" '
        f'aria-label="confusion matrix">{"".join(parts)}</svg>'
    )
