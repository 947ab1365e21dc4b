"""Synthetic checkpoints in the published key layouts: full key lists, tiny widths, random values."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tests.golden_numbers import Golden
from tests.omni.published.table_tokenizer import save_table_tokenizer

NUM_LAYERS, HIDDEN, INTERMEDIATE, NUM_QUERIES, MAX_POSITIONS = 12, 24, 40, 32, 16
WORDS = 30  # of the instructions' tokenizer; the weights have a row more, for [DEC]
LLM_DIM = 32  # of tests.tiny's LLM
FEATURES = {"image": 48, "video": 48, "audio": 48, "pc": 40}  # of the tiny encoders below
EVA_SIZE = {"width": 48, "num_blocks": 3, "num_heads": 4, "mlp_width": 209}
POINT_BERT_SIZE = {"width": 48, "num_blocks": 3, "num_heads": 4, "group_width": 32, "embedding_dim": 40}


def qformer(body: str, features: int, *, text: bool = True, seed: int = 0) -> dict[str, Tensor]:
    """The whole BERT of a published Q-Former, each name spelt out as LAVIS writes it."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
    }
    if text:
        shapes["embeddings.word_embeddings.weight"] = (WORDS + 1, HIDDEN)
        shapes["embeddings.position_embeddings.weight"] = (MAX_POSITIONS, HIDDEN)
    for layer in range(NUM_LAYERS):
        start = f"encoder.layer.{layer}."
        for attention, width in (("attention", HIDDEN), ("crossattention", features)):
            if attention == "attention" or layer % 2 == 0:
                for projection, key_width in (("query", HIDDEN), ("key", width), ("value", width)):
                    shapes[f"{start}{attention}.self.{projection}.weight"] = (HIDDEN, key_width)
                    shapes[f"{start}{attention}.self.{projection}.bias"] = (HIDDEN,)
                shapes[f"{start}{attention}.output.dense.weight"] = (HIDDEN, HIDDEN)
                for name in ("dense.bias", "LayerNorm.weight", "LayerNorm.bias"):
                    shapes[f"{start}{attention}.output.{name}"] = (HIDDEN,)
        for ending in ("", "_query") if text else ("_query",):
            shapes[f"{start}intermediate{ending}.dense.weight"] = (INTERMEDIATE, HIDDEN)
            shapes[f"{start}intermediate{ending}.dense.bias"] = (INTERMEDIATE,)
            shapes[f"{start}output{ending}.dense.weight"] = (HIDDEN, INTERMEDIATE)
            for name in ("dense.bias", "LayerNorm.weight", "LayerNorm.bias"):
                shapes[f"{start}output{ending}.{name}"] = (HIDDEN,)
    generator = torch.Generator().manual_seed(seed)
    weights = {body + name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    weights[body + "embeddings.position_ids"] = torch.arange(MAX_POSITIONS)[None]
    return weights


def beside(queries: str, norm: str, projection: str, features: int, llm_dim: int, seed: int = 0) -> dict[str, Tensor]:
    """Query tokens, norm of the features and projection."""
    generator = torch.Generator().manual_seed(100 + seed)
    shapes = {
        queries: (1, NUM_QUERIES, HIDDEN),
        f"{norm}.weight": (features,),
        f"{norm}.bias": (features,),
        f"{projection}.weight": (llm_dim, HIDDEN),
        f"{projection}.bias": (llm_dim,),
    }
    return {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def x_instructblip(name: str, llm_dim: int = LLM_DIM) -> dict[str, Tensor]:
    """What LAVIS saves of X-InstructBLIP with one modality: what is trained, and the buffers of all."""
    seed = ["image", "video", "audio", "pc"].index(name)
    features = FEATURES[name]
    return {
        **qformer(f"{name}_Qformer.bert.", features, seed=seed),
        **beside(f"{name}_query_tokens", f"{name}_ln", f"{name}_llm_proj", features, llm_dim, seed),
        "llm_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "pc_encoder.point_encoder.encoder.first_conv.1.running_mean": torch.zeros(128),
        "pc_encoder.point_encoder.encoder.first_conv.1.num_batches_tracked": torch.tensor(7),
    }


def blip(projection: str, *, text: bool, llm_dim: int = LLM_DIM) -> dict[str, Tensor]:
    """InstructBLIP or BLIP-2 without its vision encoder, as LAVIS publishes them."""
    features = FEATURES["image"]
    weights = qformer("Qformer.bert.", features, text=text)
    return weights | beside("query_tokens", "ln_vision", projection, features, llm_dim)


def save(weights: Mapping[str, object], path: Path) -> Path:
    """Write a checkpoint as LAVIS does, with what it keeps of the training; returns the path."""
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-5}]}
    wrapped = {
        "model": dict(weights),
        "optimizer": optimizer,
        "config": {"run": {"amp": True}},
        "scaler": {"scale": 1.0},
    }
    torch.save(wrapped | {"iters": 65000}, path)
    return path


def write_encoders(folder: Path) -> dict[str, Path]:
    """Tiny encoders in their published layouts, with what the published files hold beside them."""
    eva = Golden("eva_vit_tiny").weights
    unused = {"norm.weight": torch.ones(48), "head.weight": torch.ones(5, 48), "blocks.3.norm1.bias": torch.ones(48)}
    torch.save(eva | unused, folder / "eva_vit_g.pth")
    beats = Golden("beats_tiny")
    torch.save({"cfg": beats.details["constructor"], "model": beats.weights}, folder / "BEATs.pt")
    towers = {"visual.conv1.weight": torch.ones(2), "logit_scale": torch.ones(())}
    points = {f"module.{name}": value for name, value in (Golden("point_bert_tiny").weights | towers).items()}
    torch.save({"epoch": 250, "state_dict": points, "args": argparse.Namespace(model="ulip")}, folder / "ulip2.pt")
    return {"eva": folder / "eva_vit_g.pth", "beats": folder / "BEATs.pt", "ulip2": folder / "ulip2.pt"}


def write_bert(folder: Path) -> Path:
    """A tokenizer of instructions with as many words as the weights have, but for [DEC]; every text is one word."""
    texts = {"what is this?": [5, 6, 7], "describe it": [8, 9]}
    return save_table_tokenizer(folder, texts, WORDS, {"[PAD]": 0, "[UNK]": 1}, eos="[UNK]", pad="[PAD]")
