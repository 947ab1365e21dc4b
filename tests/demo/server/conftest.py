"""One server over tiny models for all tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from omni.model import OmniModel
from tests.demo.server.serving import Running, serving
from tests.tiny import tiny_model
from tests.tiny_space import tiny_space


@pytest.fixture(scope="session")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm).eval()


@pytest.fixture(scope="module")
def server(model: OmniModel) -> Iterator[Running]:
    with serving(model, tiny_space()) as running:
        yield running
