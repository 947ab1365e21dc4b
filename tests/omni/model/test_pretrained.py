"""Models under the names that transformers gives these steps: folders, and what the hub says when it is not there."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from omni.joint_space import JointSpace
from omni.model import OmniModel
from tests.tiny import tiny_model


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there


def test_saved_folder_is_loaded_with_the_arguments_of_load(tiny_llm: Path, tmp_path: Path) -> None:
    model = tiny_model(tiny_llm)
    model.save_pretrained(tmp_path / "saved")
    loaded = OmniModel.from_pretrained(tmp_path / "saved", device="cpu", dtype="float32")
    assert loaded.fingerprint() == model.fingerprint()
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*/other"):
        OmniModel.from_pretrained(tmp_path / "other")


@pytest.mark.usefixtures("no_hub")
def test_hub_that_cannot_be_reached_is_said_with_the_way_out(tiny_llm: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^from_pretrained: 'me/model' is no folder here, and 127\.0\.0\.1:9"):
        OmniModel.from_pretrained("me/model")
    with pytest.raises(FileNotFoundError, match=r"^from_pretrained: 'me/space' is no folder here"):
        JointSpace.from_pretrained("me/space")
    model = tiny_model(tiny_llm)
    with pytest.raises(ConnectionError, match=r"^push_to_hub: 127\.0\.0\.1:9 cannot be reached; .*`hf upload`"):
        model.push_to_hub("me/model", token="hf_none")
    with pytest.raises(ValueError, match=r"^push_to_hub: 'a/b/c' is no id of the hub"):
        model.push_to_hub("a/b/c")
