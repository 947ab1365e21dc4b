"""Where features are kept unless a recipe or a command names another folder."""

from pathlib import Path

from omni.starter import home


def default_directory() -> Path:
    """Return `$OMNI_HOME/features`, which all runs of a user share."""
    return home() / "features"
