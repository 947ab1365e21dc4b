"""The answer cache: a request that a model has answered is never put again, also after a kill.

One SQLite file; every batch is committed when it is answered. The key holds the model's fingerprint, so a changed model
asks anew. Of several processes each writes into a file of its own, which the first one takes in: SQLite is not safe for
several machines on one network disk.
"""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from eval.items.prefix import digest
from eval.run.requests import REQUEST_VERSION


class AnswerCache:
    """Answers of one model by request.

    Args:
        path: the file, which is made, with its folders, if it is missing. None keeps the answers in memory only.
        fingerprint: the model's (`OmniModel.fingerprint`), part of every key.

    Raises:
        ValueError: the file exists and is no answer cache.
    """

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(":memory:" if path is None else path, timeout=60)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: sqlite3.DatabaseError) -> ValueError:
        if "locked" in str(error):
            return ValueError(f"another process has been writing to {self.path} for a minute; wait until it ends")
        return ValueError(f"{self.path} is no answer cache ({error}); remove it or choose another --output")

    def key(self, *request: Any) -> str:
        """Return the key of a request, which is given by JSON values."""
        return digest([REQUEST_VERSION, self.fingerprint, *request])

    def get(self, key: str) -> Any | None:
        """Return the answer that is stored under a key, or None.

        Raises:
            ValueError: the file is damaged.
        """
        try:
            row = self._connection.execute("SELECT value FROM answers WHERE key = ?", (key,)).fetchone()
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error
        return None if row is None else json.loads(row[0])

    def put(self, answers: Mapping[str, Any]) -> None:
        """Store answers by key, all or none, and make them durable.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        if not answers:
            return
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?)",
                    [(key, json.dumps(value)) for key, value in answers.items()],
                )
        except sqlite3.OperationalError as error:
            raise OSError(f"cannot write answers to {self.path} ({error}); earlier ones are kept") from error

    def take_in_others(self) -> None:
        """Take in the files that other processes of a launch left, which was stopped; and remove them.

        Raises:
            ValueError: one of them is no answer cache.
        """
        if self.path is None:
            return
        for path in sorted(self.path.parent.glob(f"{self.path.stem}-[0-9]*{self.path.suffix}")):
            with AnswerCache(path, self.fingerprint) as other:
                try:
                    rows = other._connection.execute("SELECT key, value FROM answers").fetchall()
                except sqlite3.DatabaseError as error:
                    raise other._damaged(error) from error
            self.put({key: json.loads(value) for key, value in rows})
            remove_cache(path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __len__(self) -> int:
        return self._connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0]

    def __enter__(self) -> "AnswerCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def of_process(path: Path, rank: int) -> Path:
    """Return the file in which process `rank` of a launch keeps its answers, next to that of the first one."""
    return path.with_name(f"{path.stem}-{rank}{path.suffix}")


def remove_cache(path: Path) -> None:
    """Remove the file of a cache that is closed, with what SQLite may have left next to it."""
    for ending in ("", "-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
