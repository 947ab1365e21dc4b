"""EVA-CLIP against the reference's golden numbers, the published layout, and CLIP's processor of transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPImageProcessorPil

from omni.encoders.eva_clip import EvaClipEncoder, EvaClipNetwork, EvaClipSize, interpolate_positions
from omni.media.item import Media
from tests.golden_numbers import Golden

GOLDEN = Golden("eva_vit_tiny")
SIZE = {"width": 48, "num_blocks": 3, "num_heads": 4, "mlp_width": 209}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("eva") / "eva.safetensors"
    save_file(GOLDEN.weights, path)
    return path


def test_tokens_of_every_block_equal_the_reference(weights: Path) -> None:
    encoder = EvaClipEncoder(weights, image_size=56, size=SIZE)
    GOLDEN.assert_equals("tokens", encoder({"pixels": GOLDEN.inputs["image"]}).values)
    given = []
    for block in encoder.network.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: given.append(output))
    encoder({"pixels": GOLDEN.inputs["image"]})
    for index, tokens in enumerate(given):
        GOLDEN.assert_equals(f"block_{index}", tokens)


def test_another_resolution_interpolates_positions_as_the_reference(weights: Path) -> None:
    GOLDEN.assert_equals("pos_embed_84", interpolate_positions(GOLDEN.weights["pos_embed"], 6))
    encoder = EvaClipEncoder(weights, image_size=84, size=SIZE)
    GOLDEN.assert_equals("tokens_84", encoder({"pixels": GOLDEN.inputs["image_84"]}).values)
    assert encoder.max_features == 37


def test_the_published_layout_has_39_blocks_of_width_1408() -> None:
    with torch.device("meta"):
        published = EvaClipNetwork(EvaClipSize(), num_tokens=257)
    state = published.state_dict()
    assert len(state) == 4 + 39 * 13
    assert sum(parameter.numel() for parameter in published.parameters()) / 1e6 == pytest.approx(985.9, abs=0.1)
    assert list(state["blocks.38.mlp.fc1.weight"].shape) == [6144, 1408]
    assert list(state["patch_embed.proj.weight"].shape) == [1408, 3, 14, 14]
    assert "blocks.38.attn.q_bias" in state


def test_weights_are_found_in_a_checkpoint_of_a_whole_model_and_beside_unused_parts(
    weights: Path, tmp_path: Path
) -> None:
    expected = EvaClipEncoder(weights, image_size=56, size=SIZE)({"pixels": GOLDEN.inputs["image"]}).values
    whole = {f"visual_encoder.{key}": value for key, value in GOLDEN.weights.items()}
    torch.save(
        {"model": {**whole, "query_tokens": torch.zeros(1)}, "config": {"arch": "blip2"}}, tmp_path / "blip2.pth"
    )
    unused = {"blocks.3.norm1.weight": torch.zeros(48), "norm.bias": torch.zeros(48), "head.weight": torch.zeros(2, 48)}
    torch.save({**GOLDEN.weights, **unused}, tmp_path / "eva.pth")
    for file in ("blip2.pth", "eva.pth"):
        encoder = EvaClipEncoder(tmp_path / file, image_size=56, size=SIZE)
        assert torch.equal(encoder({"pixels": GOLDEN.inputs["image"]}).values, expected)
        assert encoder.features_per_clip({"pixels": GOLDEN.inputs["image"]}) == expected.shape[1]


def test_loading_names_missing_unexpected_and_misshaped_keys(tmp_path: Path) -> None:
    state = dict(GOLDEN.weights)
    del state["blocks.1.attn.v_bias"]
    state["blocks.1.attn.k_bias"] = torch.zeros(48)
    state["cls_token"] = torch.zeros(1, 1, 47)
    save_file(state, tmp_path / "changed.safetensors")
    with pytest.raises(ValueError, match=r"missing: blocks\.1\.attn\.v_bias; unexpected: blocks\.1\.attn\.k_bias; "):
        EvaClipEncoder(tmp_path, image_size=56, size=SIZE)
    with pytest.raises(ValueError, match=r"wrong shape: cls_token is \[1, 1, 47\] instead of \[1, 1, 48\]"):
        EvaClipEncoder(tmp_path, image_size=56, size=SIZE)


def test_pictures_are_squeezed_or_cropped_and_normalised_as_clip_does(weights: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8))
    for crop, settings in ((False, {"size": {"height": 56, "width": 56}, "do_center_crop": False}), (True, {})):
        if crop:
            settings = {"size": {"shortest_edge": 56}, "crop_size": 56}
        expected = CLIPImageProcessorPil(**settings)(picture, return_tensors="pt")["pixel_values"]
        encoder = EvaClipEncoder(weights, image_size=56, crop=crop, size=SIZE)
        actual = encoder.preprocess(Media("image", data=picture))["pixels"]
        assert float((actual - expected).abs().max()) < 1e-5


def test_batched_equals_single_and_bfloat16_stays_close(weights: Path) -> None:
    encoder = EvaClipEncoder(weights, image_size=56, size=SIZE)
    pixels = torch.randn(35, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    values = encoder({"pixels": pixels}).values
    torch.testing.assert_close(values[33:34], encoder({"pixels": pixels[33:34]}).values, atol=1e-5, rtol=0)
    half = EvaClipEncoder(weights, image_size=56, dtype="bfloat16", size=SIZE)({"pixels": pixels}).values
    assert half.dtype == torch.bfloat16
    assert torch.cosine_similarity(half.float(), values, dim=-1).min() > 0.99
    with pytest.raises(ValueError, match="image_size is 60; it must be a multiple of 14"):
        EvaClipEncoder(weights, image_size=60, size=SIZE)
    with pytest.raises(ValueError, match=r"size.depth: unknown key; there are .*num_blocks.*width"):
        EvaClipEncoder(weights, size={"depth": 3})
