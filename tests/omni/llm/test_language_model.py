"""LLMs of many architectures: padded = packed = single, shared prefixes = full recompute; LoRA and quantisation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers.utils import logging

from omni.config import LLMConfig, from_dict
from omni.llm.language_model import LanguageModel
from omni.llm.loading import load_llm
from omni.model import OmniModel, build_model
from omni.samples.messages import Message, Text
from tests.tiny import MLP, sensor, tiny_config, tiny_llm_dir, tiny_model, tiny_tokenizer

_COMMON = {"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
_LLAMA_LIKE = _COMMON | {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8}
FAMILIES: dict[str, dict[str, Any]] = {
    "GPT2": {"vocab_size": 400, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "OPT": _COMMON | {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "Qwen3": _LLAMA_LIKE,
    "Gemma2": _LLAMA_LIKE | {"sliding_window": 4096},
    "Gemma3": _LLAMA_LIKE | {"sliding_window": 4096},
    "Phi3": _LLAMA_LIKE,
    "Mistral": _LLAMA_LIKE | {"sliding_window": 16},
    "GPTNeoX": _COMMON | {"intermediate_size": 64},
    "Bloom": {"vocab_size": 400, "hidden_size": 32, "n_layer": 2, "n_head": 4},
}


def family_model(family: str, folder: Path) -> OmniModel:
    tokenizer = tiny_tokenizer()
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    text = "TextConfig" if family == "Gemma3" else "Config"
    config = getattr(transformers, f"{family}{text}")(**FAMILIES[family], **ids, initializer_range=0.2)
    torch.manual_seed(0)
    head = {"GPT2": "LMHeadModel"}.get(family, "ForCausalLM")
    getattr(transformers, f"{family}{head}")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tiny_model(folder, adapters={"image": MLP, "sound": MLP})


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, OmniModel]:
    return request.param, family_model(request.param, tmp_path_factory.mktemp(request.param) / "llm")


def conversation(modality: str, seed: int, answer: str, length: int = 6) -> list[Message]:
    question = Message("user", (sensor(modality, seed, length), Text("what is this?")))
    return [question, Message("assistant", (Text(answer),))]


CONVERSATIONS = [
    conversation("image", 1, "a frog"),
    conversation("sound", 2, "a bell and the drum of the dog", length=30),
    [Message("user", (Text("what"),)), Message("assistant", (Text("this"),))],
]


def test_padded_and_packed_losses_equal_that_of_each_sample_alone(family: tuple[str, OmniModel]) -> None:
    _, model = family
    batch = [model.prepare(messages, answer=True) for messages in CONVERSATIONS]
    alone = torch.stack([model([example], num_answer_tokens=1) for example in batch]).sum()
    torch.testing.assert_close(model(batch, num_answer_tokens=1), alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model(batch, packed=True, num_answer_tokens=1), alone, rtol=1e-5, atol=1e-5)


def test_shared_prefix_scores_equal_the_loss(family: tuple[str, OmniModel]) -> None:
    _, model = family
    candidates = ["a frog", "a frog in a drum", "x", "the bell"]
    found = model.score_batch([messages[:1] for messages in CONVERSATIONS], candidates)
    for scores, messages in zip(found, CONVERSATIONS, strict=True):
        for score, candidate in zip(scores, candidates, strict=True):
            example = model.prepare([messages[0], Message("assistant", (Text(candidate),))], answer=True)
            torch.testing.assert_close(score, -model([example], num_answer_tokens=1).detach(), atol=1e-4, rtol=0)


def test_an_llm_that_ignores_packed_positions_is_found_out_by_trying(family: tuple[str, OmniModel]) -> None:
    name, model = family
    assert model.llm.can_pack == (name != "Bloom")
    chosen = model.llm.pack_attention
    if name in ("Bloom", "OPT"):
        with pytest.raises(ValueError, match="'mask' does not keep samples apart"):
            model.llm.use_pack_attention("mask")
    batch = [model.prepare(messages, answer=True) for messages in CONVERSATIONS]
    assert model.llm.pack_attention == chosen
    torch.testing.assert_close(model(batch, packed=True), model(batch), rtol=1e-5, atol=1e-5)


def test_generation_continues_what_the_llm_itself_would_say(family: tuple[str, OmniModel]) -> None:
    _, model = family
    messages = [CONVERSATIONS[0][:1], CONVERSATIONS[1][:1]]
    together = model.generate(messages, max_new_tokens=4)
    assert together == [model.generate(one, max_new_tokens=4) for one in messages]


def test_embedding_scale_is_that_of_what_the_llm_reads(family: tuple[str, OmniModel]) -> None:
    _, model = family
    embeds = model.llm.embed(torch.arange(400))
    assert model.llm.embedding_rms == pytest.approx(embeds.pow(2).mean().sqrt().item(), rel=1e-4)


# --- LoRA ---

QUERY_VALUE = {"target_modules": ["q_proj", "v_proj"]}


def with_random_lora(llm: Path, mode: str, seed: int = 0, **options: Any) -> OmniModel:
    model = tiny_model(llm, seed, lora={"mode": mode} | QUERY_VALUE | options)
    for name, parameter in model.trainable_parameters().items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("mode", ["shared", "per_modality"])
def test_lora_is_part_of_padded_packed_and_scored_alike(tiny_llm: Path, mode: str) -> None:
    model = with_random_lora(tiny_llm, mode)
    batch = [model.prepare(messages, answer=True) for messages in CONVERSATIONS]
    alone = torch.stack([model([example], num_answer_tokens=1) for example in batch]).sum()
    torch.testing.assert_close(model(batch, num_answer_tokens=1), alone)
    torch.testing.assert_close(model(batch, packed=True, num_answer_tokens=1), alone)
    found = model.score_batch([messages[:1] for messages in CONVERSATIONS], ["a frog", "x"])
    for scores, messages in zip(found, CONVERSATIONS, strict=True):
        example = model.prepare([messages[0], Message("assistant", (Text("a frog"),))], answer=True)
        torch.testing.assert_close(scores[0], -model([example], num_answer_tokens=1), atol=1e-4, rtol=0)
    assert abs(model(batch).item() - tiny_model(tiny_llm)(batch).item()) > 1e-3


def test_a_modality_uses_and_trains_only_its_own_lora(tiny_llm: Path) -> None:
    model, plain = with_random_lora(tiny_llm, "per_modality"), tiny_model(tiny_llm)
    text_only = [model.prepare(CONVERSATIONS[2], answer=True)]
    torch.testing.assert_close(model(text_only), plain(text_only), rtol=0, atol=0)
    model([model.prepare(CONVERSATIONS[0], answer=True)]).backward()
    for name, parameter in model.trainable_parameters().items():
        if "lora_" in name:
            assert (parameter.grad is not None) == (".image." in name), name
            assert parameter.requires_grad


def test_lora_dropout_acts_in_training_only_and_the_llm_stays_in_evaluation(tiny_llm: Path) -> None:
    model = with_random_lora(tiny_llm, "shared", dropout=0.5)
    batch = [model.prepare(CONVERSATIONS[0], answer=True)]
    assert model(batch) == model(batch)
    model.train()
    assert model(batch) != model(batch)
    model.eval()
    assert model(batch) == model(batch)
    loaded = [module.training for name, module in model.llm.named_modules() if "dropout" not in name]
    assert not any(loaded)


# --- loading ---


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_a_quantised_llm_trains_adapters_and_lora(tmp_path: Path, quantization: str) -> None:
    folder = tiny_llm_dir(tmp_path / "llm")
    config = tiny_config(folder, lora=QUERY_VALUE)
    torch.manual_seed(0)
    model = build_model(replace(config, llm=replace(config.llm, quantization=quantization)))
    frozen = {name: value.clone() for name, value in model.llm.state_dict().items() if "lora_" not in name}
    batch = [model.prepare(messages, answer=True) for messages in CONVERSATIONS]
    loss = model(batch)
    loss.backward()
    plain = tiny_model(folder)(batch).item()
    assert loss.item() == pytest.approx(plain, rel=0.3)
    assert loss.item() != plain
    trained = model.trainable_parameters()
    gradients = [name for name, parameter in trained.items() if parameter.grad is not None and parameter.grad.any()]
    assert any("lora_B" in name for name in gradients)
    assert any("adapter" in name for name in gradients)
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    optimizer.step()
    assert all(torch.equal(value, model.llm.state_dict()[name]) for name, value in frozen.items())


def test_an_llm_that_is_not_there_is_named_with_the_way_out() -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.llm\.name: there is no folder /no/such/llm"):
        load_llm(LLMConfig("/no/such/llm"))


def test_loading_says_nothing_and_leaves_logging_as_it_was(
    tiny_llm: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    logging.enable_progress_bar()
    with_random_lora(tiny_llm, "per_modality")
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert [str(warning.message) for warning in recwarn.list] == []
    assert logging.is_progress_bar_enabled()


def test_the_fingerprint_tells_llms_apart_but_not_their_number_formats(tiny_llm: Path, tmp_path: Path) -> None:
    def load(folder: Path, dtype: str = "float32") -> LanguageModel:
        return load_llm(from_dict(LLMConfig, {"name": str(folder), "dtype": dtype}))

    first = load(tiny_llm)
    assert load(tiny_llm, "bfloat16").identity == first.identity
    assert load(tiny_llm_dir(tmp_path / "other", seed=1)).identity.embeddings != first.identity.embeddings
