"""Packages that only some features need: imported when they are, with an error that says what to install."""

import importlib
from typing import Any


def import_extra(module: str, extra: str, feature: str) -> Any:
    """The module, which the extra `omni[extra]` brings; `feature` is what it is needed for, in words.

    Raises:
        ModuleNotFoundError: it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ModuleNotFoundError(f"{feature} need {error.name}: pip install 'omni[{extra}]'", name=module) from error
