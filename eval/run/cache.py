"""The answer cache: a request that a model has answered is never put again, also after a kill.

One SQLite file; every batch is committed when it is answered. The key holds the model's fingerprint, so a changed model
asks anew.
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
            raise ValueError(f"{path} is no answer cache ({error}); remove it or choose another --output") from error

    def key(self, *request: Any) -> str:
        """Return the key of a request, which is given by JSON values."""
        return digest([REQUEST_VERSION, self.fingerprint, *request])

    def get(self, key: str) -> Any | None:
        """Return the answer that is stored under a key, or None."""
        row = self._connection.execute("SELECT value FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, answers: Mapping[str, Any]) -> None:
        """Store answers by key, all or none, and make them durable.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?)",
                    [(key, json.dumps(value)) for key, value in answers.items()],
                )
        except sqlite3.OperationalError as error:
            raise OSError(f"cannot write answers to {self.path} ({error}); earlier ones are kept") from error

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
