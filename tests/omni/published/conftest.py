"""Fixtures that the tests of imports share."""

import pytest

from tests.omni.published.workspace import Files


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("published"))
