"""The confusion matrix of a task: as a heat map where its classes can be read, and as the pairs most often confused."""

from collections import Counter

from markupsafe import Markup, escape

from eval.metrics.confusion import Confusion
from eval.run.results import TaskResult

MOST_CLASSES = 60
SMALL = 20  # classes up to which each cell has room for its number
_NUM_PAIRS = 10
_LETTER_WIDTH, _LONGEST = 6.4, 24


def confusion_of(task: TaskResult) -> Confusion | None:
    """Return the confusion of a task: what its scorer found, or else its answers, where all items share the classes.

    Of a tie the first answer counts. None where there are no such classes.
    """
    if task.confusion is not None:
        return task.confusion
    if not str(task.settings.get("candidates", "")).startswith("labels") or not task.percent:
        return None
    found = Counter((item.target, item.answer) for item in task.items if item.top)
    if not found:
        return None
    labels = sorted({label for pair in found for label in pair})
    number = {label: index for index, label in enumerate(labels)}
    cells = sorted((number[right], number[said], float(count)) for (right, said), count in found.items())
    return Confusion(tuple(labels), tuple(cells))


def confused_pairs(confusion: Confusion, number: int = _NUM_PAIRS) -> list[list[str]]:
    """Return the pairs most often confused as rows of a table: right class, class that was said, how often."""
    return [[right, said, f"{count:g} ({share:.0%})"] for right, said, count, share in confusion.most_confused(number)]


def confusion_map(confusion: Confusion) -> Markup:
    """Draw the matrix as inline SVG, one row a right class, shaded by its share of the row; empty above 60 classes."""
    labels = [label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…" for label in confusion.labels]
    number = len(labels)
    if number > MOST_CLASSES:
        return Markup("")
    size = 28 if number <= SMALL else 15
    margin = round(14 + _LETTER_WIDTH * max(map(len, labels)))
    totals = confusion.matrix().sum(1)
    side = margin + size * number + 4
    parts: list[str] = []
    for index, label in enumerate(labels):
        middle = margin + size * index + size / 2
        end = margin + size * number
        parts.append(f'<line class="grid" x1="{margin}" x2="{end}" y1="{middle}" y2="{middle}"/>')
        parts.append(f'<text class="tick" x="{margin - 6}" y="{middle}" text-anchor="end">{escape(label)}</text>')
        parts.append(
            f'<text class="tick" x="{middle}" y="{margin - 6}" text-anchor="start" '
            f'transform="rotate(-90 {middle} {margin - 6})">{escape(label)}</text>'
        )
    for row, column, count in confusion.cells:
        share = count / totals[row]
        kind = "right" if row == column else "wrong"
        title = f"{confusion.labels[row]} taken for {confusion.labels[column]}: {count:g} of {totals[row]:g}"
        x, y = margin + size * column, margin + size * row
        # Between a third and all there is no shade on which either ink can be read.
        strong = share > 0.5
        opacity = 1.0 if strong else 0.08 + 0.5 * share
        parts.append(
            f'<rect class="cell {kind}" x="{x}" y="{y}" width="{size - 1}" height="{size - 1}" rx="2" '
            f'fill-opacity="{opacity:.2f}"><title>{escape(title)}</title></rect>'
        )
        if number <= SMALL:
            place = f'x="{x + (size - 1) / 2}" y="{y + size / 2}"'
            parts.append(f'<text class="count{" strong" if strong else ""}" {place}>{count:.3g}</text>')
    return Markup(
        f'<svg class="confusion" viewBox="0 0 {side} {side}" style="width:{side}px" role="img" '
        f'aria-label="confusion matrix">{"".join(parts)}</svg>'
    )
