import errno
import logging
import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from omni.encoders.base import Features
from omni.feature_cache import FeatureCache

HASH = "ab" * 32
FINGERPRINT = "01" * 32


def make_features(seed: int = 0, clips: int = 2, positions: int = 5, dim: int = 7) -> Features:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(clips, positions, dim, generator=generator)
    return Features(values, torch.rand(clips, positions, generator=generator) > 0.3)


def files_of(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_float32_gives_back_the_same_bits(tmp_path: Path) -> None:
    features = make_features()
    features.values[0, 0, :4] = torch.tensor([0.0, -0.0, 1e-42, 3.0e38])
    cache = FeatureCache(tmp_path)
    cache.put(HASH, FINGERPRINT, features)
    found = cache.get(HASH, FINGERPRINT)
    assert found is not None
    assert torch.equal(found.values.view(torch.int32), features.values.view(torch.int32))
    assert torch.equal(found.mask, features.mask)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_rounds_once_and_takes_half_the_space(tmp_path: Path, dtype: str) -> None:
    features = make_features(dim=1024)
    FeatureCache(tmp_path / "full").put(HASH, FINGERPRINT, features)
    cache = FeatureCache(tmp_path / "half", dtype)
    cache.put(HASH, FINGERPRINT, features)
    found = cache.get(HASH, FINGERPRINT)
    assert found is not None
    assert torch.equal(found.values, features.values.to(getattr(torch, dtype)))
    (full,), (half,) = files_of(tmp_path / "full"), files_of(tmp_path / "half")
    assert half.stat().st_size < 0.51 * full.stat().st_size


def test_another_item_encoder_or_dtype_finds_nothing(tmp_path: Path) -> None:
    FeatureCache(tmp_path).put(HASH, FINGERPRINT, make_features())
    assert FeatureCache(tmp_path).get("cd" * 32, FINGERPRINT) is None
    assert FeatureCache(tmp_path).get(HASH, "02" * 32) is None
    assert FeatureCache(tmp_path, "float16").get(HASH, FINGERPRINT) is None


def test_a_part_of_a_batch_is_stored_without_the_rest(tmp_path: Path) -> None:
    batch = make_features(clips=50, dim=256)
    part = Features(batch.values.split(1)[7], batch.mask.split(1)[7])
    cache = FeatureCache(tmp_path)
    cache.put(HASH, FINGERPRINT, part)
    found = cache.get(HASH, FINGERPRINT)
    assert found is not None
    assert torch.equal(found.values, part.values)
    assert files_of(tmp_path)[0].stat().st_size < 2 * part.values.nbytes


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped bit", "text"])
def test_a_damaged_entry_is_reported_and_can_be_replaced(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = FeatureCache(tmp_path)
    cache.put(HASH, FINGERPRINT, make_features())
    (path,) = files_of(tmp_path)
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(
        {"truncated": bytes(content[:-9]), "empty": b"", "flipped bit": bytes(content), "text": b"hello"}[damage]
    )
    with caplog.at_level(logging.WARNING):
        assert cache.get(HASH, FINGERPRINT) is None
    assert str(path) in caplog.text
    cache.put(HASH, FINGERPRINT, make_features())
    found = cache.get(HASH, FINGERPRINT)
    assert found is not None
    assert torch.equal(found.values, make_features().values)


def test_values_too_large_for_float16_are_an_error_that_says_what_to_use(tmp_path: Path) -> None:
    features = Features(torch.full((1, 1, 2), 1e5), torch.ones(1, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="bfloat16"):
        FeatureCache(tmp_path, "float16").put(HASH, FINGERPRINT, features)


def test_an_unknown_dtype_is_an_error_with_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'int8'.*float32, float16, bfloat16"):
        FeatureCache(tmp_path, "int8")


def test_a_full_disk_stops_the_caching_but_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = FeatureCache(tmp_path)
    monkeypatch.setattr(os, "replace", fail)
    cache.put(HASH, FINGERPRINT, make_features())
    cache.put("cd" * 32, FINGERPRINT, make_features())
    assert caplog.text.count("No space left") == 1
    assert cache.get(HASH, FINGERPRINT) is None
    assert files_of(tmp_path) == []


def _write_and_read(directory: Path, rounds: int) -> None:
    cache = FeatureCache(directory)
    for number in range(rounds):
        media_hash = f"{number % 5:064x}"
        cache.put(media_hash, FINGERPRINT, make_features(number % 5, dim=512))
        found = cache.get(media_hash, FINGERPRINT)
        assert found is not None
        assert torch.equal(found.values, make_features(number % 5, dim=512).values)


def test_two_processes_writing_the_same_entries_never_read_a_part(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write_and_read, args=(tmp_path, 200)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(files_of(tmp_path)) == 5
