"""Open a split of a benchmark, `official:NAME/SPLIT`, in the folder that holds its official files."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from eval.data.benchmark import Benchmark, Layout, LeftOutError, Record, Split
from eval.data.catalogue import BENCHMARKS
from eval.data.files import Files
from eval.data.hub import ReadRecords
from eval.data.shards import missing_shards
from eval.data.spill import Spill
from eval.task import OFFICIAL
from omni.readers.dataset import SampleDataset
from omni.readers.row_digest import bytes_of_row, hash_of
from omni.samples.messages import Sample, SampleError, parse_sample


class MissingFileError(SampleError):
    """An item whose medium is not there."""


class OfficialDataset(SampleDataset):
    """The items of a split as samples; one that cannot be used is a `SampleError` of its own.

    Attributes:
        layout: the form in which the files lie.
        files: of the folder.
        records: as the files have them.
        missing_shards: the files that are not there although the names of others count them in.
    """

    def __init__(self, layout: Layout, files: Files) -> None:
        """Read the records; see `Layout.read` for errors."""
        self.layout = layout
        self.files = files
        self.records: Sequence[Record] = layout.read(files)
        names = [path.relative_to(files.folder) for path in layout.found(files)]
        self.missing_shards = missing_shards(names, layout.hub.split if layout.hub else "")
        self._spill = Spill()

    def __len__(self) -> int:
        return len(self.records)

    def _read(self, index: int) -> Sample:
        place = f"item {index + 1}"
        try:
            record = self.records[index]
            row = self.layout.row(record, self.files)
        except LeftOutError:
            raise
        except FileNotFoundError as error:
            raise MissingFileError(_id_of(self.records[index]) or place, str(error)) from error
        except (ValueError, OSError) as error:
            raise SampleError(_id_of(self.records[index]) or place, _reason(error)) from error
        return self._spill.lightened(parse_sample(row, default_id=place))

    def place(self, index: int) -> str:
        if isinstance(self.records, ReadRecords):
            return self.records.place(index)
        names = [path.name for path in self.layout.found(self.files)[:2]]
        return f"item {index + 1} of {' and '.join(names)}"

    def fingerprint(self, rows: Sequence[int]) -> str:
        return hash_of(bytes_of_row(self.records[row]) for row in rows)


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, SampleError) else str(error)


def _id_of(record: Record) -> str | None:
    """Return what a record that cannot be used is called in its file, if it says."""
    for key in (
        "id",
        "question_id",
        "questionId",
        "qid",
        "index",
        "Index",
        "image_id",
        "audio_id",
        "video_id",
        "video",
    ):
        if isinstance(record.get(key), str | int):
            return str(record[key])
    return next((str(value)[:80] for value in record.values() if isinstance(value, str | int)), None)


def get_benchmark(name: str) -> Benchmark:
    """Return the benchmark of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in BENCHMARKS:
        close = difflib.get_close_matches(name, BENCHMARKS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ValueError(f"there is no benchmark {name!r}; {hint}`python -m eval data` lists them")
    return BENCHMARKS[name]


def split_of(source: str) -> tuple[Benchmark, str, Split]:
    """Return benchmark, name of the split, and split of `official:NAME/SPLIT`; without a split, the first one.

    Raises:
        ValueError: there is no such benchmark or split.
    """
    name, _, split = source.removeprefix(OFFICIAL).partition("/")
    benchmark = get_benchmark(name)
    split = split or next(iter(benchmark.splits))
    if split not in benchmark.splits:
        raise ValueError(f"{benchmark.name} has no split {split!r}; it has {', '.join(benchmark.splits)}")
    return benchmark, split, benchmark.splits[split]


def open_official(source: str, folder: Path | str | None) -> OfficialDataset:
    """Return the items of `official:NAME/SPLIT`.

    Args:
        source: names benchmark and split.
        folder: where its files lie, or a folder that has one named as the benchmark.

    Raises:
        ValueError: there is no such benchmark, no folder is named, or files that are needed are not there.
        FileNotFoundError: there is no such folder.
    """
    benchmark, split, declared = split_of(source)
    help = f"`python -m eval data {benchmark.name}` says what must lie where"
    if folder is None:
        raise ValueError(f"{benchmark.title} needs its official files: give their folder as --data FOLDER; {help}")
    files = Files(own_folder(Path(folder), benchmark.name))
    layout = find_layout(declared, files, f"{benchmark.name}/{split}", help)
    try:
        return OfficialDataset(layout, files)
    except (ValueError, OSError) as error:
        raise ValueError(f"{benchmark.name}/{split} ({layout.name}): {error}; {help}") from error


def own_folder(folder: Path, name: str) -> Path:
    """Return the folder of that name in `folder`, where several benchmarks lie side by side, else `folder` itself."""
    return folder / name if (folder / name).is_dir() else folder


def find_layout(split: Split, files: Files, name: str, help: str) -> Layout:
    """Return the first layout whose files are all there.

    Raises:
        ValueError: there is none; the message lists what each lacks.
    """
    missing = {layout.name: layout.missing(files) for layout in split.layouts}
    for layout in split.layouts:
        if not missing[layout.name]:
            return layout
    lacking = "; ".join(f"{form} layout: no {', no '.join(names)}" for form, names in missing.items())
    raise ValueError(f"the files of {name} are not in {files.folder} ({lacking}); {help}")
