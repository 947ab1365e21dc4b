"""Packages that only some features need: imported on use, with an error that says what to install."""

import importlib
from typing import Any


def import_extra(module: str, extra: str, feature: str) -> Any:
    """Import a module of the extra `omni[extra]`; `feature` says in words what needs it.

    Raises:
        ModuleNotFoundError: it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ModuleNotFoundError(f"{feature} need {error.name}: pip install 'omni[{extra}]'", name=module) from error
