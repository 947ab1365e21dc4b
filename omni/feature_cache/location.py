"""The folder of the cache unless a recipe or a command names another one."""

from pathlib import Path

from omni.starter import home


def default_directory() -> Path:
    """Return `$OMNI_HOME/features`, which all runs of a user share."""
    return home() / "features"
