"""README.md and docs/ as the tests read them: blocks, code in the running text, tables, headings."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted((REPOSITORY / "docs").glob("modalities/*.md")),
]


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: Path
    line: int
    language: str
    text: str

    @property
    def file_name(self) -> str | None:
        """`my_tasks.py` of a block that begins with `# my_tasks.py`."""
        match = re.match(r"# (\w+\.py)\n", self.text)
        return match[1] if match else None


def blocks(*languages: str, without: str = "") -> list[Any]:
    """The blocks of all documents but one in these languages, as parameters of a test."""
    found = []
    for document in DOCUMENTS:
        if document.name == without:
            continue
        text = document.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if match[1] in languages:
                line = text.count("\n", 0, match.start()) + 1
                block = Block(document, line, match[1], match[2])
                found.append(pytest.param(block, id=f"{document.name}:{line}"))
    return found


def inline_code() -> Iterator[str]:
    """Every `code` in the running text of all documents."""
    for document in DOCUMENTS:
        text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text))


def cells(document: str, header: str, column: int = 1) -> set[str]:
    """Return the names in code in a column (from 1) of the table whose header line begins with `header`."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    table = text[text.index(header) :].split("\n\n")[0].splitlines()[2:]
    return {name for line in table for name in re.findall(r"`([^`]+)`", line.split("|")[column])}


def headings(document: Path) -> set[str]:
    """The anchors of the headings of a document."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def extras() -> set[str]:
    """The extras of the project."""
    return {*tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]}
