"""The examples of docs/serving.md, against a server over tiny models."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from demo.server.limits import Limits
from omni.config import ModelConfig, from_dict
from omni.model import OmniModel, build_model
from tests.demo.server import serving as server_of_tests
from tests.demo.server.serving import Running, serving
from tests.documents import Block, blocks
from tests.tiny_space import tiny_space

EXAMPLES = [one for one in blocks("python", "sh") if one.values[0].document.name == "serving.md"]


def _model(llm: Path) -> OmniModel:
    modalities = {
        name: {"encoder": {"class_path": encoder}, "adapter": {"class_path": "adapters.Linear"}}
        for name, encoder in {"image": "tests.test_readme.TinyPicture", "sound": "tests.test_readme.TinySound"}.items()
    }
    torch.manual_seed(0)
    return build_model(from_dict(ModelConfig, {"llm": {"name": str(llm)}, "modalities": modalities}))


@pytest.fixture(scope="module")
def quickstart(tiny_llm: Path) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_of_tests, "MODEL", "quickstart")
        patch.setattr(server_of_tests, "SPACE", "starter-bind")
        with serving(_model(tiny_llm).eval(), tiny_space(), Limits(max_tokens=20)) as running:
            yield running


def test_there_are_examples_of_every_kind() -> None:
    texts = [one.values[0].text for one in EXAMPLES]
    for words in ("curl", "chat.completions", "urlopen", "embeddings.create", "decisions.create"):
        assert any(words in text for text in texts), words


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_runs(
    block: Block,
    quickstart: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8), "green").save("frog.png")
    soundfile.write("frog.ogg", np.sin(np.arange(1600) / 5), 16000)
    text = block.text.replace("http://127.0.0.1:8000", quickstart.url)
    assert text != block.text
    if block.language == "python":
        exec(compile(text, f"serving.md:{block.line}", "exec"), {"__name__": "example"})
        assert capsys.readouterr().out.strip()
    elif shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    else:
        done = subprocess.run(["bash", "-euc", text], capture_output=True, text=True, check=True)
        assert '"finish_reason"' in done.stdout
