"""Check that a path is a folder of ours before anything that takes long to import is imported."""

from pathlib import Path

from omni.runtime.files import recover_directory

CONFIG_FILE = "config.yaml"
_WRITTEN_BY_TRAINING = ("best", "last")  # folders inside that of a run


def check_model_folder(path: Path, key: str = "", kind: str = "model folder") -> None:
    """Check that `path` looks like a saved model or joint space.

    Args:
        path: the folder.
        key: option or key of a recipe that names it, such as `--model`, with which the error begins.
        kind: what the error says the folder is not.

    Raises:
        FileNotFoundError: it does not exist, or has no `config.yaml`.
    """
    begin = f"{key}: " if key else ""
    recover_directory(path)
    if not path.is_dir():
        what = f"{path} is a file, and no {kind}" if path.exists() else f"there is no folder {path}"
        raise FileNotFoundError(
            f"{begin}{what}. Give a folder that training wrote, such as RUN/best; `make quickstart` trains one"
        )
    if not (path / CONFIG_FILE).is_file():
        inside = [path / name for name in _WRITTEN_BY_TRAINING if (path / name / CONFIG_FILE).is_file()]
        hint = f"Did you mean {inside[0]}?" if inside else "Give a folder that training wrote, such as RUN/best"
        raise FileNotFoundError(f"{begin}{path} is no {kind}: it has no {CONFIG_FILE}. {hint}")
