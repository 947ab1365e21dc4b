"""A JSONL file that grows row by row of its source, and goes on where it was after a kill at any byte.

FILE.progress, in the same folder, holds the settings and then one line for each row of the source that is done, with
the size that FILE had then. Anything that FILE holds beyond the last of these sizes was written for a row that was not
finished, and is cut off.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from train.runtime.save_errors import explain_failure


class ResumableOutput:
    """Append the results of each row of a source to `path`; a context manager, for one process at a time.

    Args:
        path: the JSONL file.
        settings: everything that decides what is written (JSON values); a file made with others is not continued.

    Raises (on entering):
        ValueError: another process writes the file, or it was made with other settings or by another program.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.progress = path.with_name(path.name + ".progress")
        self.settings = dict(settings)
        self.reports: list[dict[str, Any]] = []  # of the rows that are done
        self._lock = FileLock(str(path.with_name(f".{path.name}.lock")))

    def __enter__(self) -> "ResumableOutput":
        with explain_failure(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise ValueError(f"another process is writing {self.path}") from error
            try:
                self._recover()
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    @property
    def num_done(self) -> int:
        """Number of rows of the source that are done; they are the first ones."""
        return len(self.reports)

    def add(self, rows: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> None:
        """Write the results of the next row of the source: lines of the file, and a report on them (JSON values).

        Raises:
            SaveError: the disk is full or not writable.
        """
        with explain_failure(self.path):
            with self.path.open("ab") as file:
                file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
                file.flush()
                end = file.tell()
            self._append_progress({"end": end, **report})
        self.reports.append(dict(report))

    def _append_progress(self, values: Mapping[str, Any]) -> None:
        with self.progress.open("ab") as file:
            file.write((json.dumps(values, ensure_ascii=False) + "\n").encode())

    def _recover(self) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        lines = self.progress.read_bytes().split(b"\n")[:-1] if self.progress.exists() else []
        if not lines:
            if size:
                raise ValueError(f"{self.path} is there, but was not made by this command; choose another output")
            self.progress.unlink(missing_ok=True)
            self._append_progress({"settings": self.settings})
            return
        self._check_settings(json.loads(lines[0])["settings"])
        kept, end = lines[:1], 0
        for line in lines[1:]:
            report = json.loads(line)
            if report["end"] > size:  # after a power cut a file may be shorter than what was noted
                break
            end = report.pop("end")
            self.reports.append(report)
            kept.append(line)
        os.truncate(self.progress, sum(len(line) + 1 for line in kept))
        if size:
            os.truncate(self.path, end)

    def _check_settings(self, before: Mapping[str, Any]) -> None:
        names = sorted(before.keys() | self.settings.keys())
        problems = [
            f"{name}: {before.get(name)!r} before, {self.settings.get(name)!r} now"
            for name in names
            if before.get(name) != self.settings.get(name)
        ]
        if problems:
            raise ValueError(
                f"{self.path} was begun with other settings:\n  "
                + "\n  ".join(problems)
                + "\nChoose another --output, "
                "or begin anew with --restart (which deletes it)"
            )


def delete_output(path: Path) -> None:
    """Delete the files that `ResumableOutput` wrote."""
    for file in (path, path.with_name(path.name + ".progress")):
        file.unlink(missing_ok=True)
