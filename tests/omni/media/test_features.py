"""Ready-made embeddings: the right row as float32 [N, D], and errors for what is no embedding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from omni.media.errors import MediaError
from omni.media.features import load_features
from omni.samples.messages import Media

TABLE = np.arange(24, dtype=np.float32).reshape(4, 6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_row_of_a_numpy_file_is_taken(dtype: type, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TABLE.astype(dtype))
    media = Media("imu", features=str(tmp_path / "x.npy"), row=2)
    values = load_features(media)
    assert values.dtype == np.float32
    assert np.array_equal(values, TABLE[2:3])
    assert np.array_equal(load_features(tmp_path / "x.npy"), TABLE)


def test_row_of_a_safetensors_file_is_taken_also_from_bfloat16(tmp_path: Path) -> None:
    sequence = torch.arange(48.0).reshape(4, 3, 4)
    save_file({"x": sequence.bfloat16()}, tmp_path / "x.safetensors")
    assert np.array_equal(load_features(tmp_path / "x.safetensors", row=1), sequence[1].numpy())


def test_tensor_is_chosen_by_key(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, 3), "b": torch.ones(2, 3)}, tmp_path / "x.safetensors")
    media = Media("imu", features=str(tmp_path / "x.safetensors"), row=0, options={"key": "b"})
    assert np.array_equal(load_features(media), np.ones((1, 3)))
    with pytest.raises(MediaError, match="choose one with option 'key'; it holds a, b"):
        load_features(tmp_path / "x.safetensors")
    with pytest.raises(MediaError, match="no tensor 'c'; it holds a, b"):
        load_features(tmp_path / "x.safetensors", key="c")


def test_arrays_are_taken_as_one_item() -> None:
    assert np.array_equal(load_features(TABLE[0]), TABLE[:1])
    assert np.array_equal(load_features(Media("imu", features=TABLE)), TABLE)


@pytest.mark.parametrize(
    ("array", "row", "cause"),
    [
        (np.zeros((2, 3, 4)), None, "give the 'row'"),
        (np.zeros((2, 3, 4, 5)), 0, r"got the shape \[3, 4, 5\]"),
        (np.zeros((0, 4)), None, "got the shape"),
        (np.array(3.0), None, "got the shape"),
        (np.array([[1, np.nan]]), None, "1 NaN or infinite"),
        (np.array([["a"]]), None, "must be numbers"),
        (TABLE, 4, "has no row 4; its shape is .* rows go from 0 to 3"),
    ],
)
def test_arrays_that_are_no_embedding_are_refused(
    array: np.ndarray, row: int | None, cause: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", array)
    for source in (array, tmp_path / "x.npy"):
        with pytest.raises(MediaError, match=cause):
            load_features(source, row)


def test_broken_files_are_named_with_their_cause(tmp_path: Path) -> None:
    cases = {
        "text.npy": (b"some words", "cannot be read as .npy"),
        "zero.npy": (b"", "zero bytes"),
        "text.safetensors": (b"some words and more", "cannot be read as .safetensors"),
        "x.csv": (b"1,2,3", "must be a file of type"),
    }
    np.save(tmp_path / "cut.npy", TABLE)
    cases["cut.npy"] = ((tmp_path / "cut.npy").read_bytes()[:150], "cannot be read as .npy")
    for name, (content, cause) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError, match=cause) as caught:
            load_features(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(MediaError, match="no such file"):
        load_features(tmp_path / "gone.npy")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(MediaError, match="cannot be read"):
        load_features(tmp_path / "x.npy")
