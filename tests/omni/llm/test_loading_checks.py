"""LLMs that cannot give right answers are refused when they are loaded, in words that name what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from omni.config import LLMConfig
from omni.llm.language_model import LanguageModel
from omni.llm.loading import load_llm
from omni.samples.messages import Message, SampleError, Text
from tests.tiny import tiny_llm_dir, tiny_model, tiny_tokenizer

SIZES: dict[str, Any] = {
    "vocab_size": len(tiny_tokenizer()),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def write(folder: Path, model: Any, **options: Any) -> Path:
    """Write a model with weights large enough to be told apart, and the tiny tokenizer."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.2)
    model.save_pretrained(folder, **options)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def load(folder: Path) -> LanguageModel:
    return load_llm(LLMConfig(str(folder)))


def llama(**values: Any) -> hf.LlamaConfig:
    return hf.LlamaConfig(**SIZES | {"num_key_value_heads": 2, "tie_word_embeddings": False} | values)


MISSING: dict[str, Callable[[Path], Path]] = {
    "lm_head": lambda folder: write(folder, hf.LlamaModel(llama())),
    "lm_head.weight": lambda folder: write(folder, hf.LlamaForSequenceClassification(llama())),
    "model.layers.1.mlp": lambda folder: _without(folder, hf.LlamaForCausalLM(llama()), "layers.1.mlp"),
    "h.1.attn": lambda folder: _without(folder, hf.GPT2LMHeadModel(_gpt2()), "h.1.attn"),
    "embed_tokens": lambda folder: _without(folder, hf.LlamaForCausalLM(llama()), "embed_tokens"),
}


def _gpt2() -> hf.GPT2Config:
    return hf.GPT2Config(vocab_size=len(tiny_tokenizer()), n_embd=32, n_layer=2, n_head=4)


def _without(folder: Path, model: Any, name: str) -> Path:
    return write(folder, model, state_dict={key: v for key, v in model.state_dict().items() if name not in key})


@pytest.mark.parametrize("name", MISSING)
def test_missing_weights_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"lacks the weights .*{name}"):
        load(MISSING[name](tmp_path / "llm"))


def test_a_bare_model_whose_head_is_its_embeddings_is_whole(tmp_path: Path) -> None:
    folder = write(tmp_path / "llm", hf.LlamaModel(llama(tie_word_embeddings=True)))
    llm = load(folder)
    assert torch.equal(llm.causal_lm.get_output_embeddings().weight, llm.embed(torch.arange(llm.num_embeddings)))  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]


@pytest.mark.parametrize("family", ["Bert", "Roberta", "Electra", "XLMRoberta"])
def test_encoders_are_no_llms(family: str, tmp_path: Path) -> None:
    config = getattr(hf, f"{family}Config")(**SIZES)
    folder = write(tmp_path / "llm", getattr(hf, f"{family}ForMaskedLM")(config))
    with pytest.raises(ValueError, match="no causal language model: its tokens see later ones"):
        load(folder)


def test_encoder_decoders_are_no_llms(tmp_path: Path) -> None:
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "vocab_size": SIZES["vocab_size"]}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    bart = write(tmp_path / "bart", hf.BartForConditionalGeneration(hf.BartConfig(**sizes | heads)))
    t5 = hf.T5Config(vocab_size=SIZES["vocab_size"], d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    for folder in (bart, write(tmp_path / "t5", hf.T5ForConditionalGeneration(t5))):
        with pytest.raises(ValueError, match="is an encoder-decoder"):
            load(folder)


def test_models_of_other_kinds_are_no_llms(tmp_path: Path) -> None:
    config = hf.ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64)
    folder = write(tmp_path / "llm", hf.ViTModel(config))
    with pytest.raises(ValueError, match="a model of the kind vit"):
        load(folder)


@pytest.mark.parametrize("family", ["Roberta", "Camembert", "Data2VecText"])
def test_an_llm_that_counts_positions_itself_is_not_told_any(family: str, tmp_path: Path) -> None:
    config = getattr(hf, f"{family}Config")(**SIZES, max_position_embeddings=600, is_decoder=True)
    model = getattr(hf, f"{family}ForCausalLM")(config).eval()
    llm = load(write(tmp_path / "llm", model))
    embeds = llm.sample_embeddings(9)[None]
    positions = torch.arange(9)[None]
    found = llm(embeds, torch.ones(1, 9, dtype=torch.bool), position_ids=positions, use_cache=False).logits
    torch.testing.assert_close(found, model(inputs_embeds=embeds).logits.flatten(0, 1))
    assert [llm.can_pack, llm.can_pad, llm.can_branch] == [False] * 3
    assert llm.context_length == 600 - config.pad_token_id - 1


def test_logits_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = hf.GPT2LMHeadModel(_gpt2())
    folder = write(tmp_path / "llm", model)
    with torch.no_grad():
        model.transformer.ln_f.weight[0] = float("inf")
    model.save_pretrained(folder)
    with pytest.raises(ValueError, match="gives logits that are no numbers"):
        load(folder)


def test_a_decoder_of_an_encoders_family_is_an_llm(tmp_path: Path) -> None:
    folder = write(tmp_path / "llm", hf.BertLMHeadModel(hf.BertConfig(**SIZES, is_decoder=True)))
    assert load(folder).keeps_logits


def test_a_tokenizer_of_another_llm_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "llm", hf.LlamaForCausalLM(llama(vocab_size=300)))
    largest = len(tiny_tokenizer()) - 1
    with pytest.raises(ValueError, match=f"token ids up to {largest}, but the LLM has embeddings for 300 tokens"):
        load(folder)


def test_an_added_token_without_embedding_is_refused_where_it_occurs(tmp_path: Path) -> None:
    folder = tiny_llm_dir(tmp_path / "llm")
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["zebra"])
    tokenizer.save_pretrained(folder)
    model = tiny_model(folder)
    model.prepare([Message("user", (Text("what is a frog?"),))])
    with pytest.raises(SampleError, match="no embedding for the token 'zebra'"):
        model.prepare([Message("user", (Text("what is a zebra?"),))])


def xlstm(folder: Path) -> Path:
    kernels = {
        "chunkwise_kernel": "chunkwise--native_autograd",
        "sequence_kernel": "native_sequence__native",
        "step_kernel": "native",
    }
    sizes = {name: value for name, value in SIZES.items() if name not in ("intermediate_size", "num_attention_heads")}
    config = hf.xLSTMConfig(**sizes, num_heads=4, num_blocks=2, chunk_size=8, mode="inference", **kernels)
    return write(folder, hf.xLSTMForCausalLM(config))


def test_an_llm_that_ignores_logits_to_keep_gives_the_right_loss(tmp_path: Path) -> None:
    model = tiny_model(xlstm(tmp_path / "llm"))
    assert not model.llm.keeps_logits
    example = model.prepare(
        [Message("user", (Text("what is this frog"),)), Message("assistant", (Text("a frog"),))], answer=True
    )
    embeds = model.embed_examples([example])[0].embeds[None]
    with torch.no_grad():
        log_probabilities = model.llm.model(inputs_embeds=embeds, use_cache=False).logits[0].float().log_softmax(-1)
    index = (example.labels[1:] >= 0).nonzero().flatten()
    expected = -log_probabilities[index, example.labels[1:][index]].sum()
    torch.testing.assert_close(model([example], num_answer_tokens=1), expected, rtol=1e-4, atol=1e-4)


def test_logits_are_kept_alike_by_llms_that_do_and_do_not(tiny_llm: Path) -> None:
    llm = load(tiny_llm)
    embeds = llm.sample_embeddings(8).reshape(2, 4, -1)
    mask = torch.tensor([[False, True, False, True], [True, False, False, False]])
    for keep in (1, 2, mask):
        with torch.no_grad():
            expected = llm.model(inputs_embeds=embeds).logits
            llm.keeps_logits = False
            found = llm(embeds, keep).logits
        torch.testing.assert_close(found, expected[keep] if isinstance(keep, torch.Tensor) else expected[:, -keep:])


def test_a_model_of_whatever_dtype_loads(tiny_llm: Path) -> None:
    for dtype in ("float32", "bfloat16", "float16"):
        assert load_llm(LLMConfig(str(tiny_llm), dtype=dtype)).keeps_logits


class Runs:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (eval, ("1 + 1",))


def test_a_pickle_with_more_than_tensors_is_not_opened(tmp_path: Path) -> None:
    folder = write(tmp_path / "llm", hf.LlamaForCausalLM(llama()))
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Runs()}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"model\.llm\.name: .*llm: its weights are a pickle with more than tensors"):
        load(folder)


def test_what_transformers_stumbles_over_is_said_with_the_key(tmp_path: Path) -> None:
    folder = write(tmp_path / "llm", hf.LlamaForCausalLM(llama()))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "torchao"}}))
    with pytest.raises(ValueError, match=r"model\.llm\.name: .*llm"):
        load(folder)
