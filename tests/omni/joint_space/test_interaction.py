"""Items are compared by one embedding each, or feature by feature where the space was trained so."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from omni.joint_space import JointSpace
from omni.joint_space.interaction import joined, set_similarity
from omni.media.item import Media
from tests.tiny import recording
from tests.tiny_space import tiny_space
from train.objectives import BindObjective

IMAGES = [Media("image", data=recording(seed, length)) for seed, length in ((1, 4), (2, 9), (3, 1))]
TEXTS = ["a frog", "a dog in the picture", "bell"]


@pytest.fixture
def late() -> JointSpace:
    space = tiny_space()
    space.interaction = "late"
    return space


def features_of(space: JointSpace, media: Media) -> torch.Tensor:
    part = space.modality(media.modality)
    features = part.encoder(part.encoder.preprocess(media))
    return F.normalize(part.head.tokens(features.values[features.mask]), dim=-1)


def test_similarity_is_the_cosine_where_items_are_pooled() -> None:
    space = tiny_space()
    found = space.embed({"image": IMAGES, "text": TEXTS})
    torch.testing.assert_close(space.similarity({"image": IMAGES}, TEXTS), found["image"] @ found["text"].T)
    torch.testing.assert_close(space.similarity("a frog", IMAGES[0]), found["text"][:1] @ found["image"][:1].T)


def test_late_similarity_is_the_mean_over_the_querys_features_of_the_nearest(late: JointSpace) -> None:
    pictures = [features_of(late, one) for one in IMAGES]
    texts = [features_of(late, Media("text", data=text.encode())) for text in TEXTS]
    forth = torch.stack([torch.stack([(one @ other.T).amax(1).mean() for other in texts]) for one in pictures])
    back = torch.stack([torch.stack([(other @ one.T).amax(1).mean() for one in pictures]) for other in texts])
    torch.testing.assert_close(late.similarity({"image": IMAGES}, TEXTS), forth)
    torch.testing.assert_close(late.similarity(TEXTS, {"image": IMAGES}), back)
    assert (forth - back.T).abs().max() > 1e-3
    many = [*pictures] * 30  # more than are compared at once
    torch.testing.assert_close(set_similarity(texts, many), back.repeat(1, 30))


def test_a_late_space_classifies_by_the_mean_similarity_of_templates(late: JointSpace) -> None:
    templates = ["a picture of a {}", "{} it is"]
    means = [
        late.similarity({"image": IMAGES}, [one.replace("{}", label) for one in templates]).mean(1)
        for label in ("frog", "bell")
    ]
    expected = (torch.stack(means, 1) / 0.07).softmax(-1)
    torch.testing.assert_close(late.classify({"image": IMAGES}, ["frog", "bell"], templates)["image"], expected)
    torch.testing.assert_close(late.classify(IMAGES[0], ["frog", "bell"], templates), expected[:1])


@pytest.mark.parametrize("interaction", ["pooled", "late"])
def test_items_are_retrieved_without_an_index(interaction: str) -> None:
    space = tiny_space()
    space.interaction = interaction  # type: ignore[assignment]
    expected = space.similarity(TEXTS, {"image": IMAGES})
    found = space.retrieve(TEXTS, {"image": IMAGES}, k=2)
    assert [[hit.row for hit in hits] for hits in found] == expected.argsort(1, descending=True)[:, :2].tolist()
    assert found[0][0].score == pytest.approx(float(expected[0].max()), abs=1e-6)
    assert [hit.row for hit in space.retrieve(TEXTS[0], {"image": IMAGES}, k=1)] == [int(expected[0].argmax())]


def test_a_late_space_refuses_indexes_of_one_embedding_an_item(late: JointSpace) -> None:
    with pytest.raises(
        ValueError, match=r"feature by feature .* retrieve\(query, \{modality: items\}\) needs no index"
    ):
        late.make_index({"image": IMAGES})
    with pytest.raises(ValueError, match=r"takes \{modality: items\} in place of an index"):
        late.retrieve("a frog", late.embed({"image": IMAGES})["image"])
    with pytest.raises(ValueError, match="it is items that are compared here, not embeddings"):
        late.similarity(torch.ones(8), TEXTS)


def test_several_items_of_one_thing_are_one_set() -> None:
    first, second = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(joined([first, second]), torch.full((1, 2), 0.5**0.5))
    assert joined([first]) is first
    assert joined([first, second.repeat(2, 1)]).shape == (3, 2)


def test_the_loss_says_how_a_space_compares_and_its_folder_keeps_it(tmp_path: Path) -> None:
    space = tiny_space()
    BindObjective({"class_path": "omni.losses.FILIP"}).begin_run(space)
    space.save(tmp_path / "late")
    assert JointSpace.load(tmp_path / "late").interaction == "late"
    BindObjective().begin_run(space)
    assert space.interaction == "pooled"
    with pytest.raises(ValueError, match="interaction is 'early'; allowed: pooled, late"):
        JointSpace({}, 8, interaction="early")  # type: ignore[arg-type]


def test_saving_a_space_again_keeps_its_evaluation(tmp_path: Path) -> None:
    space = tiny_space()
    space.save(tmp_path / "space")
    (tmp_path / "space" / "evaluation").mkdir()
    (tmp_path / "space" / "evaluation" / "results.json").write_text("{}")
    space.save(tmp_path / "space")
    assert (tmp_path / "space" / "evaluation" / "results.json").read_text() == "{}"
