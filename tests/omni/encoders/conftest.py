"""Folders of tiny models; one thread, since these networks are too small to gain from more, and crawl if it is busy."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.omni.encoders.tiny_families import FAMILIES


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family -> folder of its tiny model, as a user would have it."""
    folders: dict[str, Path] = {}

    def save(family: str) -> Path:
        if family not in folders:
            torch.manual_seed(0)
            model, processor = FAMILIES[family]()
            folders[family] = tmp_path_factory.mktemp("model")
            model.save_pretrained(folders[family])
            processor.save_pretrained(folders[family])
        return folders[family]

    return save
