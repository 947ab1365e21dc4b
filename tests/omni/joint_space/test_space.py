"""What a JointSpace promises: embeddings, zero-shot labels, retrieval, arithmetic, and folders."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from omni.joint_space import JointSpace
from omni.joint_space.folder import is_space
from omni.media.errors import MediaError
from omni.media.item import Media
from omni.model import OmniModel
from tests.tiny import recording
from tests.tiny_space import DIM, tiny_space

IMAGES = [recording(seed, length) for seed, length in ((1, 4), (2, 9), (3, 1), (4, 6))]
SOUNDS = [recording(seed, 5) for seed in (5, 6)]
TEXTS = ["a frog", "a dog in the picture", "bell"]


@pytest.fixture
def space() -> JointSpace:
    return tiny_space()


def test_embed_gives_unit_rows_for_each_modality_under_the_names_that_were_asked(space: JointSpace) -> None:
    found = space.embed({"image": IMAGES, "audio": SOUNDS, "text": TEXTS})
    assert {name: tuple(rows.shape) for name, rows in found.items()} == {
        "image": (4, DIM),
        "audio": (2, DIM),
        "text": (3, DIM),
    }
    for rows in found.values():
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(len(rows)))
    raw = space.embed({"image": IMAGES}, normalize=False)["image"]
    torch.testing.assert_close(F.normalize(raw, dim=-1), found["image"])
    assert (raw.norm(dim=-1) - 1).abs().min() > 1e-3


def test_batched_equals_single_whatever_the_lengths(space: JointSpace) -> None:
    together = space.embed({"image": IMAGES}, batch_size=3)["image"]
    apart = torch.cat([space.embed({"image": [one]})["image"] for one in IMAGES])
    torch.testing.assert_close(together, apart, atol=1e-6, rtol=0)


def test_embeddings_are_the_projected_mean_of_the_real_features(space: JointSpace) -> None:
    media = Media("image", data=IMAGES[1])
    part = space.modality("image")
    features = part.encoder(part.encoder.preprocess(media))
    mean = features.values[features.mask].mean(0)
    expected = F.normalize(part.head.project(mean), dim=-1)
    torch.testing.assert_close(space.embed({"image": [media]})["image"][0], expected)


def test_what_cannot_be_embedded_is_named(space: JointSpace) -> None:
    with pytest.raises(ValueError, match=r"no modality 'video'; it has \['image', 'sound', 'text'\]"):
        space.embed({"video": []})
    with pytest.raises(ValueError, match="expected a list of items, got 'a frog'"):
        space.embed({"text": "a frog"})  # type: ignore[dict-item]
    with pytest.raises(MediaError, match="text number 1: is empty"):
        space.embed({"text": ["a frog", " "]})
    with pytest.raises(ValueError, match="a path needs its modality"):
        space.embed_query(Path("frog.png"))
    assert space.embed({"image": []})["image"].shape == (0, DIM)


def test_classify_is_the_softmax_over_scaled_cosines_with_the_mean_over_templates(space: JointSpace) -> None:
    templates = ["a picture of a {}", "{} it is"]
    found = space.classify({"image": IMAGES}, ["frog", "bell"], templates=templates)["image"]
    classes = []
    for label in ("frog", "bell"):
        rows = space.embed({"text": [template.replace("{}", label) for template in templates]})["text"]
        classes.append(F.normalize(rows.mean(0), dim=-1))
    logits = space.embed({"image": IMAGES})["image"] @ torch.stack(classes).T / 0.07
    torch.testing.assert_close(found, logits.softmax(-1))
    single = space.classify(Media("image", data=IMAGES[0]), ["frog", "bell"], templates=templates)
    torch.testing.assert_close(single, found[:1])
    with pytest.raises(ValueError, match=re.escape("each template needs {}")):
        space.classify({"image": IMAGES}, ["frog"], templates=["a photo"])
    with pytest.raises(ValueError, match="labels must be a list"):
        space.classify({"image": IMAGES}, "frog")


def test_retrieve_gives_the_nearest_by_cosine(space: JointSpace) -> None:
    index = space.make_index({"image": IMAGES}, ids=["a", "b", "c", "d"])
    images, texts = space.embed({"image": IMAGES})["image"], space.embed({"text": TEXTS})["text"]
    expected = (texts @ images.T).argsort(dim=1, descending=True)
    found = space.retrieve({"text": TEXTS}, index, k=2)
    assert [[hit.row for hit in hits] for hits in found] == expected[:, :2].tolist()
    first = space.retrieve(TEXTS[0], index, k=10)
    assert [hit.id for hit in first] == ["abcd"[row] for row in expected[0]]
    assert first[0].score == pytest.approx(float((texts[0] @ images.T).max()), abs=1e-6)
    by_tensor = space.retrieve(texts[0], images, k=1)
    assert by_tensor[0].row == int(expected[0, 0])


def test_an_index_of_another_space_is_refused(space: JointSpace) -> None:
    index = tiny_space(seed=1).make_index({"image": IMAGES})
    with pytest.raises(ValueError, match="another joint space"):
        space.retrieve("a frog", index)
    other_pooling = tiny_space(head="omni.joint_space.LinearHead", pooling="first")
    assert {name: value.shape for name, value in other_pooling.state_dict().items()} == {
        name: value.shape for name, value in space.state_dict().items()
    }
    with pytest.raises(ValueError, match="another joint space"):
        space.retrieve("a frog", other_pooling.make_index({"image": IMAGES}))
    with pytest.raises(ValueError, match=r"no index 'mine'; it has \[\]"):
        space.retrieve("a frog", "mine")


def test_compose_is_the_weighted_sum_of_unit_embeddings(space: JointSpace) -> None:
    image, sound = Media("image", data=IMAGES[0]), Media("sound", data=SOUNDS[0])
    found = space.compose([(image, 0.5), (sound, 0.5)])
    rows = space.embed({"image": [image], "sound": [sound]})
    torch.testing.assert_close(found, F.normalize(0.5 * rows["image"][0] + 0.5 * rows["sound"][0], dim=-1))
    raw = space.compose([(rows["image"][0], 2.0), ({"sound": [sound]}, -1.0)], normalize=False)
    torch.testing.assert_close(raw, 2 * rows["image"][0] - rows["sound"][0])
    with pytest.raises(ValueError, match="one item; this one is 4"):
        space.compose([({"image": IMAGES}, 1.0)])


def test_save_load_save_gives_identical_bytes_and_the_same_embeddings(space: JointSpace, tmp_path: Path) -> None:
    with torch.no_grad():
        space.log_logit_scale.fill_(9.0)  # beyond the largest scale
    space.indexes["pictures"] = space.make_index({"image": IMAGES}, ids=list("abcd"))
    space.save(tmp_path / "first")
    loaded = JointSpace.load(tmp_path / "first")
    loaded.save(tmp_path / "second")
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert Path("indexes/pictures/embeddings.npy") in files
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file
    before, after = (one.embed({"image": IMAGES, "text": TEXTS}) for one in (space, loaded))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert float(loaded.logit_scale.detach()) == pytest.approx(100)
    assert loaded.retrieve(TEXTS[0], "pictures", k=1) == space.retrieve(TEXTS[0], "pictures", k=1)


def test_only_some_modalities_can_be_loaded_and_search_the_indexes_of_all(space: JointSpace, tmp_path: Path) -> None:
    space.indexes["pictures"] = space.make_index({"image": IMAGES})
    space.save(tmp_path / "space")
    texts = JointSpace.load(tmp_path / "space", modalities=["text"])
    assert texts.retrieve(TEXTS[0], "pictures", k=2) == space.retrieve(TEXTS[0], "pictures", k=2)
    loaded = JointSpace.load(tmp_path / "space", modalities=["image"])
    assert [*loaded.modalities] == ["image"]
    assert torch.equal(loaded.embed({"image": IMAGES})["image"], space.embed({"image": IMAGES})["image"])
    with pytest.raises(ValueError, match=r"no modality \['depth'\]"):
        JointSpace.load(tmp_path / "space", modalities=["depth"])


def test_folders_that_are_no_space_are_refused(space: JointSpace, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is no joint space"):
        JointSpace.load(tmp_path)
    space.save(tmp_path / "space")
    (tmp_path / "space" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="also holds"):
        space.save(tmp_path / "space")
    with pytest.raises(ValueError, match=r"config\.yaml.*JointSpace\.load"):
        OmniModel.load(tmp_path / "space")
    (tmp_path / "space" / "config.yaml").write_text("joint_space: [")
    for read in (JointSpace.load, OmniModel.load, is_space):
        with pytest.raises(ValueError, match=r"config\.yaml is damaged"):
            read(tmp_path / "space")
    (tmp_path / "config.yaml").write_text("format_version: 1\nmodel: {}\n")
    with pytest.raises(ValueError, match=r"OmniModel\.load"):
        JointSpace.load(tmp_path)


def test_a_head_that_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"the encoder gives width 8, but joint_space.dim is 6"):
        tiny_space(dim=6, head="omni.joint_space.IdentityHead")
    with pytest.raises(ValueError, match=r"joint_space.modalities.image.head.*takes no \['size'\]"):
        tiny_space(size=3)


def test_queries_and_embeddings_of_a_wrong_width_are_refused(space: JointSpace) -> None:
    with pytest.raises(ValueError, match=r"D = 8, got \[3\]"):
        space.retrieve(np.zeros(3), torch.eye(DIM))
