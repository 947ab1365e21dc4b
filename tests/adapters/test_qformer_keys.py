"""Published Q-Former weights: which layouts load, what is left alone, and what errors say."""

import re

import pytest
import torch
from torch import Tensor

from adapters import QFormer
from adapters.qformer_keys import load_qformer_weights

LAST_LAYER = 2


def small_qformer(instruction_tokenizer: str | None = "bert-base-uncased", *, feature_norm: bool = True) -> QFormer:
    return QFormer(
        10,
        14,
        num_queries=3,
        hidden_dim=8,
        num_layers=LAST_LAYER + 1,
        num_heads=2,
        intermediate_dim=12,
        instruction_tokenizer=instruction_tokenizer,
        vocab_size=20,
        max_positions=6,
        feature_norm=feature_norm,
        embedding_rms=0.1,
    )


def lavis_bert(prefix: str = "") -> dict[str, Tensor]:
    """The whole BERT of a small Q-Former under LAVIS's names, with random values, each name spelt out as published."""
    shapes = {
        "embeddings.word_embeddings.weight": (20, 8),
        "embeddings.position_embeddings.weight": (6, 8),
        "embeddings.LayerNorm.weight": (8,),
        "embeddings.LayerNorm.bias": (8,),
    }
    for layer in range(LAST_LAYER + 1):
        start = f"encoder.layer.{layer}."
        for attention, key_dim in (("attention", 8), ("crossattention", 10)):
            if attention == "attention" or layer % 2 == 0:
                for projection, width in (("query", 8), ("key", key_dim), ("value", key_dim)):
                    shapes[f"{start}{attention}.self.{projection}.weight"] = (8, width)
                    shapes[f"{start}{attention}.self.{projection}.bias"] = (8,)
                shapes[f"{start}{attention}.output.dense.weight"] = (8, 8)
                for name in ("dense.bias", "LayerNorm.weight", "LayerNorm.bias"):
                    shapes[f"{start}{attention}.output.{name}"] = (8,)
        for ending in ("", "_query"):
            shapes[f"{start}intermediate{ending}.dense.weight"] = (12, 8)
            shapes[f"{start}intermediate{ending}.dense.bias"] = (12,)
            shapes[f"{start}output{ending}.dense.weight"] = (8, 12)
            for name in ("dense.bias", "LayerNorm.weight", "LayerNorm.bias"):
                shapes[f"{start}output{ending}.{name}"] = (8,)
    generator = torch.Generator().manual_seed(len(prefix))
    weights = {prefix + name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    weights[prefix + "embeddings.position_ids"] = torch.arange(6)[None]
    return weights


def beside(queries: str, norm: str | None, projection: str | None) -> dict[str, Tensor]:
    weights = {queries: torch.randn(1, 3, 8)}
    if norm is not None:
        weights |= {f"{norm}.weight": torch.randn(10), f"{norm}.bias": torch.randn(10)}
    if projection is not None:
        weights |= {f"{projection}.weight": torch.randn(14, 8), f"{projection}.bias": torch.randn(14)}
    return weights


def x_instructblip(*modalities: str) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {"llm_model.model.norm.weight": torch.ones(3)}
    for modality in modalities:
        weights |= lavis_bert(f"{modality}_Qformer.bert.")
        weights |= beside(f"{modality}_query_tokens", f"{modality}_ln", f"{modality}_llm_proj")
    return weights


def to_hugging_face(name: str) -> str:
    name = name.replace("attention.self.", "attention.attention.").replace(
        "embeddings.LayerNorm", "embeddings.layernorm"
    )
    return name


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_x_instructblip_loads_the_asked_modality(modality: str) -> None:
    checkpoint, qformer = x_instructblip("image", "audio"), small_qformer()
    load_qformer_weights(qformer, checkpoint, modality=modality)
    loaded = qformer.state_dict()
    bert = f"{modality}_Qformer.bert."
    for ours, published in {
        "query_tokens": f"{modality}_query_tokens",
        "feature_norm.bias": f"{modality}_ln.bias",
        "projection.weight": f"{modality}_llm_proj.weight",
        "text_embeddings.word.weight": f"{bert}embeddings.word_embeddings.weight",
        "embedding_norm.weight": f"{bert}embeddings.LayerNorm.weight",
        "layers.2.cross_attention.heads.value.weight": f"{bert}encoder.layer.2.crossattention.self.value.weight",
        "layers.1.attention.norm.bias": f"{bert}encoder.layer.1.attention.output.LayerNorm.bias",
        "layers.0.text_feed_forward.output.bias": f"{bert}encoder.layer.0.output.dense.bias",
        "layers.2.query_feed_forward.norm.weight": f"{bert}encoder.layer.2.output_query.LayerNorm.weight",
    }.items():
        assert torch.equal(loaded[ours], checkpoint[published]), ours
    assert torch.equal(loaded["output_norm.weight"], torch.full((14,), 0.1))


def test_every_loaded_weight_changes() -> None:
    qformer = small_qformer()
    before = {name: weight.clone() for name, weight in qformer.state_dict().items()}
    load_qformer_weights(qformer, x_instructblip("image"))
    unchanged = [name for name, weight in qformer.state_dict().items() if torch.equal(weight, before[name])]
    assert unchanged == ["output_norm.weight"]


def test_blip2_stage_1_keeps_the_projection_and_drops_heads_and_text() -> None:
    checkpoint = lavis_bert("Qformer.bert.") | beside("query_tokens", "ln_vision", None)
    checkpoint |= {
        "Qformer.cls.predictions.bias": torch.ones(20),
        "temp": torch.ones(()),
        "itm_head.bias": torch.ones(2),
    }
    qformer = small_qformer(None)
    projection = qformer.projection.weight.clone()
    load_qformer_weights(qformer, checkpoint, fresh=["projection"])
    assert torch.equal(qformer.projection.weight, projection)
    assert torch.equal(qformer.state_dict()["feature_norm.weight"], checkpoint["ln_vision.weight"])
    assert torch.equal(qformer.query_tokens, checkpoint["query_tokens"])


@pytest.mark.parametrize("projection", ["llm_proj", "t5_proj", "opt_proj"])
def test_lavis_projections_load_under_each_of_their_names(projection: str) -> None:
    checkpoint = lavis_bert("Qformer.bert.") | beside("query_tokens", "ln_vision", projection)
    qformer = small_qformer()
    load_qformer_weights(qformer, checkpoint)
    assert torch.equal(qformer.projection.bias, checkpoint[f"{projection}.bias"])


def test_a_whole_hugging_face_model_loads() -> None:
    checkpoint = {to_hugging_face(name): weight for name, weight in lavis_bert("qformer.").items()}
    checkpoint |= beside("query_tokens", None, "language_projection")
    checkpoint["vision_model.encoder.layers.0.layer_norm1.bias"] = torch.ones(10)
    qformer = small_qformer(feature_norm=False)
    load_qformer_weights(qformer, checkpoint)
    assert torch.equal(qformer.projection.weight, checkpoint["language_projection.weight"])
    assert torch.equal(qformer.embedding_norm.bias, checkpoint["qformer.embeddings.layernorm.bias"])


def test_fresh_parts_keep_their_values_as_x_instructblip_starts_audio() -> None:
    qformer = small_qformer()
    before = {name: weight.clone() for name, weight in qformer.state_dict().items()}
    fresh = ["projection", "feature_norm", "self_attention", "cross_attention"]
    checkpoint = x_instructblip("image")
    checkpoint["image_Qformer.bert.encoder.layer.0.crossattention.self.key.weight"] = torch.zeros(8, 99)
    load_qformer_weights(qformer, checkpoint, fresh=fresh)
    kept = {name for name, weight in qformer.state_dict().items() if torch.equal(weight, before[name])}
    starts = ("projection.", "feature_norm.", "output_norm.")
    assert kept == {name for name in before if name.startswith(starts) or "attention." in name}


def test_all_wrong_weights_are_named_and_nothing_is_loaded() -> None:
    checkpoint = x_instructblip("image")
    bert = "image_Qformer.bert."
    del checkpoint["image_ln.bias"]
    checkpoint[f"{bert}encoder.layer.3.attention.self.key.bias"] = torch.ones(8)
    checkpoint[f"{bert}pooler.dense.bias"] = torch.ones(8)
    checkpoint[f"{bert}embeddings.word_embeddings.weight"] = torch.ones(21, 8)
    qformer = small_qformer()
    before = {name: weight.clone() for name, weight in qformer.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit") as error:
        load_qformer_weights(qformer, checkpoint)
    for line in (
        "(4 weights)",
        "missing: feature_norm.bias",
        "unexpected: layers.3.attention.heads.key.bias",
        "unexpected: image_Qformer.bert.pooler.dense.bias",
        "misshaped: text_embeddings.word.weight is [21, 8] in the checkpoint, [20, 8] in the adapter",
    ):
        assert line in str(error.value)
    assert all(torch.equal(weight, before[name]) for name, weight in qformer.state_dict().items())


def test_missing_text_weights_are_an_error_for_an_instruction_aware_qformer() -> None:
    checkpoint = {name: weight for name, weight in x_instructblip("image").items() if ".intermediate.dense" not in name}
    with pytest.raises(ValueError, match=re.escape("missing: layers.0.text_feed_forward.intermediate.bias")):
        load_qformer_weights(small_qformer(), checkpoint)


def test_several_modalities_without_a_choice_are_an_error_that_lists_them() -> None:
    with pytest.raises(ValueError, match=re.escape("has ['image', 'pc'], got None")):
        load_qformer_weights(small_qformer(), x_instructblip("image", "pc"))
    with pytest.raises(ValueError, match=re.escape("has ['image', 'pc'], got 'audio'")):
        load_qformer_weights(small_qformer(), x_instructblip("image", "pc"), modality="audio")


def test_a_state_dict_without_a_qformer_is_an_error_that_shows_its_keys() -> None:
    with pytest.raises(ValueError, match=r"no Q-Former in the state dict.*'model'.*key 'model'"):
        load_qformer_weights(small_qformer(), {"model": torch.ones(1)})


def test_an_unknown_part_is_an_error_that_lists_the_parts() -> None:
    with pytest.raises(ValueError, match=r"unknown parts \['head'\].*'projection', 'query_tokens'"):
        load_qformer_weights(small_qformer(), x_instructblip("image"), fresh=["head"])
