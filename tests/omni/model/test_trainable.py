"""Freezing and unfreezing by name: what is trained, what is saved, and what errors say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from omni.model import OmniModel, build_model
from omni.model.trainable import freeze, unfreeze
from omni.runtime.parameter_names import matches
from omni.samples.messages import Message, Text
from tests.tiny import MLP, sensor, tiny_config, tiny_model

LORA = {"r": 2, "target_modules": ["q_proj", "v_proj"]}
NORM = "llm.model.model.norm.weight"
EMBEDDING = "llm.model.model.embed_tokens.weight"


def conversation(modality: str = "image") -> list[Message]:
    return [Message("user", (sensor(modality, 1), Text("what?"))), Message("assistant", (Text("a frog"),))]


def train_a_little(model: OmniModel, modality: str = "image") -> None:
    optimizer = torch.optim.SGD(model.trainable_parameters().values(), lr=0.5)
    model([model.prepare(conversation(modality), answer=True)]).backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        ("modalities.image.adapter", "modalities.image.adapter.norm.weight", True),
        ("modalities.image.adapt", "modalities.image.adapter.norm.weight", False),
        ("*.norm.weight", "modalities.image.adapter.norm.weight", True),
        ("layers.*.attention", "layers.3.attention.heads.query.weight", True),
        ("layers.*.attention", "layers.3.cross_attention.heads.query.weight", False),
        ("*", "anything.at.all", True),
    ],
)
def test_a_pattern_means_parameters_and_everything_below_a_module(pattern: str, name: str, found: bool) -> None:
    assert matches(name, pattern) is found


def test_a_frozen_adapter_does_not_move_and_is_in_evaluation_mode(tiny_llm: Path) -> None:
    dropout = {"class_path": "adapters.MLP", "init_args": {"dropout": 0.5}}
    model = tiny_model(tiny_llm, adapters={"image": dropout, "sound": dropout})
    freeze(model, ["modalities.image.adapter"])
    model.train()
    assert not model.modality("image").adapter.training
    assert model.modality("sound").adapter.training
    assert {name.split(".")[1] for name in model.trainable_parameters()} == {"sound"}
    batch = [model.prepare(conversation(), answer=True)]
    assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("lora", [None, LORA | {"mode": "shared"}, LORA | {"mode": "per_modality"}])
def test_unfrozen_llm_weights_are_trained_saved_and_loaded(
    tiny_llm: Path, tmp_path: Path, lora: dict[str, Any] | None
) -> None:
    model = tiny_model(tiny_llm, adapters={"image": MLP}, lora=lora)
    fingerprint = model.fingerprint()
    unfreeze(model, ["llm.model.model.norm", "llm.model.lm_head", "llm.model.model.layers.1.self_attn.q_proj.weight"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_a_little(model)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.endswith("model.norm.weight") for name in changed)
    assert any(name.endswith("embed_tokens.weight") for name in changed)  # tied to lm_head
    assert not any("model.layers.0" in name and "lora_" not in name for name in changed)
    model.save(tmp_path / "a")
    saved = load_file(tmp_path / "a/adapter.safetensors")
    expected = {NORM, EMBEDDING, "llm.model.model.layers.1.self_attn.q_proj.weight"}
    assert {name for name in saved if name.startswith("llm.")} == expected
    loaded = OmniModel.load(tmp_path / "a")
    batch = [model.prepare(conversation(), answer=True)]
    # the head is trained in one and frozen in the other, which take different ways to the same loss
    torch.testing.assert_close(loaded(batch), model(batch), rtol=1e-6, atol=0)
    assert loaded.fingerprint() == model.fingerprint() != fingerprint
    assert not any(name.startswith("llm.") and "lora_" not in name for name in loaded.trainable_parameters())
    loaded.save(tmp_path / "b")
    for file in ("adapter.safetensors", "config.yaml"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_an_unfrozen_encoder_is_trained_saved_and_not_cached(tiny_llm: Path, tmp_path: Path) -> None:
    model = tiny_model(tiny_llm, adapters={"image": MLP, "sound": MLP})
    encoder = model.modality("image").encoder
    before = encoder.get_parameter("weight").clone()
    unfreeze(model, ["modalities.image.encoder"])
    assert encoder.is_trained
    assert not model.modality("sound").encoder.is_trained
    train_a_little(model)
    assert not torch.equal(encoder.get_parameter("weight"), before)
    model.save(tmp_path / "a")
    loaded = OmniModel.load(tmp_path / "a")
    assert torch.equal(loaded.modality("image").encoder.get_parameter("weight"), encoder.get_parameter("weight"))
    tiny_model(tiny_llm, seed=1, adapters={"sound": MLP}).save(tmp_path / "sound")
    combined = OmniModel.combine({"image": tmp_path / "a", "sound": tmp_path / "sound"})
    batch = [model.prepare(conversation(), answer=True)]
    assert torch.equal(combined(batch), model(batch))


def test_which_lora_is_trained_does_not_depend_on_which_is_active(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm, adapters={"image": MLP, "sound": MLP}, lora=LORA | {"mode": "per_modality"})
    freeze(model, ["*.lora_*.image.*", "modalities.image"])
    train_a_little(model, "sound")
    train_a_little(model, "sound")
    assert {name for name in model.trainable_parameters() if ".image." in name} == set()
    assert any(".lora_A.sound." in name for name in model.trainable_parameters())


def test_quantised_weights_cannot_be_unfrozen_but_norms_beside_them_can(tiny_llm: Path) -> None:
    config = tiny_config(tiny_llm, lora=LORA)
    model = build_model(replace(config, llm=replace(config.llm, quantization="nf4")))
    with pytest.raises(ValueError, match=r"unfreeze: 2 weights are quantised.*q_proj.*train a LoRA"):
        unfreeze(model, ["llm.*.q_proj.weight"])
    unfreeze(model, [NORM])
    assert any(name.endswith("norm.weight") for name in model.trainable_parameters())


def test_a_pattern_without_a_match_names_what_is_near(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    with pytest.raises(
        ValueError, match=r"unfreeze\[1\]: 'llm.norm' matches nothing. Near are: .*llm.model.model.norm"
    ):
        unfreeze(model, [NORM, "llm.norm"])
    with pytest.raises(ValueError, match=r"freeze\[0\]: 'modalities.imag.adapter'.*modalities.image.adapter"):
        freeze(model, ["modalities.imag.adapter"])
    with pytest.raises(ValueError, match=r"freeze\[0\]"):
        freeze(model, [NORM])  # is frozen already


def test_models_that_changed_the_llm_do_not_combine_with_others(tiny_llm: Path, tmp_path: Path) -> None:
    changed, plain = tiny_model(tiny_llm, adapters={"image": MLP}), tiny_model(tiny_llm, adapters={"sound": MLP})
    unfreeze(changed, [NORM])
    changed.save(tmp_path / "image")
    plain.save(tmp_path / "sound")
    with pytest.raises(ValueError, match=r"image trained weights of the LLM itself, such as llm.model.model.norm"):
        OmniModel.combine({"image": tmp_path / "image", "sound": tmp_path / "sound"})


def test_a_model_folder_that_lacks_an_unfrozen_weight_is_refused(tiny_llm: Path, tmp_path: Path) -> None:
    model = tiny_model(tiny_llm)
    unfreeze(model, [NORM])
    model.save(tmp_path / "a")
    config = tmp_path / "a/config.yaml"
    config.write_text(config.read_text().replace(f"- {NORM}", "- llm.model.model.layers.0.input_layernorm.weight"))
    with pytest.raises(ValueError, match=rf"(?s)missing: llm.model.model.layers.0.*unexpected: {NORM}"):
        OmniModel.load(tmp_path / "a")
    config.write_text(config.read_text().replace("layers.0.input_layernorm", "layers.9.input_layernorm"))
    with pytest.raises(ValueError, match=r"unfrozen names \['llm.model.model.layers.9"):
        OmniModel.load(tmp_path / "a")
