"""The folder of a merged LLM is loaded by transformers alone and computes what the model's LLM computes."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from omni.__main__ import main
from omni.exporting.merged_llm import export_merged_llm
from omni.model import OmniModel
from omni.model.trainable import unfreeze
from tests.tiny import MLP, recording, tiny_model

CROSS = {"class_path": "adapters.GatedCrossAttention", "init_args": {"num_heads": 2, "width": 16, "every": 1}}
TARGETS = {"r": 2, "target_modules": ["q_proj", "down_proj"]}


def trained(llm: Path, **options: Any) -> OmniModel:
    """A model whose LoRAs do something."""
    model = tiny_model(llm, **options)
    for name, weight in model.trainable_parameters().items():
        if "lora_" in name:
            torch.nn.init.normal_(weight, mean=1.0 if "magnitude" in name else 0.0, std=0.4)
    return model


def question(*names: str) -> list[dict[str, Any]]:
    media = [{"type": name, "data": recording(index)} for index, name in enumerate(names)]
    return [{"role": "user", "content": [*media, {"type": "text", "text": "what is this?"}]}]


@torch.no_grad()
def answers_by_transformers(folder: Path, model: OmniModel, conversations: list[Any]) -> list[str]:
    """What plain transformers answers to the model's embeddings."""
    plain: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for conversation in conversations:
        (embedded,) = model.embed_examples([model.prepare(conversation)])
        ids = plain.generate(inputs_embeds=embedded.embeds[None], max_new_tokens=12, do_sample=False)
        found.append(tokenizer.decode(ids[0], skip_special_tokens=True).strip())
    return found


@pytest.mark.parametrize(
    ("lora", "names", "asked"),
    [
        (TARGETS, None, ["image", "sound"]),
        (TARGETS | {"use_rslora": True, "target_modules": ["embed_tokens", "v_proj"]}, None, ["sound"]),
        (TARGETS | {"target_modules": ["lm_head", "v_proj"]}, None, ["sound"]),
        (TARGETS | {"mode": "per_modality"}, ["image"], ["image"]),
        (TARGETS | {"mode": "per_modality", "use_dora": True}, ["sound", "image"], ["image", "sound"]),
        (None, None, ["image"]),
    ],
)
def test_answers_are_the_models(
    tiny_llm: Path, tmp_path: Path, lora: dict[str, Any] | None, names: list[str] | None, asked: list[str]
) -> None:
    model = trained(tiny_llm, lora=lora, adapters={"image": MLP, "sound": MLP})
    unfreeze(model, ["llm.*layers.1.mlp.up_proj.weight"])
    torch.nn.init.normal_(model.llm.causal_lm.get_submodule("model.layers.1.mlp.up_proj").weight)  # pyright: ignore
    conversations = [
        question(*asked),
        [*question(*asked), {"role": "assistant", "content": "a frog"}, {"role": "user", "content": "what is it in?"}],
    ]
    expected = model.generate(conversations, max_new_tokens=12)
    text = model.llm.tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    other = trained(tiny_llm, lora=lora, adapters={"image": MLP, "sound": MLP})
    assert lora is None or other.generate(conversations, max_new_tokens=12) != expected
    model.save(tmp_path / "model")
    loaded = OmniModel.load(tmp_path / "model")
    assert (
        main(
            ["export", "merged-llm", str(tmp_path / "model"), "--output", str(tmp_path / "llm"), "--trust_code"]
            + ([] if names is None else ["--modalities", ",".join(names)])
        )
        == 0
    )
    assert answers_by_transformers(tmp_path / "llm", loaded, conversations) == expected
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "llm")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == text
    plain: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "llm")
    assert plain.generation_config.eos_token_id == model.end_token_ids


def test_the_folder_has_the_dtype_of_the_llm_and_says_what_it_is(tiny_llm: Path, tmp_path: Path) -> None:
    trained(tiny_llm, lora=TARGETS, adapters={"image": MLP}).save(tmp_path / "model")
    model = OmniModel.load(tmp_path / "model", dtype="bfloat16")
    done = export_merged_llm(model, tmp_path / "llm")
    assert done.loras == ("default",)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "llm", dtype="auto").dtype == torch.bfloat16
    card = (tmp_path / "llm" / "README.md").read_text()
    assert "the LoRA default" in card
    assert "Effective licence" in card
    assert "SHA256SUMS" in {file.name for file in (tmp_path / "llm").iterdir()}


def test_several_loras_must_be_named_and_unknown_modalities_are_not_taken(tiny_llm: Path, tmp_path: Path) -> None:
    model = trained(tiny_llm, lora=TARGETS | {"mode": "per_modality"})
    with pytest.raises(ValueError, match=r"image, sound has a LoRA of its own.*--modalities image,sound"):
        export_merged_llm(model, tmp_path / "llm")
    with pytest.raises(ValueError, match="no modality 'depth'; it has"):
        export_merged_llm(model, tmp_path / "llm", ["depth"])
    assert not [*tmp_path.iterdir()]


def test_media_inside_the_layers_are_refused_unless_they_are_left_out(tiny_llm: Path, tmp_path: Path) -> None:
    model = trained(tiny_llm, lora=TARGETS, adapters={"image": CROSS, "sound": MLP})
    with pytest.raises(ValueError, match=r"modalities\.image\.adapter: GatedCrossAttention puts blocks"):
        export_merged_llm(model, tmp_path / "llm")
    expected = model.generate(question("sound"), max_new_tokens=12)
    model.save(tmp_path / "model")
    export_merged_llm(model, tmp_path / "llm", ["sound"])
    loaded = OmniModel.load(tmp_path / "model", trust_code=True)
    assert answers_by_transformers(tmp_path / "llm", loaded, [question("sound")]) == [expected]


def test_a_quantised_llm_is_refused(tiny_llm: Path, tmp_path: Path) -> None:
    model = trained(tiny_llm, lora=TARGETS)
    model.llm.config.quantization = "nf4"
    with pytest.raises(
        ValueError, match=r"quantised here \(nf4\).*set model\.llm\.quantization in config\.yaml to null"
    ):
        export_merged_llm(model, tmp_path / "llm")


def test_what_does_not_compute_the_same_is_not_written(tiny_llm: Path, tmp_path: Path) -> None:
    model = trained(tiny_llm, lora=TARGETS)
    torch.nn.init.constant_(model.llm.causal_lm.get_submodule("model.norm").weight, float("nan"))  # pyright: ignore
    with pytest.raises(ValueError, match=r"its logits are not those of the model.*nothing was written"):
        export_merged_llm(model, tmp_path / "llm")
    assert not [*tmp_path.iterdir()]


def test_the_command_replaces_nothing_unasked(
    tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tiny_llm, lora=TARGETS).save(tmp_path / "model")
    words = ["export", "merged-llm", str(tmp_path / "model"), "--output", str(tmp_path / "llm"), "--trust_code"]
    assert main(words) == 0
    assert "LoRA default merged into it" in capsys.readouterr().out
    before = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "llm").iterdir()}
    assert main(words) == 1
    assert "is there already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "llm").iterdir()} == before


@pytest.mark.parametrize("foreign", ["model", "folder"])
def test_nothing_but_an_export_is_replaced(
    tiny_llm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], foreign: str
) -> None:
    trained(tiny_llm, lora=TARGETS).save(tmp_path / "model")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("kept")
    before = sorted(tmp_path.rglob("*"))
    words = ["export", "merged-llm", str(tmp_path / "model"), "--output", str(tmp_path / foreign), "--trust_code"]
    assert main([*words, "--overwrite"]) == 1
    assert "which saving would delete; choose another folder" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
