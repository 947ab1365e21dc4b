"""Commands compute on the GPU if there is one."""

from pathlib import Path

import pytest
import torch

from eval.__main__ import load_model
from omni.runtime.device import default_device
from tests.tiny import tiny_model


@pytest.mark.parametrize(("there", "expected"), [(True, "cuda"), (False, "cpu")])
def test_the_default_is_the_gpu_if_there_is_one(there: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert default_device() == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_the_evaluation_asks_for_it(tiny_llm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model(tiny_llm).save(tmp_path / "model")
    assert load_model([str(tmp_path / "model")], None).device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match="--device 'cuda' cannot be used here"):
        load_model([str(tmp_path / "model")], None)
