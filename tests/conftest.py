"""Fixtures that many tests share."""

from pathlib import Path

import pytest

from omni.starter import home
from tests.tiny import tiny_llm_dir


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OMNI_HOME of the tests' own, with the fetched starter assets in it: what they record is not the user's."""
    fetched, folder = home(), tmp_path_factory.mktemp("home")
    for name in ("weights", "data"):
        (fetched / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(fetched / name)
    patch = pytest.MonkeyPatch()
    patch.setenv("OMNI_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random LLM, written once."""
    return tiny_llm_dir(tmp_path_factory.mktemp("tiny") / "llm")
