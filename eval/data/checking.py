"""Check what lies in a folder against the official files of a benchmark."""

from dataclasses import dataclass, field
from pathlib import Path

from eval.data.benchmark import LeftOutError
from eval.data.opening import MissingFileError, open_official, split_of
from eval.data.repeats import Repeats
from eval.data.shards import shards_note
from eval.task import OFFICIAL
from omni.samples.messages import SampleError

_SHOWN = 3


@dataclass
class Found:
    """What was found of a split.

    Attributes:
        source: `official:NAME/SPLIT`.
        layout: the form in which the files lie; "" where they are not there.
        problem: why nothing can be read; "" where it can.
        num_items: items that can be used.
        num_expected: the official number; None where it is not known.
        bad: the items that cannot be used, by reason, the first ones; `num_bad` counts all.
        missing: the first media that are not there; `num_missing` counts all.
        left_out: the first rows that are no items, such as those that stand there twice; `num_left_out` counts all.
        missing_shards: files that are not there although the names of others count them in.
        notes: what else is to be known of the files, a sentence each.
    """

    source: str
    layout: str = ""
    problem: str = ""
    num_items: int = 0
    num_expected: int | None = None
    num_bad: int = 0
    num_missing: int = 0
    bad: list[SampleError] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    num_left_out: int = 0
    left_out: list[SampleError] = field(default_factory=list)
    missing_shards: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether all items are there and can be used, as far as their number is known."""
        whole = not self.problem and not self.num_bad and not self.missing_shards
        return whole and self.num_items == (self.num_expected or self.num_items)

    def leave_out(self, error: SampleError) -> None:
        """Count a row that is no item."""
        self.num_left_out += 1
        if len(self.left_out) < _SHOWN:
            self.left_out.append(error)


def check_split(source: str, folder: Path) -> Found:
    """Return what a folder holds of `official:NAME/SPLIT`. Every item is read; its media must be there.

    Raises:
        ValueError: there is no such benchmark or split.
    """
    _, name, split = split_of(source)
    found = Found(f"{source.partition('/')[0]}/{name}", num_expected=split.num_items)
    try:
        dataset = open_official(found.source, folder)
    except (ValueError, OSError) as error:
        found.problem = str(error)
        return found
    found.layout, found.missing_shards = dataset.layout.name, dataset.missing_shards
    repeats = Repeats(dataset)
    for index, entry in enumerate(dataset):
        if isinstance(entry, LeftOutError):
            found.leave_out(entry)
            continue
        if isinstance(entry, SampleError):
            found.num_bad += 1
            is_missing = isinstance(entry, MissingFileError)
            reason = entry
        elif (repeated := repeats.reason(index, entry)) is not None:
            found.leave_out(SampleError(entry.id, repeated))
            continue
        else:
            reason = _missing_file(entry.id, [media.path for media in entry.media])
            is_missing = reason is not None
            if reason is None:
                found.num_items += 1
                continue
            found.num_bad += 1
        if len(found.bad) < _SHOWN:
            found.bad.append(reason)
        if is_missing:
            found.num_missing += 1
            if len(found.missing) < _SHOWN:
                found.missing.append(reason.reason)
    found.notes = repeats.notes()
    return found


def _missing_file(sample_id: str, paths: list[str | list[str] | None]) -> SampleError | None:
    for path in paths:
        for file in [path] if isinstance(path, str) else path or ():
            if not Path(file).is_file():
                return SampleError(sample_id, f"{file} is not there")
            if not Path(file).stat().st_size:
                return SampleError(sample_id, f"{file} is empty (zero bytes); get it again")
    return None


def report(found: Found) -> str:
    """Return what was found of a split, as lines for people."""
    name = found.source.removeprefix(OFFICIAL)
    if found.problem:
        return f"{name}: {found.problem}"
    expected = "" if found.num_expected is None else f" of {found.num_expected:,}"
    lines = [f"{name} ({found.layout}): {found.num_items:,}{expected} items can be used"]
    lines += [f"  {note}" for note in (shards_note(found.missing_shards), *found.notes) if note]
    if found.num_left_out:
        lines.append(f"  rows that are left out: {found.num_left_out:,}, the first:")
        lines += [f"    {error.sample_id}: {error.reason}" for error in found.left_out]
    if found.num_missing:
        lines.append(f"  media missing: {found.num_missing:,}, the first: {found.missing[0]}")
    if found.num_bad:
        lines.append(f"  items that cannot be used: {found.num_bad:,}, the first:")
        lines += [f"    {error.sample_id}: {error.reason}" for error in found.bad]
    if found.num_expected is not None and found.num_items + found.num_bad != found.num_expected:
        lines.append(f"  the official number is {found.num_expected:,}; these files have another one")
    return "\n".join(lines)
