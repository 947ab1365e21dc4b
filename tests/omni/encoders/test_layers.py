"""Chosen layers of an encoder are the outputs of its blocks, joined by width."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from omni.encoders import BeatsEncoder, EfficientNetLite, Encoder, EvaClipEncoder, ImageBindEncoder
from omni.encoders.layers import parse_layers, run_blocks
from tests.omni.encoders import test_beats, test_eva_clip, test_imagebind
from tests.omni.encoders.tiny_networks import efficientnet_state


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights")
    save_file(test_eva_clip.GOLDEN.weights, path / "eva.safetensors")
    save_file(test_imagebind.GOLDEN.weights, path / "imagebind.safetensors")
    torch.save({"cfg": test_beats.SETTINGS, "model": test_beats.GOLDEN.weights}, path / "beats.pt")
    save_file(efficientnet_state(), path / "efficientnet.safetensors")
    return path


def eva(folder: Path, **options: Any) -> Encoder:
    return EvaClipEncoder(folder / "eva.safetensors", image_size=56, size=test_eva_clip.SIZE, **options)


def beats(folder: Path, **options: Any) -> Encoder:
    return BeatsEncoder(folder / "beats.pt", **options)


def imagebind(folder: Path, **options: Any) -> Encoder:
    return ImageBindEncoder(folder / "imagebind.safetensors", "depth", sizes=test_imagebind.SIZES, **options)


MODELS: dict[
    str, tuple[Callable[..., Encoder], Callable[[Encoder], nn.ModuleList], Callable[[], dict[str, Tensor]]]
] = {
    "eva": (
        eva,
        lambda e: e.network.blocks,  # type: ignore[union-attr]
        lambda: {"pixels": test_eva_clip.GOLDEN.inputs["image"]},
    ),
    "beats": (
        beats,
        lambda e: e.network.encoder.layers,  # type: ignore[union-attr]
        lambda: {"filter_banks": test_beats.GOLDEN.inputs["fbank"], **test_beats.EVERY_TOKEN},
    ),
    "imagebind": (
        imagebind,
        lambda e: e.network.modality_trunks["depth"].blocks,  # type: ignore[union-attr]
        lambda: {"clips": test_imagebind.golden_clips("depth").flatten(0, 1)},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_what_the_blocks_give(name: str, folder: Path) -> None:
    build, blocks_of, make_inputs = MODELS[name]
    inputs, plain = make_inputs(), build(folder)
    states: list[Any] = []
    blocks = blocks_of(plain)
    blocks[0].register_forward_pre_hook(lambda _, arguments: states.append(arguments[0]))
    for block in blocks:
        block.register_forward_hook(lambda _, __, output: states.append(output))
    last = plain(inputs).values
    assert torch.equal(states[-1], last)
    chosen = build(folder, layers=[1, 0, -1])
    assert chosen.dim == 3 * plain.dim
    assert torch.equal(chosen(inputs).values, torch.cat([states[1], states[0], last], dim=-1))
    assert chosen.fingerprint() != plain.fingerprint()
    assert build(folder, layers=-1).fingerprint() == plain.fingerprint()
    with pytest.raises(ValueError, match=r"layers is \[99\]; allowed: numbers from 0 \(before the first block\) to"):
        build(folder, layers=99)


def test_blocks_behind_the_last_chosen_layer_do_not_run() -> None:
    def fails(_: Tensor) -> Tensor:
        raise AssertionError

    tokens = torch.ones(1, 2, 3)
    assert torch.equal(run_blocks([lambda x: x + 1, fails], tokens, (1,)), tokens + 1)
    assert parse_layers([0, -1], 2) == (0, -1)
    with pytest.raises(ValueError, match=r"layers is \[\]"):
        parse_layers([], 2)


def test_stages_of_efficientnet_meet_on_the_coarsest_grid(folder: Path) -> None:
    weights = folder / "efficientnet.safetensors"
    pixels = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    plain, fine = EfficientNetLite(weights, image_size=64), EfficientNetLite(weights, image_size=64, layers=5)
    both = EfficientNetLite(weights, image_size=64, layers=[5, -1])
    assert (plain.max_features, fine.max_features, both.max_features) == (4, 16, 4)
    assert (fine.dim, both.dim) == (112, 112 + 1280)
    last, stage, joined = (encoder({"pixels": pixels}).values for encoder in (plain, fine, both))
    squares = stage.unflatten(1, (2, 2, 2, 2)).mean(dim=(2, 4)).flatten(1, 2)  # 2 x 2 positions become one
    torch.testing.assert_close(joined[..., :112], squares, atol=1e-5, rtol=1e-5)
    assert torch.equal(joined[..., 112:], last)
    stem = EfficientNetLite(weights, image_size=64, layers=[0, 3])
    assert (stem.max_features, stem.dim) == (64, 32 + 40)
    assert stem({"pixels": pixels[:1]}).values.shape == (1, 64, 72)


@pytest.mark.parametrize("name", [*MODELS, "efficientnet"])
def test_an_encoder_gives_other_layers_with_the_weights_that_it_has(name: str, folder: Path) -> None:
    if name == "efficientnet":

        def build(folder: Path, **options: Any) -> Encoder:
            return EfficientNetLite(folder / "efficientnet.safetensors", image_size=64, **options)

        inputs: dict[str, Tensor] = {"pixels": torch.zeros(1, 3, 64, 64, dtype=torch.uint8)}
    else:
        build, _, make_inputs = MODELS[name]
        inputs = make_inputs()
    plain, built = build(folder), build(folder, layers=[1, 0, -1])
    before = plain(inputs).values
    found = plain.with_layers([1, 0, -1])
    assert (found.dim, found.max_features) == (built.dim, built.max_features)
    assert torch.equal(found(inputs).values, built(inputs).values)
    assert found.fingerprint() == built.fingerprint() != plain.fingerprint()
    assert torch.equal(plain(inputs).values, before)
    assert next(found.parameters()) is next(plain.parameters())
    assert sum(plain.layer_widths[layer] for layer in (1, 0, -1)) == built.dim
    with pytest.raises(ValueError, match=r"layers is \[99\]"):
        plain.with_layers([99])


def test_an_encoder_of_one_output_has_no_choice_of_layers(folder: Path) -> None:
    encoder = imagebind(folder, output="embedding")
    assert encoder.layer_widths == ()
    with pytest.raises(ValueError, match="ImageBindEncoder gives the features of one layer only"):
        encoder.with_layers([0])
