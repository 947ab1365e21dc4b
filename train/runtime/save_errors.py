"""Writing into the output folder: whatever the disk does not take becomes one clear error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors

from omni.runtime.files import remove_abandoned


class SaveError(RuntimeError):
    """Something could not be written to the output folder; the checkpoint in last/, if there is one, is whole."""


@contextmanager
def explain_failure(path: Path) -> Iterator[None]:
    """What goes wrong with writing `path` in the block leaves it as a SaveError that names it."""
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SaveError(
            f"could not write {path}: {reason}. Make room or fix the permissions and run the same command again: it "
            "continues from last/, whose checkpoint is whole"
        ) from error


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file.

    Raises:
        SaveError: the disk is full or not writable.
    """
    with explain_failure(path), path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def prepare_output(folder: Path) -> None:
    """Make the output folder, without what killed processes left, and try to write in it: better now than after hours.

    Raises:
        ValueError: it cannot be made, or nothing can be written there.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        probe.write_text("x", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"train.output_dir: nothing can be written to {folder} ({error.strerror or error}); choose another folder, "
            "or fix its permissions or the room on its disk"
        ) from error
