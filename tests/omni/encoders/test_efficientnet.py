from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from omni.encoders.efficientnet import VARIANTS, EfficientNetLite, EfficientNetLiteNetwork, pad_to_square
from omni.encoders.weights import find_weights, read_state_dict
from omni.media.item import Media
from omni.starter import resolve
from tests.omni.encoders.tiny_networks import efficientnet_state
from tests.omni.starter.test_starter_data import fetched


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("efficientnet")
    save_file(efficientnet_state(), folder / "model.safetensors")
    return folder


def pictures(count: int, size: int = 224) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("variant", "millions"), [("lite0", 4.65), ("lite1", 5.42), ("lite2", 6.09), ("lite3", 8.20), ("lite4", 13.01)]
)
def test_the_number_of_parameters_is_that_of_the_publication(variant: str, millions: float) -> None:
    with torch.device("meta"):
        network = EfficientNetLiteNetwork(VARIANTS[variant])
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_folded_and_chunked_equals_the_plain_network(weights: Path) -> None:
    encoder = EfficientNetLite(weights, image_size=96)
    plain = EfficientNetLiteNetwork(VARIANTS["lite0"]).eval()
    plain.load_state_dict(read_state_dict(weights / "model.safetensors"))
    pixels = pictures(11, size=96)
    with torch.no_grad():
        expected = plain.feature_map((pixels.float() - 127) / 128)
    features = encoder({"pixels": pixels})
    assert features.values.shape == (11, 9, 1280)
    assert features.mask.all()
    assert 0.05 < features.values.mean() < 5
    torch.testing.assert_close(features.values, expected.flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_folding_batch_norms_is_exact() -> None:
    network = EfficientNetLiteNetwork(VARIANTS["lite1"]).double().eval()
    network.load_state_dict(efficientnet_state("lite1"))
    scaled = torch.randn(2, 3, 64, 64, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network.feature_map(scaled)
        network.fold_batch_norms()
        torch.testing.assert_close(network.feature_map(scaled), before, atol=1e-10, rtol=0)
    assert not any("_bn" in name for name in network.state_dict())


def test_features_have_the_same_bits_alone_and_in_any_batch(weights: Path) -> None:
    encoder = EfficientNetLite(weights)
    pixels = pictures(5)
    together = encoder({"pixels": pixels}).values
    for size in (1, 2, 3):
        apart = torch.cat([encoder({"pixels": part}).values for part in pixels.split(size)])
        assert torch.equal(apart, together), f"batches of {size}"


def test_a_picture_is_padded_with_white_to_a_square_before_it_is_resized(weights: Path) -> None:
    encoder = EfficientNetLite(weights)
    wide = np.zeros((100, 200, 3), dtype=np.uint8)
    pixels = encoder.preprocess(Media("image", data=wide))["pixels"]
    assert pixels.shape == (1, 3, 224, 224)
    assert pixels.dtype == torch.uint8
    assert (pixels[0, :, :50] == 255).all()
    assert (pixels[0, :, 60:160] == 0).all()
    assert (pixels[0, :, -50:] == 255).all()
    assert pad_to_square(Image.new("RGB", (5, 8))).size == (8, 8)


def test_another_image_size_gives_another_number_of_features(weights: Path) -> None:
    encoder = EfficientNetLite(weights, image_size=100)
    features = encoder(encoder.preprocess(Media("image", data=np.zeros((30, 30, 3), dtype=np.uint8))))
    assert features.values.shape[1] == encoder.max_features == 16
    assert encoder.features_per_clip({}) == 16


def _without(state: dict[str, torch.Tensor]) -> None:
    del state["_blocks.3._bn1.weight"]


def _with_more(state: dict[str, torch.Tensor]) -> None:
    state["_blocks.99.weight"] = torch.zeros(1)


def _misshaped(state: dict[str, torch.Tensor]) -> None:
    state["_fc.bias"] = torch.zeros(10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without, r"missing: _blocks\.3\._bn1\.weight"),
        (_with_more, r"unexpected: _blocks\.99\.weight"),
        (_misshaped, r"wrong shape: _fc\.bias is \[10\] instead of \[1000\]"),
    ],
)
def test_loading_is_strict_and_names_the_key(
    change: Callable[[dict[str, torch.Tensor]], None], message: str, tmp_path: Path
) -> None:
    state = efficientnet_state()
    change(state)
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(ValueError, match=message):
        EfficientNetLite(tmp_path)


def test_wrong_arguments_are_errors_that_say_what_is_allowed(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'b0'; allowed: lite0, lite1"):
        EfficientNetLite(weights, variant="b0")
    with pytest.raises(FileNotFoundError, match="neither a file nor a folder"):
        EfficientNetLite(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"holds no file ending in \.safetensors or \.pth"):
        EfficientNetLite(tmp_path)


# ImageNet-1k's class numbers: hen, drake, goose, king penguin, peacock, flamingo, tailed frog, ostrich.
STAMPS = {
    "birds/hen": 8,
    "birds/duck": 97,
    "birds/gander": 99,
    "birds/penguin": 145,
    "birds/peacock": 84,
    "birds/pink_flamingo": 130,
    "amphibians/frog": 32,
    "birds/ostrich": 9,
}


@pytest.mark.starter
def test_real_pictures_are_classified_as_what_they_show() -> None:
    encoder = EfficientNetLite("starter:efficientnet-lite0")
    folder = Path(resolve("starter:stamps/media/animals"))
    items = [Media("image", path=str(folder / f"{name}.png")) for name in STAMPS]
    pixels = torch.cat([encoder.preprocess(item)["pixels"] for item in items])
    assert encoder.classify(pixels).argmax(dim=1).tolist() == list(STAMPS.values())


def test_labels_come_from_a_file_next_to_the_weights(weights: Path, tmp_path: Path) -> None:
    for file in weights.iterdir():
        (tmp_path / file.name).symlink_to(file)
    encoder = EfficientNetLite(weights=tmp_path, image_size=96)
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    with pytest.raises(ValueError, match="has 2 lines; it needs one for each of the 1000 classes"):
        encoder.label_names()
    (tmp_path / "labels.txt").write_text("".join(f"class {number}\n" for number in range(1000)))
    assert encoder.label_names()[7] == "class 7"
    pixels = pictures(2, size=96)
    expected = encoder.classify(pixels).softmax(1).mean(0)
    torch.testing.assert_close(encoder.label_probabilities({"pixels": pixels}), expected)


def test_labels_that_are_not_fetched_say_how_to(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="python -m omni fetch imagenet-labels"):
        EfficientNetLite(weights, image_size=96).label_names()


@pytest.mark.starter
def test_the_fetched_names_are_those_of_the_classes() -> None:
    fetched("imagenet-labels")
    encoder = EfficientNetLite("starter:efficientnet-lite0")
    names = encoder.label_names()
    assert [names[index] for index in (84, 130, 9)] == ["peacock", "flamingo", "ostrich"]
    picture = Media("image", path=resolve("starter:stamps/media/animals/birds/peacock.png"))
    probabilities = encoder.label_probabilities(encoder.preprocess(picture))
    assert names[int(probabilities.argmax())] == "peacock"


@pytest.mark.starter
def test_real_weights_folded_equal_the_plain_network() -> None:
    encoder = EfficientNetLite("starter:efficientnet-lite0")
    plain = EfficientNetLiteNetwork(VARIANTS["lite0"]).eval()
    plain.load_state_dict(read_state_dict(find_weights("starter:efficientnet-lite0", (".safetensors",))))
    folder = Path(resolve("starter:stamps/media/animals"))
    pixels = encoder.preprocess(Media("image", path=str(folder / "birds/hen.png")))["pixels"]
    with torch.no_grad():
        expected = plain.feature_map((pixels.float() - 127) / 128).flatten(2).transpose(1, 2)
    values = encoder({"pixels": pixels}).values
    assert (values - expected).abs().max() <= 1e-5 * 6  # activations go up to 6; float32 itself is off by half of this
