"""Which checkpoint a run goes on from: the newest one that is whole."""

import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

from omni.model.folder import CONFIG_FILE
from omni.runtime.checksums import damaged_files, has_checksums
from train.run.checkpoints import LAST, STATE_FILE, WEIGHTS_FILE, step_folders

logger = logging.getLogger("train.resume")

_CARD = "README.md"  # for people: nothing is read from it, and the next save writes it anew


@dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint to go on from, and what to say about it, in whole sentences."""

    folder: Path
    notes: tuple[str, ...] = ()


def find_checkpoint(output_dir: Path, resume: str) -> FoundCheckpoint | None:
    """Return the newest whole checkpoint of a run, or None to begin anew; nothing is changed.

    The newest is last/; then come the copies step-NUMBER, which `train.keep` keeps.

    Raises:
        FileNotFoundError: `resume` is "must" and there is none.
        ValueError: what is there is no checkpoint of a run, or none is whole.
    """
    candidates = [] if resume == "never" else _candidates(output_dir)
    if not candidates:
        if resume == "must":
            last = output_dir / LAST
            raise FileNotFoundError(f"train.resume is must, but there is no {last}; use auto to begin a new run")
        return None
    damaged: list[str] = []
    for folder in candidates:
        problems = _problems(folder)
        if not problems:
            notes = [f"{line}; the run goes on from {folder.name}/" for line in damaged]
            return FoundCheckpoint(folder, (*notes, *_remarks(folder)))
        damaged.append(f"{folder} is damaged: {'; '.join(problems)}")
    raise ValueError(
        "no checkpoint of this run is whole:\n  "
        + "\n  ".join(damaged)
        + "\nBring back a copy of one, begin anew with "
        "--train.resume never (which deletes this run), or begin another run with init_from: "
        f"{output_dir}/best, if that is whole. train.keep keeps more checkpoints to go back to"
    )


def log_notes(found: FoundCheckpoint | None) -> None:
    """Say what is to be said about a checkpoint; for one process of a run."""
    for note in () if found is None else found.notes:
        logger.warning(note)


def _candidates(output_dir: Path) -> list[Path]:
    last = output_dir / LAST
    newest = next((folder for folder in (last, last.with_name(f"{LAST}.replaced")) if folder.exists()), None)
    return ([] if newest is None else [newest]) + [*reversed(step_folders(output_dir))]


def _problems(folder: Path) -> list[str]:
    """Return what is wrong with a checkpoint; of one without checksums, what shows without them.

    Raises:
        ValueError: the folder is whole, but no checkpoint of a run.
    """
    if has_checksums(folder):
        if not (folder / STATE_FILE).exists() and not damaged_files(folder):
            raise _no_checkpoint(folder)
        required = (STATE_FILE, WEIGHTS_FILE, CONFIG_FILE)
        return [problem for problem in damaged_files(folder, required) if not problem.startswith(f"{_CARD} ")]
    if not (folder / STATE_FILE).exists():
        raise _no_checkpoint(folder)
    return [problem for problem in (_problem_of_state(folder), _problem_of_weights(folder)) if problem]


def _remarks(folder: Path) -> list[str]:
    if not has_checksums(folder):
        return [f"{folder} has no checksums (an earlier version wrote it), so damage to it would go unnoticed"]
    return [
        f"{folder}: {problem}. The run goes on, since it reads nothing from there; its next save writes the card anew"
        for problem in damaged_files(folder)
    ]


def _problem_of_state(folder: Path) -> str:
    try:
        json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        return f"{STATE_FILE} cannot be read ({error})"
    return ""


def _problem_of_weights(folder: Path) -> str:
    """torch writes ZIP archives, which have checksums of their own."""
    try:
        with zipfile.ZipFile(folder / WEIGHTS_FILE) as archive:
            wrong = archive.testzip()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        return f"{WEIGHTS_FILE} cannot be read ({error})"
    return "" if wrong is None else f"{WEIGHTS_FILE} is damaged"


def _no_checkpoint(folder: Path) -> ValueError:
    return ValueError(
        f"{folder} has no {Path(STATE_FILE).parent}, so it cannot be continued; use it as init_from of another run"
    )
