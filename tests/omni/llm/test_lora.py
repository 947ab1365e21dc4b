"""PEFT's options: what reaches it, what is refused, and that each variant is saved and loaded as it was."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from omni.model import OmniModel
from omni.samples.messages import Message, Text
from tests.tiny import MLP, sensor, tiny_model

QUERY_VALUE = {"r": 2, "target_modules": ["q_proj", "v_proj"]}
CONVERSATIONS = [
    [Message("user", (sensor(name, 1), Text("what?"))), Message("assistant", (Text("a frog"),))]
    for name in ("image", "sound")
]
BOTH = [
    Message("user", (sensor("image", 1), sensor("sound", 2), Text("what?"))),
    Message("assistant", (Text("a frog"),)),
]


def random_lora(llm: Path, **options: Any) -> OmniModel:
    model = tiny_model(llm, adapters={"image": MLP, "sound": MLP}, lora=QUERY_VALUE | options)
    for name, weight in model.trainable_parameters().items():
        if "lora_B" in name or "magnitude" in name:
            torch.nn.init.normal_(weight, mean=1.0 if "magnitude" in name else 0.0, std=0.3)
    return model


@pytest.mark.parametrize("mode", ["shared", "per_modality"])
@pytest.mark.parametrize(
    "options",
    [
        {"use_dora": True},
        {"use_rslora": True},
        {"options": {"layers_to_transform": [1], "init_lora_weights": "gaussian", "rank_pattern": {"q_proj": 1}}},
    ],
)
def test_variants_are_the_same_padded_packed_and_loaded(
    tiny_llm: Path, tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    model = random_lora(tiny_llm, mode=mode, **options)
    batch = [model.prepare(messages, answer=True) for messages in [*CONVERSATIONS, BOTH]]
    alone = torch.stack([model([example], num_answer_tokens=1) for example in batch]).sum()
    torch.testing.assert_close(model(batch, num_answer_tokens=1), alone)
    torch.testing.assert_close(model(batch, packed=True, num_answer_tokens=1), alone)
    together = model.generate([messages[:1] for messages in CONVERSATIONS], max_new_tokens=3)
    assert together == [model.generate(messages[:1], max_new_tokens=3) for messages in CONVERSATIONS]
    model.save(tmp_path / "a")
    loaded = OmniModel.load(tmp_path / "a")
    assert torch.equal(loaded(batch), model(batch))
    assert loaded.fingerprint() == model.fingerprint()


def test_options_reach_peft(tiny_llm: Path) -> None:
    lora = random_lora(tiny_llm, options={"layers_to_transform": [1], "rank_pattern": {"q_proj": 1}})
    shapes = {name: weight.shape for name, weight in lora.trainable_parameters().items() if "lora_A" in name}
    assert all("layers.1." in name for name in shapes)
    assert {shape[0] for name, shape in shapes.items() if "q_proj" in name} == {1}
    assert {shape[0] for name, shape in shapes.items() if "v_proj" in name} == {2}


def test_dropout_reaches_dora_too(tiny_llm: Path) -> None:
    model = random_lora(tiny_llm, use_dora=True, dropout=0.5)
    batch = [model.prepare(CONVERSATIONS[0], answer=True)]
    model.train()
    assert model(batch) != model(batch)
    model.eval()
    assert model(batch) == model(batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"layer_to_transform": [1]},
            r"options.layer_to_transform: no argument.*did you mean 'layers_to_",
        ),
        ({"lora_alpha": 3}, r"options.lora_alpha: set it as model.llm.lora.alpha"),
        ({"modules_to_save": ["lm_head"]}, r"options.modules_to_save cannot be used: .*train.unfreeze"),
        ({"init_lora_weights": "pissa"}, r"init_lora_weights: 'pissa' also changes the frozen weights"),
        ({"bias": "most"}, r"model.llm.lora: PEFT refuses it"),
    ],
)
def test_options_that_cannot_be_are_named(tiny_llm: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, NotImplementedError), match=message):
        random_lora(tiny_llm, options=options)


def test_biases_need_one_shared_lora(tiny_llm: Path) -> None:
    with pytest.raises(ValueError, match=r"options.bias: biases belong to the LLM.*mode shared"):
        random_lora(tiny_llm, mode="per_modality", options={"bias": "all"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"megatron_config": {"x": 1}, "megatron_core": "evil_module"}, "megatron_config names modules to import"),
        ({"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil_module"}}, "auto_mapping names modules"),
        ({"peft_type": "XLORA", "adapters": {"a": "/elsewhere"}}, "describes no LoRA"),
    ],
)
def test_peft_imports_nothing_for_a_folder(
    change: dict[str, Any], message: str, tmp_path: Path, tiny_llm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_lora(tiny_llm).save(tmp_path / "model")
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'attacked')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "model/lora/adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=rf"adapter_config\.json.*{message}"):
        OmniModel.load(tmp_path / "model")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("names", [["../../elsewhere"], ["/elsewhere"], "default", [1]])
def test_loras_of_a_folder_are_in_it(names: object, tmp_path: Path, tiny_llm: Path) -> None:
    random_lora(tiny_llm).save(tmp_path / "model")
    file = tmp_path / "model/config.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"loras": names}))
    with pytest.raises(ValueError, match="must be a list of names of modalities"):
        OmniModel.load(tmp_path / "model")
