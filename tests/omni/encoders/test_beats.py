"""BEATs against the reference's golden numbers, its published layout, and its own promises."""

from pathlib import Path

import numpy as np
import pytest
import torch

from omni.encoders.beats import BeatsEncoder
from omni.encoders.beats_network import BeatsNetwork, BeatsSize, distance_buckets
from omni.encoders.kaldi import filter_banks
from omni.media.item import Media
from tests.golden_numbers import Golden

GOLDEN = Golden("beats_tiny")
SETTINGS = GOLDEN.details["constructor"]
EVERY_TOKEN = {"mask": torch.ones(2, 256, dtype=torch.bool)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("beats") / "BEATs_tiny.pt"
    torch.save({"cfg": SETTINGS, "model": GOLDEN.weights}, path)
    return path


def test_features_and_every_layer_equal_the_reference(weights: Path) -> None:
    encoder = BeatsEncoder(weights)
    transformer = encoder.network.encoder
    given = [transformer.layer_norm, *transformer.layers]
    outputs = []
    for module in given:
        module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    features = encoder({"filter_banks": GOLDEN.inputs["fbank"], **EVERY_TOKEN})
    GOLDEN.assert_equals("features", features.values)
    GOLDEN.assert_equals("encoder_in_after_posconv_ln_sel", outputs[0][:, ::16])
    for index, output in enumerate(outputs[1:]):
        GOLDEN.assert_equals(f"layer_{index}_sel", output[:, ::16])


def test_relative_positions_equal_the_reference(weights: Path) -> None:
    positions = BeatsEncoder(weights).network.encoder.relative_positions(256)
    GOLDEN.assert_equals("rel_pos_bias_row0", positions[:, 0])
    GOLDEN.assert_equals("rel_pos_bias_row200", positions[:, 200])


def test_distances_fall_into_single_and_growing_buckets() -> None:
    distances = torch.tensor([0, 1, 79, 80, 800, 5000, -1, -79, -80, -5000])
    assert distance_buckets(distances, 320, 800).tolist() == [0, 161, 239, 240, 319, 319, 1, 79, 80, 159]


def test_the_published_layout_has_the_published_shapes() -> None:
    with torch.device("meta"):
        published = BeatsNetwork(BeatsSize())
    shapes = {key: list(value.shape) for key, value in published.state_dict().items()}
    assert len(shapes) == 10 + 12 * 20
    assert shapes["encoder.layers.11.self_attn.grep_linear.weight"] == [8, 64]
    assert shapes["encoder.pos_conv.0.weight_v"] == [768, 48, 128]
    assert shapes["post_extract_proj.weight"] == [768, 512]
    assert {key for key in GOLDEN.weights if ".layers." not in key} == {key for key in shapes if ".layers." not in key}
    assert sum(parameter.numel() for parameter in published.parameters()) / 1e6 == pytest.approx(90.4, abs=0.1)


def test_filter_banks_are_scaled_cut_into_windows_and_masked(weights: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 16000 * 7).astype(np.float32)
    inputs = BeatsEncoder(weights).preprocess(Media("sound", data=samples, sampling_rate=16000))
    bands = (filter_banks(samples * 32768) - 15.41663) / (2 * 6.55582)
    assert bands.shape == (698, 128)
    assert inputs["filter_banks"].shape == (2, 512, 128)
    assert np.array_equal(inputs["filter_banks"][0].numpy(), bands[:512])
    assert np.array_equal(inputs["filter_banks"][1, :186].numpy(), bands[512:])
    assert not inputs["filter_banks"][1, 186:].any()
    assert inputs["mask"][0].all()
    assert inputs["mask"][1].reshape(32, 8).all(dim=1).tolist() == [True] * 12 + [False] * 20


def test_the_shortest_sound_gives_features_and_a_long_one_evenly_spread_windows(weights: Path) -> None:
    encoder = BeatsEncoder(weights, max_seconds=16)
    for num_samples, num_windows, num_real in ((1, 1, 8), (368, 1, 8), (16000 * 60, 3, 2 * 256 + 23 * 8)):
        samples = np.sin(np.arange(num_samples) / 30).astype(np.float32)
        inputs = encoder.preprocess(Media("sound", data=samples, sampling_rate=16000))
        features = encoder(inputs)
        assert features.values.shape == (num_windows, 256, 48)
        assert encoder.features_per_clip(inputs) == 256
        assert features.values.isfinite().all()
        assert int(features.mask.sum()) == num_real  # the last window of 60 s holds 366 frames, 23 steps
    assert encoder.max_features == 3 * 256


def test_batched_equals_single_and_bfloat16_stays_close(weights: Path) -> None:
    encoder = BeatsEncoder(weights)
    inputs = {"filter_banks": GOLDEN.inputs["fbank"], **EVERY_TOKEN}
    values = encoder(inputs).values
    alone = encoder({name: tensor[1:] for name, tensor in inputs.items()}).values
    torch.testing.assert_close(values[1:], alone, atol=1e-5, rtol=0)
    half = BeatsEncoder(weights, dtype="bfloat16")(inputs).values
    assert half.dtype == torch.bfloat16
    assert torch.cosine_similarity(half.float(), values, dim=-1).min() > 0.99


def test_a_fine_tuned_checkpoint_loses_its_classifier_only(weights: Path, tmp_path: Path) -> None:
    classifier = {"predictor.weight": torch.zeros(527, 48), "predictor.bias": torch.zeros(527)}
    torch.save({"cfg": SETTINGS | {"finetuned_model": True}, "model": GOLDEN.weights | classifier}, tmp_path / "b.pt")
    assert BeatsEncoder(tmp_path).fingerprint() == BeatsEncoder(weights).fingerprint()


def test_loading_names_keys_and_variants_that_do_not_fit(tmp_path: Path) -> None:
    state = dict(GOLDEN.weights)
    del state["encoder.layers.2.self_attn.grep_a"]
    state["mask_emb"] = torch.zeros(48)
    torch.save({"cfg": SETTINGS, "model": state}, tmp_path / "changed.pt")
    message = r"missing: encoder\.layers\.2\.self_attn\.grep_a; unexpected: mask_emb"
    with pytest.raises(ValueError, match=message):
        BeatsEncoder(tmp_path)
    torch.save({"cfg": SETTINGS | {"layer_norm_first": True}, "model": GOLDEN.weights}, tmp_path / "changed.pt")
    with pytest.raises(ValueError, match="layer_norm_first is True; only False is supported"):
        BeatsEncoder(tmp_path)
    with pytest.raises(ValueError, match="max_seconds is 5; it must be at least one window"):
        BeatsEncoder(tmp_path, max_seconds=5)
