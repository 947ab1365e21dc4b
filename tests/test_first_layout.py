"""What was written before the modules moved into rooms is read after it, with the same bits.

Its encoders are of `tests`, and no machine has them on record: loading says `trust_code`, and going on names them anew.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from omni.augmentation import AugmentationDraw, RandomVersions
from omni.config.components import ComponentConfig, build
from omni.feature_cache import FeatureCache
from omni.joint_space import EmbeddingIndex, JointSpace
from omni.media.item import Media
from omni.model import OmniModel
from omni.samples.messages import Message, Text
from tests.golden_numbers import Golden
from train.recipe import load_recipe
from train.run.loop import Trainer

FOLDER = Path(__file__).parent / "golden/first_layout"
FACTS: dict[str, Any] = json.loads((FOLDER / "facts.json").read_text(encoding="utf-8"))
EXPECTED = load_file(FOLDER / "expected.safetensors")
CANDIDATES = ["a frog", "a dog", "a drum and a bell"]
STARTER = {"yamnet", "efficientnet", "efficientnet, small", "whisper", "text"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, from which its paths start."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def conversations() -> list[tuple[Message, ...]]:
    image, sound = Media("image", path="data/0.npy"), Media("sound", path="data/1.npy")
    return [(Message("user", (*media, Text("what is this"))),) for media in ([image], [sound], [image, sound], [])]


def assert_same_weights(found: Path, expected: Path, name: str, tolerance: float = 0.0) -> None:
    before, after = load_file(expected / name), load_file(found / name)
    assert before.keys() == after.keys()
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, atol=tolerance, rtol=0)


def test_a_model_loads_and_saves_with_the_same_bits_and_computes_the_same(here: Path) -> None:
    model = OmniModel.load("finished", trust_code=True)
    torch.testing.assert_close(model.score_batch(conversations(), CANDIDATES), EXPECTED["scores"], atol=1e-4, rtol=0)
    torch.testing.assert_close(model.embed(conversations()), EXPECTED["embeddings"], atol=1e-4, rtol=0)
    assert model.generate(conversations(), max_new_tokens=8) == FACTS["answers"]
    model.save("again")
    assert_same_weights(here / "again", here / "finished", "adapter.safetensors")
    assert_same_weights(here / "again", here / "finished", "lora/adapter_model.safetensors")
    before, after = (yaml.safe_load((here / name / "config.yaml").read_text()) for name in ("finished", "again"))
    # what an LLM is told by has become more since
    assert after == before | {name: after[name] for name in after.keys() - before if name.startswith("llm_")}


def test_a_run_goes_on_to_the_weights_it_would_have_had(here: Path) -> None:
    Trainer(load_recipe("recipe.yaml")).run()
    # the same bits on the machine that wrote it; other processors round otherwise
    assert_same_weights(here / "run/last", here / "finished", "adapter.safetensors", tolerance=1e-5)
    assert_same_weights(here / "run/last", here / "finished", "lora/adapter_model.safetensors", tolerance=1e-5)


def test_cached_features_are_found_and_no_encoder_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = OmniModel.load("finished", trust_code=True)
    model.feature_cache = cache = FeatureCache("cache")
    encoders = {name: model.modality(name).encoder for name in model.modalities}
    assert {name: encoder.fingerprint() for name, encoder in encoders.items()} == FACTS["encoder_fingerprints"]
    for encoder in encoders.values():
        monkeypatch.setattr(encoder, "encode", lambda inputs: pytest.fail("an encoder ran"))
    for key in FACTS["cached"]:
        _, name, number = key.split("/")
        item = model.prepare_media(Media(name, path=f"data/{number}.npy"), "sample", 0)
        assert item.features is not None
        assert torch.equal(item.features.values, EXPECTED[key])
        assert torch.equal(item.features.mask, EXPECTED[f"cached_mask/{name}/{number}"])
    cache.close()


def test_a_space_embeds_and_searches_its_index_as_before(here: Path) -> None:
    space = JointSpace.load("space", trust_code=True)
    assert space.fingerprints() == FACTS["space_fingerprints"]
    paths = [f"data/{number}.npy" for number in range(8)]
    found = space.embed({"image": paths, "sound": paths, "text": ["a frog", "a drum"]})
    for name, values in found.items():
        torch.testing.assert_close(values, EXPECTED[f"space/{name}"], atol=1e-5, rtol=0)
    for index in ("pictures", EmbeddingIndex.load("index")):
        hits = space.retrieve({"sound": paths[:3]}, index, k=3)
        assert [[hit.id for hit in some] for some in hits] == FACTS["hits"]
    space.save("again")
    assert_same_weights(here / "again", here / "space", "joint_space.safetensors")
    assert_same_weights(here / "again", here / "space", "centers.safetensors")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.starter] if name in STARTER else []) for name in FACTS["components"]],
)
def test_an_encoder_has_the_fingerprint_that_its_features_were_cached_under(name: str) -> None:
    given = FACTS["components"][name]
    arguments = {} if name == "text" else {"modality": given["component"]["init_args"].get("modality", "image")}
    assert build(given["component"], name, **arguments).fingerprint() == given["fingerprint"]


@pytest.mark.parametrize("name", FACTS["published"])
def test_a_published_encoder_has_the_fingerprint_that_its_features_were_cached_under(name: str, tmp_path: Path) -> None:
    given = FACTS["published"][name]
    weights = write_published(name.split()[0], tmp_path)
    component = {"class_path": given["class_path"], "init_args": {"weights": str(weights), **given["init_args"]}}
    modality = name.split()[-1] if name.startswith("imagebind") else "image"
    assert build(component, name, modality=modality).fingerprint() == given["fingerprint"]


def write_published(kind: str, folder: Path) -> Path:
    """A published file with the tiny weights of tests/golden."""
    names = {"beats": "beats_tiny", "eva": "eva_vit_tiny", "point_bert": "point_bert_tiny"}
    golden = Golden(names.get(kind, "imagebind_tiny_a"))
    weights: Mapping[str, Tensor] = golden.weights
    if kind == "beats":
        torch.save({"cfg": golden.details["constructor"], "model": weights}, folder / "weights.pt")
        return folder / "weights.pt"
    save_file(dict(weights), folder / "weights.safetensors")
    return folder / "weights.safetensors"


def test_a_cached_view_has_the_name_it_had() -> None:
    versions = RandomVersions(ComponentConfig("omni.augmentation.RandomResizedCrop", {"scale": [0.5, 1.0]}))
    assert versions.view_key(AugmentationDraw(3, 1, 2), "ab" * 32) == FACTS["view_key"]
