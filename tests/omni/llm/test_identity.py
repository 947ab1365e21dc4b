"""An LLM whose layers, tokenizer, chat template or settings change is another one."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from omni.config import LLMConfig
from omni.llm.identity import files_identity
from omni.llm.loading import load_llm
from omni.model import OmniModel
from tests.tiny import tiny_model


@pytest.fixture
def llm(tiny_llm: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llm, tmp_path / "llm"))


def change_weights(llm: Path, name: str) -> None:
    weights = load_file(llm / "model.safetensors")
    weights[name] = weights[name] + 0.05
    save_file(weights, llm / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.1.mlp.down_proj.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.1.input_layernorm.weight",
        "model.norm.weight",
    ],
)
def test_a_change_of_any_layer_is_noticed(llm: Path, tmp_path: Path, name: str) -> None:
    model = tiny_model(llm)
    model.save(tmp_path / "model")
    change_weights(llm, name)
    assert tiny_model(llm).fingerprint() != model.fingerprint()
    with pytest.raises(ValueError, match=r"another LLM than .* or that one was changed since"):
        OmniModel.load(tmp_path / "model")


def test_a_changed_chat_template_gives_other_answers_and_a_warning(
    llm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_model(llm)
    model.save(tmp_path / "model")
    OmniModel.load(tmp_path / "model")
    assert "chat template" not in caplog.text
    file = llm / "chat_template.jinja"
    file.write_text(file.read_text() + " ")
    assert OmniModel.load(tmp_path / "model").fingerprint() != model.fingerprint()
    assert "tokenizer or chat template" in caplog.text


def test_settings_of_generation_and_the_tokenizer_are_part_of_a_fingerprint(llm: Path) -> None:
    before = tiny_model(llm).fingerprint()
    (llm / "generation_config.json").write_text(json.dumps({"temperature": 0.3, "do_sample": True}))
    other = tiny_model(llm).fingerprint()
    assert other != before
    values = json.loads((llm / "tokenizer.json").read_text())
    values["normalizer"] = {"type": "Lowercase"}
    (llm / "tokenizer.json").write_text(json.dumps(values))
    assert tiny_model(llm).fingerprint() not in (before, other)


def test_the_same_weights_in_other_files_or_another_dtype_are_the_same_llm(llm: Path, tmp_path: Path) -> None:
    first = load_llm(LLMConfig(str(llm)))
    model = AutoModelForCausalLM.from_pretrained(llm)
    shutil.copytree(llm, tmp_path / "again")
    (tmp_path / "again/model.safetensors").unlink()
    model.save_pretrained(tmp_path / "again", max_shard_size="20KB")
    assert (tmp_path / "again/model.safetensors.index.json").exists()
    assert load_llm(LLMConfig(str(tmp_path / "again"))).identity == first.identity
    model.to(torch.bfloat16).save_pretrained(tmp_path / "again", max_shard_size="20KB")
    assert load_llm(LLMConfig(str(tmp_path / "again"), dtype="bfloat16")).identity == first.identity


def test_a_quantised_llm_is_told_by_its_files(llm: Path, tmp_path: Path) -> None:
    model = tiny_model(llm)
    quantised = load_llm(LLMConfig(str(llm), quantization="int8"))
    assert quantised.identity.weights is None
    assert quantised.identity.files == model.llm.identity.files
    assert quantised.identity.is_same(model.llm.identity)
    change_weights(llm, "model.layers.0.mlp.up_proj.weight")
    assert not load_llm(LLMConfig(str(llm), quantization="int8")).identity.is_same(model.llm.identity)


def test_a_lora_does_not_change_what_the_llm_is(llm: Path) -> None:
    plain = tiny_model(llm)
    with_lora = tiny_model(llm, lora={"target_modules": ["q_proj"]})
    assert with_lora.llm.identity == plain.llm.identity
    assert with_lora.fingerprint() != plain.fingerprint()


def test_a_folder_without_safetensors_has_no_identity_by_files(tmp_path: Path) -> None:
    assert files_identity(str(tmp_path)) is None
