"""All rows of a data set, or many of them, as the reader gives them: what cannot be read, and what has no media."""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from omni.readers.modality_of_file import MODALITY_OF_EXTENSION
from omni.readers.row_digest import evenly_spread
from omni.readers.sources import Source
from omni.samples.messages import Sample, SampleError
from train.preflight.view import Report

_MOST_ROWS = 2000  # that are read of one data set; media are not
_SHOWN = 5
# what stands for a medium in the texts of several models: <image>, <|image|>, <image_1>, <ImageHere>, [IMG]
_WORDS = "image|img|picture|photo|video|frames|audio|sound|speech|depth|thermal|point_cloud|point|imu"
_MARK = re.compile(rf"<\|?({_WORDS})[^<>\n]{{0,12}}>|\[({_WORDS})\]", re.IGNORECASE)


@dataclass
class RowsFound:
    """What reading rows of a data set gave.

    Attributes:
        unreadable: rows that are errors.
        without_media: ids of rows that have no media.
        marked: id -> the mark of a medium in the text of a row without media.
        files: id -> key and value of a row without media which look like a medium that is not read.
    """

    num_read: int = 0
    unreadable: list[SampleError] = field(default_factory=list)
    without_media: list[str] = field(default_factory=list)
    marked: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, str]] = field(default_factory=dict)


def check_rows(
    source: Source, modalities: Collection[str], num_prepared: int, max_bad_share: float, report: Report
) -> None:
    """Read the rows of a data set and report those that are errors, and those that should have media and have none.

    Rows of shards are not read: that takes as long as training on them.

    Args:
        source: the data set.
        modalities: those of the model; without any, rows need no media.
        num_prepared: how many rows are prepared later; a data set of no more is reported then.
        max_bad_share: `data.max_bad_share`.
        report: where to.
    """
    if source.dataset.stream is not None:
        return
    found = read_rows(source)
    of_all = "" if found.num_read == source.size else f" (of {source.size:,})"
    if found.unreadable and source.size > num_prepared:
        share = len(found.unreadable) / found.num_read
        lines = [f"{source.name}: {len(found.unreadable):,} of {found.num_read:,} rows{of_all} cannot be read"]
        lines += [f"  {error.sample_id}: {error.reason}" for error in found.unreadable[:_SHOWN]]
        (report.problem if share > max_bad_share or share == 1 else report.warning)("rows", "\n".join(lines))
    if found.without_media and modalities:
        report.warning("media", "\n".join(_without_media(source, found, modalities, of_all)))


def read_rows(source: Source) -> RowsFound:
    """Read up to two thousand rows, evenly spread over the data set."""
    found = RowsFound()
    for row in evenly_spread(source.rows, _MOST_ROWS):
        sample = source.dataset[row]
        found.num_read += 1
        if isinstance(sample, SampleError):
            found.unreadable.append(sample)
        elif not sample.media:
            found.without_media.append(sample.id)
            if mark := next((match for turn in sample.messages if (match := _MARK.search(turn.text))), None):
                found.marked[sample.id] = mark[0]
            if file := _file_in(sample):
                found.files[sample.id] = file
    return found


def _file_in(sample: Sample) -> tuple[str, str] | None:
    for key, value in sample.meta.items():
        values: Sequence[object] = value if isinstance(value, list) else [value]
        for one in values:
            if isinstance(one, str) and os.path.splitext(one)[1].lower() in MODALITY_OF_EXTENSION:
                return key, one
    return None


def _without_media(source: Source, found: RowsFound, modalities: Collection[str], of_all: str) -> list[str]:
    count, first = len(found.without_media), found.without_media[0]
    if count == found.num_read:
        rows = f"none of the {count:,} rows{of_all} holds any media"
    else:
        rows = f"{count:,} of {found.num_read:,} rows{of_all} hold no media"
    lines = [
        f"{source.name}: {rows}, such as {first}, though the model has {', '.join(sorted(modalities))}; of such rows "
        "the LLM reads the text alone, and they train no adapter"
    ]
    for sample_id, mark in [*found.marked.items()][:_SHOWN]:
        lines.append(f"  {sample_id}: its text has {mark!r}, but it has no medium: the mark is read as a word")
    for sample_id, (key, value) in [*found.files.items()][:_SHOWN]:
        read = "options: {media: {" + key + ": MODALITY}} makes it a medium"
        lines.append(f"  {sample_id}: its key {key!r} names {value!r}, which is not read; {read}")
    return lines
