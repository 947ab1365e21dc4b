"""Point-BERT against the reference's golden numbers, grouping against plain loops, and ULIP's layout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from omni.encoders.point_bert import PointBertEncoder, PointBertNetwork, PointBertSize
from omni.encoders.point_groups import farthest_points, nearest_neighbours
from omni.media.item import Media
from tests.golden_numbers import Golden

GOLDEN = Golden("point_bert_tiny")
SIZE = {"width": 48, "num_blocks": 3, "num_heads": 4, "group_width": 32, "embedding_dim": 40}
POINTS = GOLDEN.inputs["points"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("points") / "ulip.safetensors"
    save_file(GOLDEN.weights, path)
    return path


def small_encoder(weights: Path, output: str = "embedding", **settings: object) -> PointBertEncoder:
    sizes = {"num_points": 256, "num_groups": 16, "group_size": 8, "size": SIZE} | settings
    return PointBertEncoder(weights, output, **sizes)  # pyright: ignore[reportArgumentType]


def test_transformer_equals_the_reference_on_its_groups(weights: Path) -> None:
    network = small_encoder(weights).network
    encoder = network.point_encoder
    groups, centres = GOLDEN.inputs["neighborhood"], GOLDEN.inputs["center"]
    GOLDEN.assert_equals("group_feat", encoder.encoder(groups))
    GOLDEN.assert_equals("group_tokens", encoder.reduce_dim(encoder.encoder(groups)))
    GOLDEN.assert_equals("pos", encoder.pos_embed(centres))
    tokens = encoder(groups, centres)
    GOLDEN.assert_equals("tokens", tokens)
    GOLDEN.assert_equals("pc_embed", network.embed(tokens))


def test_points_are_grouped_as_the_reference_does() -> None:
    for suffix, start in (("", GOLDEN.inputs["fps_start"]), ("_start0", torch.zeros(2, dtype=torch.long))):
        chosen = farthest_points(POINTS, 16, start)
        centres = torch.stack([cloud[index] for cloud, index in zip(POINTS, chosen, strict=True)])
        groups = nearest_neighbours(POINTS, centres, 8)
        if not suffix:
            assert torch.equal(chosen, GOLDEN.inputs["fps_idx"])
            expected_centres, expected_groups = GOLDEN.inputs["center"], GOLDEN.inputs["neighborhood"]
        else:
            expected_centres = GOLDEN.outputs["center_start0"]
            expected_groups = GOLDEN.outputs["neighborhood_start0"]
        assert torch.equal(centres, expected_centres)
        torch.testing.assert_close(in_order(groups), in_order(expected_groups), atol=1e-6, rtol=0)


def in_order(groups: Tensor) -> Tensor:
    """The points of each group by their first coordinate, since their order in a group means nothing."""
    order = groups[..., 0].argsort(dim=-1)
    return groups.gather(2, order[..., None].expand_as(groups))


def test_from_points_to_embedding_equals_the_reference(weights: Path) -> None:
    encoder = small_encoder(weights)
    drawn = encoder({"points": POINTS, "start": GOLDEN.inputs["fps_start"]}).values
    GOLDEN.assert_equals("pc_embed", drawn[:, 0])
    first = encoder({"points": POINTS, "start": torch.zeros(2, dtype=torch.long)}).values
    GOLDEN.assert_equals("pc_embed_start0", first[:, 0])
    tokens = small_encoder(weights, "tokens")({"points": POINTS, "start": GOLDEN.inputs["fps_start"]}).values
    GOLDEN.assert_equals("tokens", tokens)


def test_farthest_points_of_a_batch_equal_a_plain_loop() -> None:
    clouds = torch.randn(3, 60, 3, generator=torch.Generator().manual_seed(0))
    chosen = farthest_points(clouds, 10, torch.tensor([5, 0, 59]))
    for cloud, found, start in zip(clouds.double().numpy(), chosen.tolist(), (5, 0, 59), strict=True):
        expected = [start]
        while len(expected) < 10:
            to_chosen = np.linalg.norm(cloud[:, None] - cloud[expected][None], axis=-1).min(axis=1)
            expected.append(int(to_chosen.argmax()))
        assert found == expected
    with pytest.raises(ValueError, match="cannot choose 61 of 60 points"):
        farthest_points(clouds, 61, torch.zeros(3, dtype=torch.long))


def test_the_published_layout_has_the_published_shapes() -> None:
    with torch.device("meta"):
        published = PointBertNetwork(PointBertSize())
    shapes = {key: list(value.shape) for key, value in published.state_dict().items()}
    assert len(shapes) == 29 + 12 * 11
    assert shapes["pc_projection"] == [768, 512]
    assert shapes["point_encoder.blocks.blocks.11.attn.qkv.weight"] == [1152, 384]
    assert shapes["point_encoder.encoder.second_conv.3.weight"] == [256, 512, 1]
    assert "point_encoder.blocks.blocks.0.attn.qkv.bias" not in shapes
    assert {key for key in GOLDEN.weights if ".blocks.blocks." not in key} == {
        key for key in shapes if ".blocks.blocks." not in key
    }


def test_the_point_tower_is_taken_out_of_a_checkpoint_of_all_towers(weights: Path, tmp_path: Path) -> None:
    state = {f"module.{key}": value for key, value in GOLDEN.weights.items()}
    others = ("logit_scale", "image_projection", "visual.conv1.weight", "transformer.resblocks.0.ln_1.bias")
    torch.save(
        {"epoch": 250, "state_dict": {**state, **{f"module.{key}": torch.zeros(1) for key in others}}},
        tmp_path / "ulip2.pt",
    )
    inputs = {"points": POINTS, "start": GOLDEN.inputs["fps_start"]}
    assert torch.equal(small_encoder(tmp_path)(inputs).values, small_encoder(weights)(inputs).values)
    state["module.point_encoder.extra"] = torch.zeros(1)
    del state["module.point_encoder.cls_pos"]
    torch.save({"state_dict": state}, tmp_path / "ulip2.pt")
    with pytest.raises(ValueError, match=r"missing: point_encoder\.cls_pos; unexpected: point_encoder\.extra"):
        small_encoder(tmp_path)


def test_clouds_are_sampled_with_the_seed_and_batched_equals_single(weights: Path) -> None:
    encoder = small_encoder(weights, seed=3)
    clouds = [np.random.default_rng(index).normal(size=(900, 3)).astype(np.float32) * 50 + 7 for index in range(6)]
    inputs = [encoder.preprocess(Media("point_cloud", data=cloud)) for cloud in clouds]
    again = encoder.preprocess(Media("point_cloud", data=clouds[0]))
    assert torch.equal(inputs[0]["points"], again["points"])
    assert torch.equal(inputs[0]["start"], again["start"])
    other = small_encoder(weights, seed=4)
    assert not torch.equal(other.preprocess(Media("point_cloud", data=clouds[0]))["points"], again["points"])
    assert other.fingerprint() != encoder.fingerprint()
    assert float(inputs[0]["points"].norm(dim=-1).max()) == pytest.approx(1, abs=1e-5)
    together = encoder({name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}).values
    alone = torch.cat([encoder(one).values for one in inputs])
    assert encoder.features_per_clip(inputs[0]) == alone.shape[1] == 1
    assert together.shape == (6, 1, 40)
    torch.testing.assert_close(together, alone, atol=1e-5 * float(alone.abs().max()), rtol=0)


def test_bfloat16_stays_close_to_float32_and_wrong_settings_are_named(weights: Path) -> None:
    inputs = {"points": POINTS, "start": GOLDEN.inputs["fps_start"]}
    half = small_encoder(weights, dtype="bfloat16")(inputs).values
    assert half.dtype == torch.bfloat16
    assert torch.cosine_similarity(half[:, 0].float(), GOLDEN.outputs["pc_embed"]).min() > 0.99
    with pytest.raises(ValueError, match="output is 'pooled'; allowed: embedding, tokens"):
        small_encoder(weights, "pooled")
    with pytest.raises(ValueError, match="num_points is 10; it must be at least num_groups and group_size"):
        small_encoder(weights, num_points=10)
