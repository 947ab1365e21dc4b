"""Write a joint space as a `Router` of sentence-transformers: texts and pictures go through modules of their own.

Each route is a network of transformers, a pooling, and the head's layers; all embeddings are of unit length.
Shapes: B items, D width of the space.
"""

import importlib.util
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from omni.exporting.folder import exporting
from omni.joint_space import JointSpace
from omni.joint_space.card import render_space_card
from omni.joint_space.inputs import TEXT
from omni.joint_space.interaction import POOLED
from omni.runtime.quiet import quiet_loading

_LARGEST_ERROR = 1e-4  # of an entry of a unit embedding, in float32
_IMAGE = "image"
_POOLINGS = {"mean": "mean", "first": "cls"}


@dataclass(frozen=True)
class RouterExport:
    """What was written: the folder, its modalities, and the largest difference of an entry of an embedding."""

    path: Path
    modalities: tuple[str, ...]
    error: float


def export_sentence_transformer(space: JointSpace, output: Path) -> RouterExport:
    """Write `space` as a folder that `SentenceTransformer(folder)` loads, and check its embeddings.

    Raises:
        ValueError: sentence-transformers is not installed, something of the space cannot be said in it, or what was
            written gives other embeddings.
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        raise ValueError("this export needs the package sentence-transformers 6: pip install sentence-transformers")
    if space.interaction != POOLED:
        raise ValueError(
            f"joint_space.interaction: {space.interaction}, which compares items by many embeddings; a Router of "
            "sentence-transformers gives one"
        )
    card = render_space_card({name: space.modality(name) for name in space.modalities}, space.dim, space.card)
    with tempfile.TemporaryDirectory() as parts:
        routes = {name: _route(space, name, Path(parts) / name) for name in space.modalities}
        from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]
        from sentence_transformers.base.modules.router import Router  # pyright: ignore[reportMissingImports]
        from sentence_transformers.sentence_transformer.modules import Normalize  # pyright: ignore[reportMissingImports]

        router = Router(routes, default_route=TEXT if TEXT in routes else None, allow_empty_key=False)
        exported = SentenceTransformer(modules=[router, Normalize()], device="cpu")
        with exporting(output) as temporary:
            with quiet_loading():
                exported.save(str(temporary))
                loaded = SentenceTransformer(str(temporary), device="cpu")
            error = _check(space, loaded)
            about = "Written by omni for sentence-transformers: `SentenceTransformer(FOLDER).encode([...])` takes texts"
            about += " and pictures (PIL.Image), and gives the space's embeddings.\n\n"
            (temporary / "README.md").write_text(about + card, encoding="utf-8")
    return RouterExport(output, tuple(routes), error)


def _route(space: JointSpace, name: str, folder: Path) -> list[Any]:
    """The modules of one modality; `folder` takes its network for as long as they are made."""
    from sentence_transformers.base.modules.dense import Dense  # pyright: ignore[reportMissingImports]
    from sentence_transformers.base.modules.transformer import Transformer  # pyright: ignore[reportMissingImports]
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling  # pyright: ignore[reportMissingImports]

    key = f"joint_space.modalities.{name}"
    network, settings = _save_tower(space, name, folder, key)
    dtype = next(network.parameters()).dtype
    if dtype != torch.float32:
        raise ValueError(f"{key}.encoder.dtype: {dtype}; export a space whose encoders are loaded in float32")
    head = space.modality(name).head
    try:
        layers = head.plain_layers()
    except ValueError as error:
        raise ValueError(f"{key}.head: {error}") from error
    kind = TEXT if name == TEXT else _IMAGE
    how = {kind: {"method": "forward", "method_output_name": "last_hidden_state"}}
    transformer = Transformer(
        str(folder), modality_config=cast(Any, how), module_output_name="token_embeddings", **settings
    )
    modules: list[Any] = [transformer, Pooling(head.feature_dim, cast(Any, _POOLINGS[head.pooling]))]
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.LayerNorm):
            modules.append(LayerNorm(head.feature_dim))
            modules[-1].norm.load_state_dict(layer.state_dict())
        elif isinstance(layer, nn.Linear):
            has_gelu = any(isinstance(after, nn.GELU) for after in layers[index + 1 : index + 2])
            modules.append(
                Dense(
                    layer.in_features, layer.out_features, activation_function=nn.GELU() if has_gelu else nn.Identity()
                )
            )
            modules[-1].linear.load_state_dict(layer.state_dict())
    return modules


def _save_tower(space: JointSpace, name: str, folder: Path, key: str) -> tuple[nn.Module, dict[str, Any]]:
    encoder = space.modality(name).encoder
    try:
        if name == TEXT:
            text = encoder.text_tower()
            cast(Any, text.network).save_pretrained(folder)
            text.tokenizer.save_pretrained(folder)
            return text.network, {"max_seq_length": text.max_tokens}
        if name != _IMAGE:
            raise ValueError(f"a Router has no modality {name}; it has text and image")
        tower = encoder.vision_tower()
    except ValueError as error:
        raise ValueError(f"{key}.encoder: {error}") from error
    if tower.layers != (-1,) or (tower.num_prefix and not tower.keeps_prefix):
        raise ValueError(
            f"{key}.encoder: a Router pools all last hidden states, so layers must be -1 and keep_class_token true"
        )
    cast(Any, tower.network).save_pretrained(folder)
    tower.processor.save_pretrained(folder)
    return tower.network, {"processor_kwargs": {"backend": "pil"}}


def _check(space: JointSpace, loaded: Any) -> float:
    """Compare embeddings of a few items of each modality: the largest difference of an entry."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)
    items: Mapping[str, list[Any]] = {
        TEXT: ["a frog", "Two dogs, and a bell that was heard in the distance.", "word " * 300],
        _IMAGE: [Image.fromarray(one) for one in pixels],
    }
    worst = 0.0
    for name in space.modalities:
        expected = space.embed({name: items[name]})[name].cpu()
        found = cast(Tensor, loaded.encode(items[name], convert_to_tensor=True, show_progress_bar=False)).cpu()
        error = (found - expected).abs().max().item() if found.shape == expected.shape else float("nan")
        if not error <= _LARGEST_ERROR:
            raise ValueError(
                f"joint_space.modalities.{name}.encoder: sentence-transformers gives other embeddings (entries differ "
                f"by {error:.1e}), so nothing was written"
            )
        worst = max(worst, error)
    return worst
