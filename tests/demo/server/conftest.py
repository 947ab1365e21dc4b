"""One server over tiny models for all tests of a file."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omni.model import OmniModel
from tests.demo.server.serving import Running, serving
from tests.tiny import tiny_model
from tests.tiny_space import tiny_space


@pytest.fixture(autouse=True)
def environment_as_it_was() -> Iterator[None]:
    """The command sets limits of its process, which is that of all tests where one calls its `main`."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def model(tiny_llm: Path) -> OmniModel:
    return tiny_model(tiny_llm).eval()


@pytest.fixture(scope="module")
def server(model: OmniModel) -> Iterator[Running]:
    with serving(model, tiny_space()) as running:
        yield running
