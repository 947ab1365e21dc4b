"""Fixtures that many tests share."""

from pathlib import Path

import pytest

from tests.tiny import tiny_llm_dir


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random LLM, written once."""
    return tiny_llm_dir(tmp_path_factory.mktemp("tiny") / "llm")
