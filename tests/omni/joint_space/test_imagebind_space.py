"""ImageBind as a JointSpace, through a folder: the embeddings are those of its encoders, which match the reference."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from omni.encoders import ImageBindEncoder
from omni.joint_space import IMAGEBIND_MODALITIES, JointSpace, imagebind_space
from omni.media.item import Media
from tests.omni.encoders.test_imagebind import GOLDEN, SIZES, write_vocabulary

RNG = np.random.default_rng(0)
ITEMS = {
    "image": Media("image", data=RNG.integers(0, 255, (40, 60, 3), dtype=np.uint8)),
    "sound": Media("sound", data=RNG.normal(size=40_000).astype(np.float32) * 0.1, sampling_rate=16_000),
    "imu": Media("imu", data=RNG.normal(size=(6, 2000)).astype(np.float32)),
    "text": Media("text", data=b"a dog barks"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imagebind")
    save_file(GOLDEN.weights, folder / "imagebind.safetensors")
    vocabulary = write_vocabulary(folder)
    imagebind_space(folder / "imagebind.safetensors", vocabulary, sizes=SIZES).save(folder / "space")
    return folder


def test_a_saved_space_gives_the_published_embeddings_of_every_modality(folder: Path) -> None:
    space = JointSpace.load(folder / "space")
    assert set(space.modalities) == set(IMAGEBIND_MODALITIES)
    found = space.embed({name: [item] for name, item in ITEMS.items()}, normalize=False)
    for name, item in ITEMS.items():
        encoder = ImageBindEncoder(
            folder / "imagebind.safetensors",
            name,
            output="embedding",
            normalize=False,
            vocabulary=folder / "bpe_simple_vocab_16e6.txt.gz",
            sizes=SIZES,
        )
        expected: Tensor = encoder(encoder.preprocess(item)).values[:, 0]
        torch.testing.assert_close(found[name], expected, atol=1e-6 * float(expected.abs().max()), rtol=0)
    scale = GOLDEN.weights["modality_postprocessors.imu.1.log_logit_scale"].exp()
    torch.testing.assert_close(found["imu"].norm(), scale)
    unit = space.embed({"text": ["a dog barks"], "audio": [ITEMS["sound"]]})
    torch.testing.assert_close(unit["text"].norm(dim=-1), torch.ones(1))
    assert space.classify({"image": [ITEMS["image"]]}, ["dog", "cat"])["image"].sum() == pytest.approx(1, abs=1e-6)


LABELS = ["a dog barks", "cat", "car"]


@pytest.mark.parametrize("name", ["image", "sound", "imu", "text"])
def test_probabilities_are_those_of_the_published_embeddings(folder: Path, name: str) -> None:
    space = JointSpace.load(folder / "space")
    embedded = space.embed({name: [ITEMS[name]]}, normalize=False)[name]
    labels = space.embed({"text": LABELS}, normalize=False)["text"]
    expected = torch.softmax(embedded @ labels.T, dim=-1)
    torch.testing.assert_close(space.classify({name: [ITEMS[name]]}, LABELS)[name], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(space.classify(ITEMS[name], LABELS), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(space.classify([ITEMS[name]] * 2, LABELS), expected.repeat(2, 1), atol=1e-5, rtol=1e-4)
    # a unit embedding alone says nothing of its modality: it is taken as a picture's
    unit = space.embed({"image": [ITEMS["image"]]})["image"]
    torch.testing.assert_close(space.classify(unit, LABELS), space.classify(ITEMS["image"], LABELS))


def test_several_templates_keep_the_published_scale(folder: Path) -> None:
    space = JointSpace.load(folder / "space")
    once = space.classify(ITEMS["image"], LABELS, ["a photo of {}"])
    torch.testing.assert_close(space.classify(ITEMS["image"], LABELS, ["a photo of {}"] * 3), once)
    scale = GOLDEN.weights["modality_postprocessors.text.1.log_logit_scale"].exp().clamp(max=100)
    torch.testing.assert_close(space.label_scale(), scale.reshape(()))


def test_the_card_says_that_the_weights_are_non_commercial(folder: Path) -> None:
    assert "Effective licence: **CC-BY-NC-SA-4.0**" in (folder / "space" / "README.md").read_text()


def test_without_a_vocabulary_there_is_no_text_and_other_modalities_are_refused(folder: Path) -> None:
    space = imagebind_space(folder / "imagebind.safetensors", sizes=SIZES, modalities=("depth", "text"))
    assert [*space.modalities] == ["depth"]
    with pytest.raises(ValueError, match=r"has no modality \['smell'\]"):
        imagebind_space(folder / "imagebind.safetensors", modalities=("smell",))
