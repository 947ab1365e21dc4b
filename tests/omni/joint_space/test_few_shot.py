"""Few shots of any modality, and predicting a modality that is missing."""

import pytest
import torch
import torch.nn.functional as F

from omni.joint_space import FewShotClassifier, MissingModality
from tests.tiny import recording
from tests.tiny_space import tiny_space


def test_shots_of_one_modality_classify_another_whose_embeddings_agree() -> None:
    space = tiny_space()
    centers = F.normalize(torch.randn(3, space.dim, generator=torch.Generator().manual_seed(0)), dim=-1)
    shots = {
        "frog": [centers[0], centers[0] + 0.1],
        "bell": [centers[1]],
        "dog": [centers[2], centers[2] - 0.1, centers[2] * 2],
    }
    classifier = FewShotClassifier.fit(space, shots, class_names=False, regularization=1e-3)
    noise = 0.1 * torch.randn(3, space.dim, generator=torch.Generator().manual_seed(1))
    found = classifier.classify(centers + noise)
    assert found.argmax(1).tolist() == [0, 1, 2]
    torch.testing.assert_close(found.sum(1), torch.ones(3))
    mixed = FewShotClassifier.fit(space, {"frog": {"image": [recording(1)], "audio": [recording(2)]}, "dog": {}})
    assert mixed.labels == ["frog", "dog"]


def test_without_shots_and_strongly_regularised_it_is_zero_shot() -> None:
    space = tiny_space()
    names = {"frog": {}, "bell": {}}
    classifier = FewShotClassifier.fit(space, names, templates=["a {}"], regularization=1e6)
    media = {"image": [recording(1), recording(2)]}
    expected = space.classify(media, ["frog", "bell"], templates=["a {}"])["image"]
    torch.testing.assert_close(classifier.classify(media), expected, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="'frog' has no shot"):
        FewShotClassifier.fit(space, names, class_names=False)
    with pytest.raises(ValueError, match="at least two labels"):
        FewShotClassifier.fit(space, {"frog": {}})


def test_a_missing_modality_is_predicted_across_the_gap_from_all_that_are_present() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(60, 8, generator=generator)
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
    sound = image @ rotation + 3.0
    text = torch.randn(60, 8, generator=generator)  # says nothing of the sound
    rows = {"image": image[:50], "sound": sound[:50], "text": text[:50]}
    missing = MissingModality.fit(rows, {"sound": torch.arange(50) < 40})
    expected = F.normalize(sound[50:], dim=-1)
    alone = missing.predict("sound", {"image": image[50:]})
    assert (alone * expected).sum(-1).min() > 0.999
    both = missing.predict("sound", {"image": image[50:], "text": text[50:]})
    assert (both * expected).sum(-1).min() > 0.99  # the text counts little
    with pytest.raises(ValueError, match="cannot be predicted from"):
        missing.predict("depth", {"image": image})
    with pytest.raises(ValueError, match="not missing"):
        missing.predict("image", {"image": image})
    with pytest.raises(ValueError, match=r"need the same rows, got \{'image': 10, 'text': 1\}"):
        missing.predict("sound", {"image": image[50:], "text": text[:1]})
    with pytest.raises(ValueError, match="nothing to learn"):
        MissingModality.fit({"image": image[:2], "sound": sound[:2]})


def test_rows_that_are_not_there_may_hold_anything() -> None:
    rows = {"image": torch.eye(6, 4), "sound": torch.eye(6, 4).flip(1)}
    there = torch.tensor([1, 1, 1, 1, 1, 0])
    expected = MissingModality.fit({name: values[:5] for name, values in rows.items()})
    rows["sound"][5] = float("nan")
    found = MissingModality.fit(rows, {"sound": there})
    assert found.pairs == [("image", "sound"), ("sound", "image")]
    image = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.predict("sound", {"image": image}), expected.predict("sound", {"image": image}))
    with pytest.raises(ValueError, match="1 embeddings of 'sound' hold NaN"):
        MissingModality.fit(rows)


def test_masks_widths_and_numbers_that_do_not_fit_are_named() -> None:
    rows = {"image": torch.eye(6, 4), "sound": torch.eye(6, 4).flip(1)}
    with pytest.raises(ValueError, match="present names smell; there are embeddings of image, sound"):
        MissingModality.fit(rows, {"smell": torch.ones(6, dtype=torch.bool)})
    with pytest.raises(ValueError, match=r"present\['sound'\] has shape \[3\]; it needs one value for each of 6 rows"):
        MissingModality.fit(rows, {"sound": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(ValueError, match="'image' has width 3, not that of the rows fitted: 4"):
        MissingModality.fit(rows).predict("sound", {"image": torch.ones(2, 3)})
    space = tiny_space()
    unknown = torch.full((1, space.dim), float("nan"))
    with pytest.raises(ValueError, match="NaN or infinite"):
        FewShotClassifier.fit(space, {"frog": unknown, "dog": {}})
    with pytest.raises(ValueError, match="NaN or infinite"):
        FewShotClassifier.fit(space, {"frog": {}, "dog": {}}).classify(unknown)
