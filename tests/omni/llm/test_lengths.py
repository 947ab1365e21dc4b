"""Lengths at which an LLM computes otherwise, read from configurations and from short runs."""

from pathlib import Path

import pytest
import torch
import transformers as hf
from transformers import AutoModelForCausalLM

from omni.llm.batching import exact_batches
from omni.llm.lengths import UNLIMITED, attention_window, context_length, length_switches

LONGROPE = {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}


@pytest.mark.parametrize(
    ("config", "window"),
    [
        (hf.LlamaConfig(), None),
        (hf.MistralConfig(sliding_window=7), 7),
        (hf.GPTNeoConfig(window_size=5), 5),
        (hf.RecurrentGemmaConfig(attention_window_size=9), 9),
        (hf.ModernBertDecoderConfig(local_attention=12), 6),
        (hf.Llama4TextConfig(attention_chunk_size=64), 64),
        (hf.Qwen2Config(use_sliding_window=False, max_window_layers=3), None),
    ],
)
def test_windows_are_found_under_the_names_of_each_architecture(
    config: hf.PretrainedConfig, window: int | None
) -> None:
    assert attention_window(config) == window


def test_only_positions_that_are_scaled_by_length_switch() -> None:
    assert length_switches(hf.LlamaConfig()) == ()
    yarn = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64, "rope_theta": 1e4}
    assert length_switches(hf.LlamaConfig(rope_parameters=yarn)) == ()
    sizes = {"hidden_size": 8, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 512}
    rope = LONGROPE | {"rope_theta": 1e4, "original_max_position_embeddings": 40}
    assert length_switches(hf.Phi3Config(rope_parameters=rope, original_max_position_embeddings=40, **sizes)) == (40,)


@pytest.mark.parametrize(
    ("config", "length"),
    [
        (hf.GPT2Config(vocab_size=50, n_positions=33, n_embd=8, n_layer=1, n_head=2), 33),
        (hf.OPTConfig(vocab_size=50, max_position_embeddings=20, hidden_size=8, ffn_dim=8, num_hidden_layers=1,
                      num_attention_heads=2, word_embed_proj_dim=8), 20),
        (hf.RobertaConfig(vocab_size=50, max_position_embeddings=30, hidden_size=8, intermediate_size=8,
                          num_hidden_layers=1, num_attention_heads=2, pad_token_id=1, is_decoder=True), 28),
        (hf.MptConfig(vocab_size=50, max_seq_len=24, d_model=8, n_layers=1, n_heads=2), 24),
        (hf.BloomConfig(vocab_size=50, hidden_size=8, n_layer=1, n_head=2), UNLIMITED),
    ],
)  # fmt: skip
def test_the_context_ends_where_the_table_of_positions_does(config: hf.PretrainedConfig, length: int) -> None:
    model = AutoModelForCausalLM.from_config(config).eval()
    assert context_length(model, config, torch.zeros(6, 8)) == length


def test_a_table_that_is_shorter_than_the_configuration_says_counts(tmp_path: Path) -> None:
    config = hf.GPT2Config(vocab_size=50, n_positions=33, n_embd=8, n_layer=1, n_head=2)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.transformer.wpe = torch.nn.Embedding(12, 8)
    assert context_length(model, config, torch.zeros(6, 8)) == 12


def test_conversations_that_are_computed_alike_are_together() -> None:
    lengths = [3, 50, 40, 41, 39]
    assert exact_batches(lengths, lengths, [40], can_batch=True) == [[0, 2, 4], [1, 3]]
    assert exact_batches(lengths, [8, 55, 45, 46, 40], [40], can_batch=True) == [[0, 4], [1, 3], [2]]
    assert exact_batches(lengths, lengths, [], can_batch=True) == [[0, 1, 2, 3, 4]]
    assert exact_batches(lengths, lengths, [], can_batch=False) == [[0], [1], [2], [3], [4]]
    assert exact_batches([], [], [40], can_batch=True) == []
