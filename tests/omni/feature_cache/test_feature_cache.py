"""The feature cache: what it gives back, what damage, kills, other processes, a full disk and a limit do to it."""

import logging
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from omni.encoders.base import Features
from omni.feature_cache import FeatureCache
from omni.feature_cache.record import RECORD_BYTES
from omni.feature_cache.retention import list_shards, prune
from tests.disk import full_disk

HASH = "ab" * 32
FINGERPRINT = "01" * 32


def make_features(seed: int = 0, clips: int = 2, positions: int = 5, dim: int = 7) -> Features:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(clips, positions, dim, generator=generator)
    return Features(values, torch.rand(clips, positions, generator=generator) > 0.3)


def name_of(number: int) -> str:
    return f"{number:064x}"


def fill(directory: Path, numbers: range, **options: int) -> FeatureCache:
    """A cache with an entry for each number, closed for writing."""
    cache = FeatureCache(directory, **options)
    for number in numbers:
        cache.put(name_of(number), FINGERPRINT, make_features(number, dim=64))
    cache.close()
    return cache


def is_right(cache: FeatureCache, number: int) -> bool:
    found = cache.get(name_of(number), FINGERPRINT)
    return found is not None and all(map(torch.equal, found, make_features(number, dim=64)))


def files_of(directory: Path, suffix: str) -> list[Path]:
    return sorted(path for path in directory.glob(f"*/*{suffix}") if path.is_file())


def start(target: Callable[..., None], *arguments: object) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)  # pyright: ignore
    process.start()
    return process  # pyright: ignore


# --- what it gives back ---


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
    given = cache.put(HASH, FINGERPRINT, features)
    found = cache.get(HASH, FINGERPRINT)
    assert found is not None
    assert torch.equal(found.values, features.values.to(getattr(torch, dtype)))
    assert torch.equal(given.values, found.values)  # the first epoch computes with what later ones will read
    sizes = [list_shards(tmp_path / name)[0].num_bytes for name in ("full", "half")]
    assert sizes[1] < 0.51 * sizes[0]


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
    assert list_shards(tmp_path)[0].num_bytes < 2 * part.values.nbytes


def test_an_item_without_features_is_an_entry_too(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.put(HASH, FINGERPRINT, Features(torch.empty(1, 0, 7), torch.empty(1, 0, dtype=torch.bool)))
    found = cache.get(HASH, FINGERPRINT)
    assert found is not None
    assert (found.values.shape, found.mask.shape) == ((1, 0, 7), (1, 0))


def test_what_was_read_is_the_callers_own(tmp_path: Path) -> None:
    cache = fill(tmp_path, range(1))
    first = cache.get(name_of(0), FINGERPRINT)
    assert first is not None
    first.values.zero_()
    assert is_right(cache, 0)


def test_many_shards_are_read_with_few_open_files(tmp_path: Path) -> None:
    fill(tmp_path, range(150), shard_bytes=1)
    cache = FeatureCache(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    assert all(is_right(cache, number) for number in range(150))
    assert len(list_shards(tmp_path)) == 150
    assert len(os.listdir("/proc/self/fd")) - before <= 2 * 64 + 1
    cache.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_an_entry_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    size = list_shards(tmp_path)[0].num_bytes
    fill(tmp_path, range(3))
    assert [shard.num_bytes for shard in list_shards(tmp_path)] == [size]


def test_values_too_large_for_float16_are_an_error_that_says_what_to_use(tmp_path: Path) -> None:
    features = Features(torch.full((1, 1, 2), 1e5), torch.ones(1, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="bfloat16"):
        FeatureCache(tmp_path, "float16").put(HASH, FINGERPRINT, features)


def test_an_unknown_dtype_is_an_error_with_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'int8'.*float32, float16, bfloat16"):
        FeatureCache(tmp_path, "int8")


# --- damage ---


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "flipped bit":
        content[len(content) // 2] ^= 1
    cut = {"truncated": content[: len(content) // 2 + 1], "empty": b"", "text": b"hello"}
    path.write_bytes(cut.get(how, content))


@pytest.mark.parametrize(
    ("how", "is_mapped"),
    [(how, is_mapped) for how in ("flipped bit", "truncated", "empty", "text") for is_mapped in (False, True)]
    + [("missing", False)],
)
def test_damaged_data_are_reported_once_and_replaced(
    tmp_path: Path, how: str, is_mapped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    cache = fill(tmp_path, range(3))
    if is_mapped:  # a process has the file in memory while it is damaged
        assert is_right(cache, 0)
    (path,) = files_of(tmp_path, ".data")
    path.unlink() if how == "missing" else damage(path, how)
    other = FeatureCache(tmp_path)
    with caplog.at_level(logging.WARNING):
        lost = [number for number in range(3) if not is_right(cache, number)]
        assert lost == [number for number in range(3) if not is_right(other, number)]
        assert lost == [number for number in range(3) if not is_right(FeatureCache(tmp_path), number)]
    reports = [record.getMessage() for record in caplog.records]
    assert lost
    assert len(reports) == len(lost)
    assert all(name_of(number) in report and str(path) in report for number, report in zip(lost, reports, strict=True))
    fill(tmp_path, range(3))
    assert all(is_right(reader, number) for reader in (cache, other, FeatureCache(tmp_path)) for number in range(3))
    assert len(caplog.records) == len(lost)


def test_a_damaged_index_record_is_reported_once_and_the_others_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, range(5))
    (path,) = files_of(tmp_path, ".index")
    content = bytearray(path.read_bytes())
    content[2 * RECORD_BYTES + 9] ^= 4
    path.write_bytes(content)
    caches = [FeatureCache(tmp_path) for _ in range(2)]
    expected = [True, True, False, True, True]
    assert [[is_right(cache, number) for number in range(5)] for cache in caches] == [expected] * 2
    (report,) = (record.getMessage() for record in caplog.records)
    assert str(path) in report
    assert "record 2:" in report
    fill(tmp_path, range(5))
    assert all(is_right(cache, number) for cache in caches for number in range(5))


@pytest.mark.parametrize("size", range(0, 3 * RECORD_BYTES, 7))
def test_an_index_cut_at_any_byte_keeps_the_whole_records_and_can_be_continued(
    tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, range(3))
    (path,) = files_of(tmp_path, ".index")
    os.truncate(path, size)
    cache = FeatureCache(tmp_path)
    assert [is_right(cache, number) for number in range(3)] == [number < size // RECORD_BYTES for number in range(3)]
    fill(tmp_path, range(4))
    assert [is_right(cache, number) for number in range(4)] == [True] * 4
    assert files_of(tmp_path, ".index") == [path]
    assert path.stat().st_size == 4 * RECORD_BYTES
    assert not caplog.records


def test_garbage_behind_the_last_record_is_ignored_and_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, range(2))
    (path,) = files_of(tmp_path, ".index")
    with path.open("ab") as file:
        file.write(bytes(3 * RECORD_BYTES + 5))  # what a power cut may leave: a size without content
    cache = FeatureCache(tmp_path)
    assert [is_right(cache, number) for number in range(2)] == [True, True]
    fill(tmp_path, range(3))
    assert [is_right(cache, number) for number in range(3)] == [True] * 3
    assert path.stat().st_size == 3 * RECORD_BYTES
    assert not caplog.records


# --- several processes ---


def _write_until_killed(directory: Path, first: int) -> None:
    cache = FeatureCache(directory, shard_bytes=20_000)
    number = first
    while True:
        cache.put(name_of(number), FINGERPRINT, make_features(number, dim=64))
        number += 1


def test_writers_killed_at_random_moments_leave_only_right_entries(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    randomness = random.Random(0)
    for round_number in range(25):
        process = start(_write_until_killed, tmp_path, round_number * 1000)
        time.sleep(randomness.uniform(0.0, 0.06))
        os.kill(process.pid, signal.SIGKILL)  # pyright: ignore
        process.join()
    cache = FeatureCache(tmp_path)
    counts = []
    for first in range(0, 25_000, 1000):
        counts.append(next(i for i in range(1000) if cache.get(name_of(first + i), FINGERPRINT) is None))
        assert all(is_right(cache, number) for number in range(first, first + counts[-1]))
        behind = range(first + counts[-1], first + counts[-1] + 20)  # no holes: what was written before is there
        assert not any(cache.contains(name_of(number), FINGERPRINT) for number in behind)
    assert sum(counts) > 100
    assert not caplog.records
    assert len(list_shards(tmp_path)) <= sum(shard.num_bytes for shard in list_shards(tmp_path)) // 20_000 + 1
    assert is_right(fill(tmp_path, range(999_999, 1_000_000)), 999_999)


def _write_and_read(directory: Path, seed: int, rounds: int) -> None:
    cache = FeatureCache(directory, shard_bytes=50_000)
    randomness = random.Random(seed)
    for _ in range(rounds):
        number = randomness.randrange(60)
        cache.put(name_of(number), FINGERPRINT, make_features(number, dim=64))
        assert is_right(cache, number)
        other = randomness.randrange(60)
        assert cache.get(name_of(other), FINGERPRINT) is None or is_right(cache, other)


def test_processes_that_write_and_read_at_once_never_read_a_part(tmp_path: Path) -> None:
    processes = [start(_write_and_read, tmp_path, seed, 150) for seed in range(4)]
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * 4
    cache = FeatureCache(tmp_path)
    assert all(is_right(cache, number) for number in range(60))


def _go_on_with(cache: FeatureCache, numbers: range) -> None:
    for number in numbers:
        cache.put(name_of(number), FINGERPRINT, make_features(number, dim=64))
    assert is_right(cache, 0)
    assert all(is_right(cache, number) for number in numbers)


def test_forked_workers_go_on_with_the_same_object_in_shards_of_their_own(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    _go_on_with(cache, range(1))
    processes = [start(_go_on_with, cache, range(10 * worker, 10 * worker + 10)) for worker in (1, 2)]
    _go_on_with(cache, range(1, 10))
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert all(is_right(cache, number) for number in range(30))
    num_shards = len(list_shards(tmp_path))
    assert num_shards in (2, 3)  # a worker that begins after the other has ended goes on with its shard
    fill(tmp_path, range(30, 33))  # the parent's shard is still locked, those of the workers are free
    assert len(list_shards(tmp_path)) == num_shards
    assert all(is_right(cache, number) for number in range(33))


# --- limits ---


def test_the_least_recently_used_shards_go_first_and_the_limit_holds(tmp_path: Path) -> None:
    one = list_shards_size(fill(tmp_path / "one", range(1)))
    cache = fill(tmp_path / "full", range(10), shard_bytes=1)
    for age, shard in enumerate(reversed(list_shards(cache.directory))):
        os.utime(shard.index_path, (0, 1e9 - age))
    used = FeatureCache(cache.directory)
    assert all(is_right(used, number) for number in (0, 4))
    limited = FeatureCache(cache.directory, max_bytes=6 * one, shard_bytes=1)
    _go_on_with_new(limited, 10)
    fresh = FeatureCache(cache.directory)
    left = [number for number in range(11) if is_right(fresh, number)]
    assert {0, 4, 10} <= set(left)
    assert left[-4:-1] != [0, 4]
    assert set(left) <= {0, 4, 7, 8, 9, 10}
    for number in range(11, 40):
        _go_on_with_new(limited, number)
        assert list_shards_size(limited) <= 6 * one
    assert limited.keeps_all is False


def _go_on_with_new(cache: FeatureCache, number: int) -> None:
    cache.put(name_of(number), FINGERPRINT, make_features(number, dim=64))
    assert is_right(cache, number)


def list_shards_size(cache: FeatureCache) -> int:
    return sum(shard.num_bytes for shard in list_shards(cache.directory))


def test_the_shard_being_written_is_never_deleted(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    _go_on_with_new(cache, 0)
    assert prune(tmp_path, max_bytes=0).num_in_use == 1
    assert is_right(FeatureCache(tmp_path), 0)
    cache.close()
    assert prune(tmp_path, max_bytes=0).num_shards == 1
    assert not files_of(tmp_path, "*")
    assert FeatureCache(tmp_path).get(name_of(0), FINGERPRINT) is None
    assert cache.get(name_of(1), FINGERPRINT) is None  # it looks, and finds its shard gone
    assert cache.get(name_of(0), FINGERPRINT) is None
    _go_on_with_new(cache, 0)


def test_an_item_larger_than_the_limit_is_said_once_and_deletes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, range(2))
    cache = FeatureCache(tmp_path, max_bytes=list_shards_size(FeatureCache(tmp_path)) + 100)
    for number in (2, 3):
        cache.put(name_of(number), FINGERPRINT, make_features(number, dim=6400))
    assert [is_right(cache, number) for number in range(2)] == [True, True]
    assert len(caplog.records) == 1
    assert "no room" in caplog.text
    assert not cache.keeps_all


def test_data_whose_index_is_gone_are_deleted(tmp_path: Path) -> None:
    fill(tmp_path, range(2))
    files_of(tmp_path, ".index")[0].unlink()
    prune(tmp_path)
    assert files_of(tmp_path, "*") == []


def test_a_full_disk_is_said_once_and_stops_the_writing_but_not_the_reading(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = FeatureCache(tmp_path)
    _go_on_with_new(cache, 0)
    size = list_shards_size(cache)
    with full_disk(size + 100):
        for number in (1, 2):
            cache.put(name_of(number), FINGERPRINT, make_features(number, dim=64))
    assert [is_right(cache, number) for number in range(3)] == [True, False, False]
    assert list_shards_size(cache) == size
    assert len(caplog.records) == 1
    assert "no longer cached" in caplog.text
    assert not cache.keeps_all


def test_a_place_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    cache = FeatureCache(tmp_path / "file")
    for number in range(2):
        cache.put(name_of(number), FINGERPRINT, make_features(number))
    assert caplog.text.count("no longer cached") == 1


# --- several users ---

ALICE, BOB = 54321, 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")


@contextmanager
def user(number: int, umask: int) -> Iterator[None]:
    """Be another user, without the rights of root, for a moment."""
    before = os.umask(umask)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.umask(before)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that all users may write to, outside of pytest's own, which only one may read."""
    folder = Path(tempfile.mkdtemp(prefix="omni-shared-", dir="/tmp"))
    folder.chmod(0o2777)
    yield folder
    shutil.rmtree(folder)


@needs_root
def test_users_with_different_umasks_share_a_folder_that_both_may_write_to(shared: Path) -> None:
    with user(ALICE, 0o077):
        fill(shared, range(4))
    with user(BOB, 0o022):
        cache = FeatureCache(shared)
        assert all(is_right(cache, number) for number in range(4))
        fill(shared, range(4, 8))
    with user(ALICE, 0o077):
        assert all(is_right(FeatureCache(shared), number) for number in range(8))
        assert prune(shared, 0).num_denied == 0
    assert list_shards(shared) == []


@needs_root
def test_features_that_another_user_keeps_to_himself_are_computed_again_with_the_command_to_share_them(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with user(ALICE, 0o022):
        fill(shared, range(4))
    for file in shared.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o600)
    with user(BOB, 0o022):
        cache = FeatureCache(shared)
        assert not any(is_right(cache, number) for number in range(4))
        cache.put(name_of(9), FINGERPRINT, make_features(9, dim=64))
        pruned = prune(shared, 0)
    assert pruned.num_denied == 1
    read, written = (record.getMessage() for record in caplog.records)
    assert "features cannot be read, and will be computed again: Permission denied" in read
    assert f"belongs to {ALICE} and has mode 600" in read
    assert "features are no longer cached: Permission denied" in written
    for message in (read, written):
        assert f"chgrp -R GROUP {shared} && chmod -R g+rwX {shared}" in message
    assert cache.write_error


@needs_root
def test_a_folder_that_may_not_be_listed_is_said_and_holds_nothing(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared.chmod(0o777)
    with user(ALICE, 0o022):
        fill(shared, range(2))
    next(shared.iterdir()).chmod(0o700)
    with user(BOB, 0o022):
        cache = FeatureCache(shared)
        assert not cache.contains(name_of(0), FINGERPRINT)
        assert cache.get(name_of(0), FINGERPRINT) is None
        assert list_shards(shared) == []
    assert len(caplog.records) == 1
    assert "has mode 700" in caplog.text


def test_a_cache_that_one_user_has_alone_keeps_its_modes(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        fill(tmp_path / "cache", range(2))
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "cache").rglob("*.*")}
    assert modes <= {0o600, 0o700}
