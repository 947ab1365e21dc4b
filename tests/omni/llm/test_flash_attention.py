"""An LLM with flash-attn, whose functions are stood in for: what is passed to them, and where it cannot run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, PreTrainedConfig

from omni.config import LLMConfig
from omni.llm.language_model import LanguageModel
from omni.llm.packed_attention import PackAttention
from omni.model import OmniModel, build_model
from omni.model.batch import EmbeddedExample, pack, pad
from omni.recipe.schema import TrainConfig
from tests.flash_attention import FlashAttention
from tests.omni.llm.test_language_model import CONVERSATIONS
from tests.tiny import tiny_config, tiny_model, tiny_tokenizer
from train.run.efficiency import choose_pack_attention

SIZES: dict[str, Any] = {"vocab_size": 400, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2}
FLASH = "flash_attention_2"


@pytest.fixture
def flash(monkeypatch: pytest.MonkeyPatch) -> FlashAttention:
    return FlashAttention(monkeypatch)


def language_model(config: PreTrainedConfig, attention: Any = FLASH) -> LanguageModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    return LanguageModel(model, tiny_tokenizer(), LLMConfig("random", dtype="bfloat16", attention=attention))


def loss_and_gradients(llm: LanguageModel, way: PackAttention | None) -> list[Tensor]:
    """Of four samples of 2 to 17 embeddings, in one row or (None) padded."""
    generator = torch.Generator().manual_seed(1)
    samples = [torch.randn(count, 32, generator=generator, requires_grad=True) for count in (5, 9, 2, 17)]
    labels = [torch.arange(len(sample)) + 3 for sample in samples]
    examples = [EmbeddedExample(sample, label) for sample, label in zip(samples, labels, strict=True)]
    if way is None:
        inputs = pad(examples)
        more: dict[str, Any] = {"attention_mask": inputs.attention_mask}
    else:
        llm.use_pack_attention(way)
        inputs = pack(examples)
        assert inputs.lengths is not None
        more = llm.pack_arguments(inputs.lengths)
    keep, targets = inputs.counted()
    loss = llm.answer_nll(inputs.inputs_embeds, keep, targets, position_ids=inputs.position_ids, **more)
    return [loss, *torch.autograd.grad(loss, samples)]


@pytest.mark.parametrize("way", ["varlen", "mask", None])
@pytest.mark.parametrize("config", [LlamaConfig(**SIZES), MistralConfig(**SIZES, sliding_window=4)])
def test_losses_and_gradients_are_those_of_padded_rows_with_sdpa(
    flash: FlashAttention, config: PreTrainedConfig, way: PackAttention | None
) -> None:
    expected = loss_and_gradients(language_model(config, "sdpa"), None)
    llm = language_model(config)
    flash.calls.clear()
    found = loss_and_gradients(llm, way)
    assert flash.calls
    for value, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(value, plain, atol=1e-5, rtol=1e-5)


def test_the_kernel_for_various_lengths_is_what_auto_takes(flash: FlashAttention) -> None:
    llm = language_model(LlamaConfig(**SIZES))
    assert llm.pack_attention == "varlen"
    flash.calls.clear()
    loss_and_gradients(llm, "varlen")
    assert flash.calls[-2:] == ["varlen", "varlen"]  # once in each layer
    with pytest.raises(ValueError, match="'reference' does not keep samples apart"):
        llm.use_pack_attention("reference")


@pytest.mark.parametrize("way", ["auto", "mask"])
def test_before_the_llm_is_spread_over_gpus_trials_run_on_the_cpu_without_flash_attn(
    flash: FlashAttention, way: Any
) -> None:
    llm = language_model(LlamaConfig(**SIZES))
    flash.runs_here = False
    config = TrainConfig("runs/x", steps=1, packing=True, pack_attention=way)
    choose_pack_attention(llm, config, torch.device("cuda"))
    assert llm.pack_attention == {"auto": "varlen", "mask": "mask"}[way]
    assert llm.answer_head is not None
    assert llm.can_copy_cache
    assert llm.model.config._attn_implementation == FLASH  # type: ignore[union-attr]


@pytest.mark.usefixtures("flash")
def test_answers_and_scores_are_those_of_sdpa(tiny_llm: Path) -> None:
    expected = tiny_model(tiny_llm)
    model = tiny_model(tiny_llm)
    model.llm.model.set_attn_implementation(FLASH)  # type: ignore[operator]
    model.llm.config.attention = FLASH
    questions, candidates = [messages[:1] for messages in CONVERSATIONS[:2]], ["a frog", "a frog in a drum", "a dog"]
    assert model.generate(questions, max_new_tokens=4) == expected.generate(questions, max_new_tokens=4)
    torch.testing.assert_close(model.score_batch(questions, candidates), expected.score_batch(questions, candidates))


def test_float32_weights_are_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ValueError, match=r"flash_attention_2 takes no float32 weights; set llm\.dtype to bfloat16"):
        LLMConfig("somewhere", attention=FLASH)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_model_trained_with_flash_attn_is_loaded_where_there_is_no_gpu(
    tiny_llm: Path, tmp_path: Path, flash: FlashAttention
) -> None:
    config = tiny_config(tiny_llm)
    config.llm.dtype, config.llm.attention = "bfloat16", FLASH
    build_model(config).save(tmp_path / "model")
    flash.runs_here = False
    loaded = OmniModel.load(tmp_path / "model", dtype="float32")
    assert loaded.llm.config.attention == "sdpa"
    assert loaded.generate(CONVERSATIONS[0][:1], max_new_tokens=2)
    combined = OmniModel.combine({"image": tmp_path / "model"})
    assert combined.llm.config.attention == "sdpa"
