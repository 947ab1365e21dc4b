"""Embeddings of a joint space as features of a language model: what is learned from texts is said of pictures."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

import adapters
from omni.__main__ import main
from omni.config import ModalityConfig
from omni.config.components import ComponentConfig
from omni.encoders.encoding import encode_items
from omni.encoders.media_input import MediaInput
from omni.joint_space import JointSpace, SpaceEncoder, measure_centers
from omni.joint_space.inputs import text_media
from omni.media.item import Media
from omni.model import OmniModel
from omni.model.modality import Modality
from omni.samples.messages import SampleError, parse_sample
from tests.tiny import SensorEncoder, recording
from tests.tiny_space import tiny_space
from tests.train.runs import row, run, write_manifest


def rows() -> list[dict[str, object]]:
    return [row(str(i), [f"image:{i}.npy"], f"thing {i}") for i in range(5)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A space that knows its centres, measured by the command."""
    data = write_manifest(tmp_path / "data", rows())
    tiny_space(dim=12).save(tmp_path / "space")
    assert main(["center", str(tmp_path / "space"), "--data", str(data), "--no-cache"]) == 0
    return tmp_path / "space"


def test_the_centre_is_the_mean_unit_embedding_of_what_can_be_read(tmp_path: Path) -> None:
    write_manifest(tmp_path, rows())
    space = tiny_space()
    samples = [parse_sample(one, tmp_path) for one in rows()]
    missing = parse_sample(row("gone", ["image:gone.npy"], "thing 0"), tmp_path)
    counts, bad = measure_centers(space, [*samples, missing, SampleError("broken", "no messages")])
    assert counts == {"image": 5, "text": 6}
    assert [line.split(":")[0] for line in bad] == ["sample 'gone'", "sample 'broken'"]
    images = space.embed({"image": [sample.media[0] for sample in samples]})["image"]
    torch.testing.assert_close(space.centers["image"], images.mean(0))
    with pytest.raises(ValueError, match=r"nothing of image, sound, text; the first row .*'broken'"):
        measure_centers(space, [SampleError("broken", "no messages")])


def test_features_are_embeddings_less_the_centre_of_their_modality(folder: Path) -> None:
    space = JointSpace.load(folder)
    texts = ["thing 1", "another thing of more words", "thing"]
    encoder = SpaceEncoder(str(folder), modality="caption", of="text")
    items = [encoder_input(encoder, text_media(text)) for text in texts]
    found = torch.cat([features.values[0] for features in encode_items(encoder, items)])
    torch.testing.assert_close(found, space.embed({"text": texts})["text"] - space.centers["text"])
    plain = SpaceEncoder(str(folder), modality="text", centered=False)
    found = encode_items(plain, [encoder_input(plain, text_media(texts[0]))])[0].values
    torch.testing.assert_close(found[0, 0].norm(), torch.tensor(1.0))


def test_the_fingerprint_changes_with_head_and_centre(folder: Path) -> None:
    def fingerprint() -> str:
        return SpaceEncoder(str(folder), modality="image").fingerprint()

    first = fingerprint()
    assert fingerprint() == first
    space = JointSpace.load(folder)
    space.centers["image"] += 0.1
    space.save(folder)
    moved = fingerprint()
    with torch.no_grad():
        space.modality("image").head.layers[2].weight += 0.1  # type: ignore[operator]
    space.save(folder)
    assert len({first, moved, fingerprint()}) == 3


def test_a_model_trained_on_texts_alone_takes_pictures(folder: Path, tmp_path: Path, tiny_llm: Path) -> None:
    data = tmp_path / "data"
    (data / "0.npy").unlink()  # no picture is read in training
    recipe = tmp_path / "recipe.yaml"
    adapter = {"class_path": "adapters.PooledMLP", "init_args": {"num_tokens": 2, "hidden_dim": 8}}
    shared = {"adapter": adapter, "share_adapter": "meaning", "feature_noise": 0.1}
    encoder = {"class_path": "omni.joint_space.SpaceEncoder", "init_args": {"space": str(folder)}}
    of_text = {**encoder, "init_args": {**encoder["init_args"], "of": "text"}}
    modalities = {"caption": {"encoder": of_text, **shared}, "image": {"encoder": encoder, **shared}}
    values = {
        "model": {"llm": {"name": str(tiny_llm)}, "modalities": modalities},
        "data": {
            "train": [
                {
                    "path": str(data / "data.jsonl"),
                    "media_from_answer": "caption",
                    "without_answers_of": [str(data / "test.jsonl")],
                    "instructions": ["describe it"],
                }
            ]
        },
        "train": {"output_dir": str(tmp_path / "run"), "steps": 3, "batch_size": 4, "num_workers": 0, "packing": True},
    }
    write_manifest(data, [row("held out", ["image:1.npy"], "Thing 4.")], "test.jsonl")
    recipe.write_text(yaml.safe_dump(values))
    finished = run(recipe)
    assert finished.returncode == 0, finished.stderr
    assert "4 samples in the data" in finished.stdout + finished.stderr
    model = OmniModel.load(tmp_path / "run" / "best")
    assert model.modality("image").adapter is model.modality("caption").adapter
    question = [{"role": "user", "content": [{"type": "image", "path": str(data / "1.npy")}]}]
    assert isinstance(model.generate(question, max_new_tokens=2), str)


class Echo(adapters.Adapter):
    """Features as they are."""

    def __init__(self) -> None:
        super().__init__(8, 8)
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(
        self, features: Tensor, mask: Tensor | None = None, instruction: adapters.Instruction | None = None
    ) -> tuple[Tensor, Tensor]:
        return self.prepare_features(features, mask)


def test_noise_is_added_in_training_only() -> None:
    torch.manual_seed(0)
    modality = Modality(SensorEncoder(), Echo(), feature_noise=0.5)
    item = MediaInput("sensor", modality.encoder.preprocess(Media("sensor", data=recording(0, 4))), None)
    quiet = modality.eval()([item])[0]
    assert torch.equal(quiet, modality([item])[0])
    noisy = torch.stack([modality.train()([item])[0] for _ in range(200)])
    torch.testing.assert_close(noisy.mean(0), quiet, atol=0.15, rtol=0)
    assert noisy.std(0).mean() == pytest.approx(0.5, abs=0.02)
    with pytest.raises(ValueError, match="feature_noise is -1"):
        ModalityConfig(ComponentConfig("a.b"), ComponentConfig("a.b"), feature_noise=-1.0)


def test_what_cannot_be_built_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    space = tiny_space()
    space.save(tmp_path / "without")
    with pytest.raises(ValueError, match="does not know the centre of 'sound'; measure it: python -m omni center"):
        SpaceEncoder(str(folder), modality="sound")
    with pytest.raises(ValueError, match="has no modality"):
        SpaceEncoder(str(folder), modality="depth")
    assert main(["center", str(tmp_path / "nowhere"), "--data", str(tmp_path / "data" / "data.jsonl")]) == 1


def encoder_input(encoder: SpaceEncoder, media: Media) -> MediaInput:
    return MediaInput(encoder.modality, encoder.preprocess(media), None)
