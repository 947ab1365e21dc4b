"""Folders of transformers are data: code that comes with one is never run, and nobody is asked whether it should be."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from omni.config import LLMConfig
from omni.encoders import HuggingFaceEncoder, TextEncoder
from omni.llm.loading import load_llm
from omni.runtime.pretrained import load_config, load_tokenizer


@pytest.fixture
def folder(tiny_llm: Path, tmp_path: Path) -> Path:
    """An LLM with code beside it that tells when it is run."""
    folder = Path(shutil.copytree(tiny_llm, tmp_path / "llm"))
    attack = f"from pathlib import Path\nPath({str(tmp_path / 'attacked')!r}).touch()\n"
    for name in ("configuration_evil.py", "modeling_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(attack)
    return folder


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


AUTO_MAP = {
    "AutoConfig": "configuration_evil.EvilConfig",
    "AutoModel": "modeling_evil.Evil",
    "AutoModelForCausalLM": "modeling_evil.Evil",
}


def test_an_architecture_that_comes_as_code_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda question: "y")  # what transformers would ask
    change(folder / "config.json", auto_map=AUTO_MAP, model_type="evil")
    reason = r"llm brings code of its own, which omni never runs"
    with pytest.raises(ValueError, match=reason):
        load_llm(LLMConfig(str(folder)))
    for encoder in (TextEncoder, HuggingFaceEncoder):
        with pytest.raises(ValueError, match=reason):
            encoder(str(folder))
    assert not (tmp_path / "attacked").exists()


def test_code_beside_an_architecture_of_transformers_is_left_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda question: "y")
    change(folder / "config.json", auto_map=AUTO_MAP)
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "tokenization_evil.Evil"]})
    load_llm(LLMConfig(str(folder)))
    assert not (tmp_path / "attacked").exists()


def test_a_tokenizer_that_comes_as_code_is_left_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda question: "y")
    own = {"auto_map": {"AutoTokenizer": ["tokenization_evil.Evil", None]}, "tokenizer_class": "EvilTokenizer"}
    change(folder / "tokenizer_config.json", **own)
    with contextlib.suppress(ValueError):  # transformers may refuse it, or take a class of its own
        load_tokenizer(str(folder))
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_attention_kernels_of_a_hub_are_refused(key: str, folder: Path) -> None:
    change(folder / "config.json", **{key: "somebody/kernel"})
    with pytest.raises(ValueError, match=r"config\.json asks for the attention kernel somebody/kernel"):
        load_config(str(folder))
    with pytest.raises(ValueError, match=r"attention kernel somebody/kernel"):
        load_llm(LLMConfig(str(folder)))
