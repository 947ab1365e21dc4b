"""The Q-Former against its references: LAVIS's golden numbers, and the two Q-Formers of transformers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    Blip2QFormerConfig,
    Blip2QFormerModel,
    InstructBlipQFormerConfig,
    InstructBlipQFormerModel,
    PreTrainedModel,
)

from adapters import Instruction, QFormer
from adapters.qformer_keys import load_qformer_weights

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = 1e-5  # of the largest absolute value: a wrong GELU or epsilon moves the result by 2e-5 to 3e-4
NUM_QUERIES, HIDDEN_DIM, FEATURE_DIM, LLM_DIM = 6, 32, 20, 24
ALL_BUT_BODY = ["query_tokens", "feature_norm", "projection"]


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())


def small_qformer(instruction_tokenizer: str | None, *, feature_norm: bool = False) -> QFormer:
    torch.manual_seed(1)
    return QFormer(
        FEATURE_DIM,
        LLM_DIM,
        num_queries=NUM_QUERIES,
        hidden_dim=HIDDEN_DIM,
        num_layers=5,
        num_heads=4,
        intermediate_dim=48,
        cross_attention_frequency=3,
        instruction_tokenizer=instruction_tokenizer,
        vocab_size=60,
        max_positions=40,
        feature_norm=feature_norm,
    ).eval()


def hugging_face_sizes() -> dict[str, Any]:
    return {
        "vocab_size": 60,
        "hidden_size": HIDDEN_DIM,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 40,
        "cross_attention_frequency": 3,
        "encoder_hidden_size": FEATURE_DIM,
    }


def randomise(model: PreTrainedModel) -> PreTrainedModel:
    """Weights large enough, and biases and norms away from 0 and 1, that every one of them shows in the output."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def ragged_mask(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN / "lavis_qformer_a.safetensors")


@pytest.fixture(scope="module")
def golden_qformer(golden: dict[str, Tensor]) -> QFormer:
    constructor = json.loads((GOLDEN / "lavis_qformer_a.json").read_text())["constructor"]
    bert = constructor["BertConfig"]
    qformer = QFormer(
        constructor["encoder_width"],
        LLM_DIM,
        num_queries=constructor["query_length"],
        hidden_dim=bert["hidden_size"],
        num_layers=bert["num_hidden_layers"],
        num_heads=bert["num_attention_heads"],
        intermediate_dim=bert["intermediate_size"],
        cross_attention_frequency=constructor["cross_attention_freq"],
        instruction_tokenizer="bert-base-uncased",
        vocab_size=bert["vocab_size"],
        max_positions=bert["max_position_embeddings"],
        layer_norm_eps=bert["layer_norm_eps"],
        feature_norm=False,
    )
    weights = {name.removeprefix("weights."): value for name, value in golden.items() if name.startswith("weights.")}
    load_qformer_weights(qformer, weights, fresh=["projection"])
    return qformer.eval()


@pytest.mark.parametrize("case", ["query_out", "query_out_full_encoder_mask", "query_out_no_text"])
@torch.no_grad()
def test_qformer_equals_lavis(golden: dict[str, Tensor], golden_qformer: QFormer, case: str) -> None:
    mask = None if case == "query_out_full_encoder_mask" else golden["input.encoder_mask"].bool()
    instruction = Instruction(golden["input.text_ids"], golden["input.text_mask"].bool())
    states, _ = golden_qformer.read(
        golden["input.encoder_states"], mask, None if case == "query_out_no_text" else instruction
    )
    assert_equal(states, golden[f"output.{case}"])


@torch.no_grad()
def test_every_layer_equals_lavis(golden: dict[str, Tensor], golden_qformer: QFormer) -> None:
    outputs: list[Tensor] = []

    def keep_output(_layer: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        outputs.append(output)

    hooks = [layer.register_forward_hook(keep_output) for layer in golden_qformer.layers]
    instruction = Instruction(golden["input.text_ids"], golden["input.text_mask"].bool())
    golden_qformer.read(golden["input.encoder_states"], golden["input.encoder_mask"].bool(), instruction)
    for hook in hooks:
        hook.remove()
    assert len(outputs) == 4
    for index, output in enumerate(outputs, start=1):
        assert_equal(output[:, : golden_qformer.num_queries], golden[f"output.hidden_{index}_query"])


@pytest.mark.parametrize("text_lengths", [[7, 7, 7], [9, 4, 1], [1, 1, 1]], ids=["full", "ragged", "one_token"])
@pytest.mark.parametrize("feature_lengths", [[11, 11, 11], [11, 5, 1]], ids=["full_features", "ragged_features"])
@torch.no_grad()
def test_qformer_equals_instructblip_of_transformers(text_lengths: list[int], feature_lengths: list[int]) -> None:
    reference = randomise(InstructBlipQFormerModel(InstructBlipQFormerConfig(**hugging_face_sizes())))
    qformer = small_qformer("bert-base-uncased")
    load_qformer_weights(qformer, reference.state_dict(), fresh=ALL_BUT_BODY)

    queries = qformer.query_tokens.expand(3, -1, -1)
    features = torch.randn(3, 11, FEATURE_DIM)
    feature_mask, text_mask = ragged_mask(feature_lengths), ragged_mask(text_lengths)
    token_ids = torch.randint(1, 60, text_mask.shape)
    expected = reference(
        input_ids=token_ids,
        attention_mask=torch.cat([torch.ones(3, NUM_QUERIES), text_mask], dim=1).long(),
        query_embeds=queries,
        encoder_hidden_states=features,
        encoder_attention_mask=feature_mask.long(),
    ).last_hidden_state[:, :NUM_QUERIES]
    states, _ = qformer.read(features, feature_mask, Instruction(token_ids, text_mask))
    assert_equal(states, expected)


@pytest.mark.parametrize("feature_lengths", [[11, 11, 11], [11, 5, 1]], ids=["full_features", "ragged_features"])
@torch.no_grad()
def test_qformer_equals_blip2_of_transformers(feature_lengths: list[int]) -> None:
    reference = randomise(Blip2QFormerModel(Blip2QFormerConfig(**hugging_face_sizes())))
    qformer = small_qformer(None)
    load_qformer_weights(qformer, reference.state_dict(), fresh=ALL_BUT_BODY)
    features, mask = torch.randn(3, 11, FEATURE_DIM), ragged_mask(feature_lengths)
    expected = reference(
        query_embeds=qformer.query_tokens.expand(3, -1, -1),
        encoder_hidden_states=features,
        encoder_attention_mask=mask.long(),
    ).last_hidden_state
    assert_equal(qformer.read(features, mask, None)[0], expected)


@torch.no_grad()
def test_the_instruction_changes_the_tokens_and_its_pads_do_not() -> None:
    qformer = small_qformer("bert-base-uncased")
    with torch.no_grad():
        for parameter in qformer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    features, ids = torch.randn(1, 4, FEATURE_DIM), torch.tensor([[5, 6, 7, 8]])
    mask = torch.tensor([[True, True, False, False]])
    tokens, _ = qformer(features, None, Instruction(ids, mask))
    other_pads, _ = qformer(features, None, Instruction(torch.tensor([[5, 6, 59, 0]]), mask))
    other_text, _ = qformer(features, None, Instruction(torch.tensor([[5, 9, 7, 8]]), mask))
    only_pads, _ = qformer(features, None, Instruction(ids, torch.zeros_like(mask)))
    assert torch.equal(other_pads, tokens)
    assert float((other_text - tokens).abs().max()) > 1e-3
    assert_equal(only_pads, qformer(features)[0])


def test_the_last_layer_holds_no_weights_for_text() -> None:
    layers = list(small_qformer("bert-base-uncased").layers)
    names = [{name.split(".")[0] for name, _ in layer.named_parameters()} for layer in layers]
    assert ["text_feed_forward" in present for present in names] == [True, True, True, True, False]
    assert ["cross_attention" in present for present in names] == [True, False, False, True, False]


def test_default_sizes_have_the_parameters_of_x_instructblip_image() -> None:
    with torch.device("meta"):
        qformer = QFormer(1408, 4096, instruction_tokenizer="bert-base-uncased")
    last_text_layer = 2 * 768 * 3072 + 3072 + 3 * 768
    projection = 768 * 4096 + 4096
    feature_norm, queries = 2 * 1408, 32 * 768
    total = sum(parameter.numel() for parameter in qformer.parameters())
    assert total + last_text_layer - projection - feature_norm - queries == pytest.approx(185.66e6, abs=0.05e6)


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        (
            Instruction(torch.ones(2, 41, dtype=torch.int64), torch.ones(2, 41, dtype=torch.bool)),
            "padded to 41 tokens is longer than the Q-Former's max_positions=40",
        ),
        (
            Instruction(torch.full((2, 3), 60), torch.ones(2, 3, dtype=torch.bool)),
            "token id 60 is outside the Q-Former's vocab_size=60: tokenise with its own instruction_tokenizer",
        ),
        (
            Instruction(torch.ones(1, 3, dtype=torch.int64), torch.ones(1, 3, dtype=torch.bool)),
            r"an instruction for 2 items must be ids \[2, length\]",
        ),
        (
            Instruction(torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 3)),
            "torch.float32 mask",
        ),
    ],
    ids=["too_long", "outside_vocabulary", "other_batch", "float_mask"],
)
def test_an_instruction_that_does_not_fit_is_an_error_that_says_why(instruction: Instruction, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_qformer("bert-base-uncased")(torch.zeros(2, 4, FEATURE_DIM), None, instruction)
