"""One hostile row costs itself: absurd numbers, deep values, long texts, claims of sizes, in every form of row."""

import contextlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omni.media import Media, MediaError
from omni.media.features import load_features
from omni.media.frames import load_frames
from omni.media.imu import load_imu
from omni.media.mesh import load_mesh
from omni.media.plane import load_plane
from omni.media.sound import load_sound
from omni.readers import InMemoryDataset, open_dataset
from omni.samples.messages import Sample, SampleError, parse_messages, parse_sample
from tests.fuzz import good_bytes

GOOD = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}
ABSURD = ["1e400", "-1e400", "NaN", "-1", "0", "1" + "0" * 400, "1e308", "1" * 4000, "true", '"x"', "[]", "{}"]


def audio(**keys: Any) -> dict[str, Any]:
    part = {"type": "sound", "data": [0.0] * 100, "sampling_rate": 8000, **keys}
    return {"messages": [{"role": "user", "content": [part]}, GOOD["messages"][1]]}


@pytest.mark.parametrize("number", ABSURD)
@pytest.mark.parametrize("key", ["sampling_rate", "row", "start", "end", "num_frames", "sample_rate", "fps", "index"])
def test_absurd_numbers_of_a_row_cost_that_row(number: str, key: str, tmp_path: Path) -> None:
    inner = {"options": {key: "@"}} if key in ("start", "end", "num_frames", "sample_rate") else {key: "@"}
    lines = [json.dumps(row).replace('"@"', number) for row in (GOOD, audio(**inner), GOOD)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    first, second, third = open_dataset(tmp_path / "t.jsonl")
    assert isinstance(first, Sample)
    assert isinstance(third, Sample)
    if isinstance(second, SampleError):
        assert second.sample_id == "t.jsonl:2"
        return
    for load in (load_sound, load_frames):  # nothing else is raised
        with contextlib.suppress(MediaError):
            load(second.media[0])


def test_deep_and_long_rows_cost_themselves(tmp_path: Path) -> None:
    deep = "[" * 900 + "]" * 900
    rows = [json.dumps(GOOD), '{"messages": ' + "[" * 100_000, json.dumps(GOOD)[:-1] + f', "x": {deep}}}']
    rows.append(json.dumps({"messages": [{"role": "user", "content": "a " * 2_100_000}]}))
    (tmp_path / "t.jsonl").write_text("\n".join([*rows, rows[0]]))
    found = [*open_dataset(tmp_path / "t.jsonl")]
    assert [isinstance(entry, Sample) for entry in (found[0], found[4])] == [True, True]
    assert "not valid JSON" in str(found[1])
    assert "4,200,000 characters, over the limit" in str(found[3])
    value: Any = "x"
    for _ in range(5000):
        value = [value]
    with pytest.raises(SampleError, match="must be an object"):
        parse_messages([{"role": "user", "content": value}])
    kept = InMemoryDataset([{**GOOD, "x": value}, GOOD], lambda row, name: parse_sample(row, default_id=name), "t")
    assert "RecursionError" in str(kept[0])
    assert isinstance(kept[1], Sample)


def npy_claiming(shape: str, kind: str = "<f8") -> bytes:
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-len(header) - 11 % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


@pytest.mark.parametrize(
    "shape",
    ["(45000000000,)", "(6, 7500000000)", "(99999, 99999, 4)", "(", "(1,", "('a',)", "(-1, 6)", "(2**99, 6)", ")("],
)
def test_claims_of_npy_headers_cost_their_item(shape: str, tmp_path: Path) -> None:
    data = npy_claiming(shape)
    (tmp_path / "a.npy").write_bytes(data)
    for load in (load_imu, load_mesh, load_plane):
        for source in (
            Media("x", data=data, options={"format": "npy"} if load is load_mesh else {}),
            tmp_path / "a.npy",
        ):
            with pytest.raises(MediaError):
                load(source)
    with pytest.raises(MediaError):
        load_features(tmp_path / "a.npy")
    shard = tar({"a.npy": data, "a.txt": b"One", "b.npy": npy(np.zeros((6, 10))), "b.txt": b"Two"})
    (tmp_path / "s.tar").write_bytes(shard)
    first, second = open_dataset(str(tmp_path / "s.tar"), media="imu")
    assert "cannot be read as an array" in str(first)
    assert isinstance(second, Sample)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def tar(files: dict[str, bytes], sizes: dict[str, bytes] | None = None) -> bytes:
    """Return a tar archive; `sizes` are raw size fields of members in place of the right ones, with right checksums."""
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    data = bytearray(result.getvalue())
    for name, size in (sizes or {}).items():
        start = data.index(name.encode())
        data[start + 124 : start + 136] = size.ljust(12, b"\0")
        data[start + 148 : start + 156] = b" " * 8
        data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return bytes(data)


@pytest.mark.parametrize(
    "size",
    [b"77777777777", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"-0000000001", b"zzz", b"\x80\0\0\0\0\0\0\0\0\x09\0\0"],
)
def test_size_fields_of_tar_headers_lose_no_sample_unsaid(size: bytes, tmp_path: Path) -> None:
    png = good_bytes()["image png"]
    files = {f"{name}.{suffix}": data for name in "abc" for suffix, data in (("png", png), ("txt", b"A thing"))}
    for place in ("b.png", "b.txt", "c.txt"):
        (tmp_path / f"{place}.tar").write_bytes(tar(files, {place: size}))
        found = [*open_dataset(str(tmp_path / f"{place}.tar"))]
        assert all(entry.media == (Media("image", data=png),) for entry in found if isinstance(entry, Sample))
        assert any(isinstance(entry, SampleError) for entry in found), found
        given = open_dataset(str(tmp_path / f"{place}.tar"), shard_sizes=3)
        assert sum(isinstance(entry, SampleError) for entry in given) >= 1
        assert len(given) == 3


def test_members_with_holes_cost_their_sample(tmp_path: Path) -> None:
    data = bytearray(tar({"a.png": b"x" * 512, "a.txt": b"One", "b.png": good_bytes()["image png"], "b.txt": b"Two"}))
    data[156:157] = b"S"  # an old sparse file of GNU tar, which claims a terabyte
    data[257:265] = b"ustar  \0"
    data[386 : 386 + 24] = b"00000000000\0" + b"00000000001\0"
    data[483:495] = b"\x80\0\0\0\0\0\1\0\0\0\0\0"
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    (tmp_path / "s.tar").write_bytes(data)
    first, second = open_dataset(str(tmp_path / "s.tar"))
    assert "stored with holes" in str(first)
    assert isinstance(second, Sample)
