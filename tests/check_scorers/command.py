"""The command: every comparison, one line each."""

import argparse
import fnmatch
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from eval.scorers import SCORERS
from tests.check_scorers import (
    captions,
    classes,
    clean_answers,
    groups,
    judge,
    likelihoods,
    mmmu,
    option_letters,
    refusal,
    retrieval,
    short_answers,
    summaries,
    transcriptions,
    two_media,
    yes_no,
)
from tests.check_scorers.comparing import TOLERANCE, Outcome
from tests.check_scorers.wheels import Wheels

_HEADS = ("compared", "figure", "reference", "cases", "largest difference")


def outcomes(number: int, wheels: Wheels) -> Iterator[Outcome]:
    """Yield one line a comparison of scorers with references that need no Java.

    Args:
        number: of generated cases; what is counted in sets has fewer lines and as many items.
        wheels: of the packages whose code is compared too.
    """
    yield from captions.restated(number)
    yield from short_answers.short_answers(number, wheels)
    yield from clean_answers.clean_answers(number)
    yield from option_letters.ours(number)
    yield from option_letters.published(number, wheels)
    yield from likelihoods.choices(number)
    yield from likelihoods.conflicts(number)
    yield from likelihoods.likeliest_yes(number)
    yield from likelihoods.comparisons(number)
    yield from groups.restated(number)
    yield from groups.published(number, wheels)
    yield from summaries.summaries(number)
    yield from summaries.by_wordnet(number)
    yield from mmmu.mmmu(number, wheels)
    yield from yes_no.yes_and_no(number, wheels)
    yield from classes.figures_of_sets(number)
    yield from classes.whole_sets(number)
    yield from two_media.two_media(number)
    yield from judge.replies(number, wheels)
    yield from judge.verdicts(number)
    yield from refusal.refusals(number)
    yield from transcriptions.english(number)
    yield from transcriptions.others(number)
    yield from retrieval.ranks(number)
    yield from retrieval.queries(number)


def without_reference(found: Sequence[Outcome]) -> set[str]:
    """Return the shipped scorers that no line names; `*` in a line stands for any part of a name."""
    return {name for name in SCORERS if not any(fnmatch.fnmatchcase(name, one.scorer) for one in found)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a comparison; return 1 if a difference is above the tolerance."""
    summary = "Compare scorers with their references on at least 1,000 generated cases each."
    parser = argparse.ArgumentParser(prog="python -m tests.check_scorers", description=summary)
    parser.add_argument("--cases", type=int, default=1000, metavar="N", help="generated cases of each (%(default)s)")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="a folder of wheels whose code is compared too")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    wheels = Wheels(options.wheels)
    wheels.report_missing()
    found = [*captions.java(), *outcomes(options.cases, wheels)]
    if left := sorted(without_reference(found)):
        print(f"not compared: {', '.join(left)}", file=sys.stderr)
    print("\n".join(_lines(found, options.markdown)))
    return int(any(one.largest > TOLERANCE for one in found))


def _lines(found: Sequence[Outcome], markdown: bool) -> Iterator[str]:
    rows = [(one.scorer, one.figure, one.reference, f"{one.cases:,}", f"{one.largest:.1e}") for one in found]
    if markdown:
        yield f"| {' | '.join(_HEADS)} |"
        yield "|---|---|---|---|---|"
        yield from (f"| `{row[0]}` | {' | '.join(row[1:])} |" for row in rows)
        return
    widths = [max(map(len, column)) for column in zip(_HEADS, *rows, strict=True)]
    for row in (_HEADS, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
