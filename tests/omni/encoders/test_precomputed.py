from pathlib import Path

import numpy as np
import pytest
import torch

from omni.encoders.precomputed import PrecomputedFeatures
from omni.media.errors import MediaError
from omni.media.item import Media


def test_a_row_of_a_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3, 8)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    encoder = PrecomputedFeatures("smell", dim=8, max_features=3)
    features = encoder(encoder.preprocess(Media("smell", features=str(tmp_path / "rows.npy"), row=3)))
    assert torch.equal(features.values[0], torch.from_numpy(rows[3]))
    assert features.mask.tolist() == [[True] * 3]


def test_a_vector_is_one_feature() -> None:
    encoder = PrecomputedFeatures("smell", dim=4)
    features = encoder(encoder.preprocess(Media("smell", features=np.arange(4.0))))
    assert features.values.tolist() == [[[0.0, 1.0, 2.0, 3.0]]]


def test_another_width_or_too_many_features_are_errors_that_name_the_item() -> None:
    encoder = PrecomputedFeatures("smell", dim=4, max_features=2)
    with pytest.raises(MediaError, match=r"smell features array.*5 wide.*takes width 4"):
        encoder.preprocess(Media("smell", features=np.zeros((2, 5))))
    with pytest.raises(MediaError, match="holds 3 features, but max_features is 2"):
        encoder.preprocess(Media("smell", features=np.zeros((3, 4))))


def test_there_are_no_weights_and_the_fingerprint_tells_settings_apart() -> None:
    encoder = PrecomputedFeatures("smell", dim=4)
    assert list(encoder.parameters()) == []
    assert encoder.fingerprint() == PrecomputedFeatures("smell", dim=4).fingerprint()
    assert encoder.fingerprint() != PrecomputedFeatures("smell", dim=5).fingerprint()
