"""Translate EVA-CLIP's names between transformers, in BLIP-2 and InstructBLIP (`vision_model.*`), and LAVIS.

`vision_model.post_layernorm` is left out, since LAVIS keeps it with the Q-Former (`ln_vision`).
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

TRANSFORMERS_PREFIX = "vision_model."
POST_NORM = "vision_model.post_layernorm."

# transformers -> LAVIS
_RENAMES = {
    "embeddings.class_embedding": "cls_token",
    "embeddings.position_embedding": "pos_embed",
    "embeddings.patch_embedding.": "patch_embed.proj.",
}
_BLOCK_RENAMES = {
    "self_attn.qkv.": "attn.qkv.",
    "self_attn.projection.": "attn.proj.",
    "layer_norm1.": "norm1.",
    "layer_norm2.": "norm2.",
    "mlp.": "mlp.",
}
_BLOCK = re.compile(r"encoder\.layers\.(\d+)\.")


def lavis_name(name: str) -> str | None:
    """Return LAVIS' name of a tensor of `vision_model`; None if it is no part of the network."""
    inner = name.removeprefix(TRANSFORMERS_PREFIX)
    if inner == name or name.startswith(POST_NORM):
        return None
    block = _BLOCK.match(inner)
    start, rest, renames = (
        (f"blocks.{block[1]}.", inner[block.end() :], _BLOCK_RENAMES) if block else ("", inner, _RENAMES)
    )
    for theirs, ours in renames.items():
        if rest == theirs or (theirs.endswith(".") and rest.startswith(theirs)):
            return start + ours + rest.removeprefix(theirs)
    return name


def transformers_name(name: str) -> str:
    """Return the name in `vision_model` of a tensor of LAVIS; the biases of queries, keys and values are one tensor."""
    block = re.match(r"blocks\.(\d+)\.", name)
    start, rest, renames = (
        (f"encoder.layers.{block[1]}.", name[block.end() :], _BLOCK_RENAMES) if block else ("", name, _RENAMES)
    )
    if rest in ("attn.q_bias", "attn.v_bias"):
        rest = "attn.qkv.bias"
    for theirs, ours in renames.items():
        if rest == ours or (ours.endswith(".") and rest.startswith(ours)):
            return TRANSFORMERS_PREFIX + start + theirs + rest.removeprefix(ours)
    return name


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's weights under LAVIS' names; an unknown name stays, so that a strict load reports it.

    The bias of the keys is left out: it adds the same to all scores of a query, which the softmax takes away.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        ours = lavis_name(name)
        if ours is None:
            continue
        if ours.endswith("attn.qkv.bias") and len(tensor) % 3 == 0:
            query, _, value = tensor.chunk(3)
            found[ours.replace("qkv.bias", "q_bias")] = query
            found[ours.replace("qkv.bias", "v_bias")] = value
        else:
            found[ours] = tensor
    return found


def size_from_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `EvaClipSize` that the `vision_config` of a model of transformers has."""
    names = {
        "width": "hidden_size",
        "num_blocks": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "mlp_width": "intermediate_size",
        "patch_size": "patch_size",
        "norm_epsilon": "layer_norm_eps",
    }
    return {ours: config[theirs] for ours, theirs in names.items() if theirs in config}
