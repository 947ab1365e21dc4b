"""The cells of a table of text, and the quotation marks in it that do not open and close as they should (RFC 4180)."""

import csv
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence


class QuoteError(ValueError):
    """A quotation mark that would join cells or rows which belong apart; the message begins with the line's number."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"line {self.line}: a quotation mark that opens there {self.reason}; close it at the end of its cell, and "
            "double every quotation mark within a quoted cell"
        )


def read_cells(
    text: str, separator: str, *, has_quotes: bool = True, is_row: Callable[[Sequence[str]], bool] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line and the cells of each row.

    Only line feeds and carriage returns outside quotation marks end a row.

    Args:
        text: the table.
        separator: the character between the cells.
        has_quotes: whether quotation marks enclose cells; otherwise they are a part of them.
        is_row: whether the cells of a line are a row's; a quoted cell must hold no such line after its first one.

    Raises:
        QuoteError: a quotation mark is not closed, text follows the closing one, or lines between them are rows.
    """
    csv.field_size_limit(sys.maxsize)  # pictures in base64 are longer than 128 KB
    quoting = csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, quoting=quoting, skipinitialspace=True, strict=has_quotes)
    first_line = 1
    try:
        for cells in reader:
            if is_row is not None:
                _check_line_breaks(first_line, cells, separator, is_row)
            yield reader.line_num, cells
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise QuoteError(first_line, f"is not closed as it should be (line {reader.line_num}: {error})") from error


def _check_line_breaks(
    first_line: int, cells: Sequence[str], separator: str, is_row: Callable[[Sequence[str]], bool]
) -> None:
    line = first_line
    for cell in cells:
        _, *further = re.split(r"\r\n|\r|\n", cell)
        for number, text in enumerate(further, start=line + 1):
            if is_row(next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])):
                raise QuoteError(line, f"takes in line {number}, which looks like a row of its own")
        line += len(further)
