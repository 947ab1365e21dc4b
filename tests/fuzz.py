"""Damaged media by the thousand: truncated, mislabelled, empty, huge, NaN, wrong shapes and rates; by seed, all alike.

Run as `python -m tests.fuzz NAME,NAME NUM_CASES` with names of loaders (below) or encoders (`tests.fuzz_encoders`): a
process of its own, so that a crash, a hang or too much memory is its end and not that of the test run. It prints one
line of figures for each. `loaders` and `encoders` stand for all of them.
"""

import contextlib
import functools
import itertools
import json
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import OpenEXR
import soundfile
import trimesh
from PIL import Image

from omni.media import Media, MediaError
from omni.media.depth import load_disparity
from omni.media.features import load_features
from omni.media.frames import load_frames
from omni.media.image import load_image
from omni.media.imu import load_imu
from omni.media.mesh import load_points
from omni.media.sound import load_sound
from omni.media.thermal import load_thermal

MOST_MEMORY = 1 << 30  # bytes of address space that a case may take on top of what the process has at its beginning
NUM_WARM_UP = 20
MOST_SECONDS = 60.0  # of one case, on a busy machine; the first row of a .safetensors file imports torch

VIDEO_CODECS = {"mp4": "libx264", "mkv": "mpeg4", "avi": "mpeg4", "ts": "mpeg2video", "mov": "mjpeg"}
LOADERS: dict[str, Callable[[Media], Any]] = {
    "image": load_image,
    "sound": load_sound,
    "video": lambda media: load_frames(media, 4),
    "point_cloud": lambda media: load_points(media, 64),
    "depth": load_disparity,
    "thermal": load_thermal,
    "imu": load_imu,
    "features": load_features,
}


_CORNERS = "0 0 0 255 0 0\n2 2 0 0 255 0\n0 1 0 0 0 255\n-2 2 0 9 9 9\n"
_OTHER_MESHES = {  # polygons that are not convex, of different sizes, with colours
    "obj": "".join(f"v {row}\n" for row in _CORNERS.splitlines())
    + "vt 0 0\nf -4/1 -3/1 -2/1 -1/1 # c\n\tf 1//1 2//1 3//1\n",
    "off": f"COFF\n4 2 0\n{_CORNERS}4 0 1 2 3\n3 0 1 2\n",
    "xyz": f"//X Y Z R G B\n4\n{_CORNERS}",
    "ply": "ply\nformat ascii 1.0\nelement vertex 4\n"
    + "".join(f"property float {axis}\n" for axis in "xyz")
    + "".join(f"property ushort {colour}\n" for colour in ("red", "green", "blue"))
    + "element face 2\nproperty list uchar int vertex_indices\nproperty list uchar float texcoord\n"
    + f"element tristrips 1\nproperty list int int vertex_indices\nend_header\n{_CORNERS}"
    + "4 0 1 2 3 0\n3 0 1 2 6 0 0 1 0 1 1\n5 0 1 2 -1 3\n",
    "gltf": json.dumps(
        {
            "asset": {"version": "2.0"},
            "nodes": [{"mesh": 0, "scale": [2, 2, 2]}],
            "materials": [{}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 0}, "mode": 6, "material": 0}]}],
            "accessors": [{"bufferView": 0, "count": 4, "componentType": 5121, "type": "VEC3"}],
            "bufferViews": [{"buffer": 0, "byteLength": 12}],
            "buffers": [{"byteLength": 12, "uri": "data:application/octet-stream;base64,AAAAAQAAAQEAAAEA"}],
        }
    ),
}


def cases(modality: str, count: int, folder: Path, seed: int = 0) -> Iterator[tuple[str, Media]]:
    """Media items of a modality, with a description of each; files are written to the folder."""
    good = good_bytes()
    own = [key for key in good if key.split(" ")[0] == modality]
    for index in range(count):
        generator = np.random.default_rng([seed, index, sum(map(ord, modality))])
        kind = generator.choice(["cut", "changed", "number", "other", "array", "options", "path"])
        if kind == "array":
            yield f"{index} array", _array_item(modality, generator)
            continue
        key = str(generator.choice(own if kind != "other" else list(good)))
        data = _damaged(good[key], str(kind), generator)
        description = f"{index} {kind} {key} of {len(data)} bytes"
        options = _options(key, generator) if kind == "options" else _needed_options(key)
        if modality == "features" or kind == "path" or generator.random() < 0.2:
            suffix = (
                key.split(" ")[1] if generator.random() < 0.8 else str(generator.choice(["png", "wav", "obj", "npy"]))
            )
            path = folder / f"case.{suffix}"
            path.write_bytes(data)
            where = path if generator.random() < 0.95 else folder / "absent.png"
            yield f"{description} as {path.name}", _item(modality, str(where), options)
        elif data:
            yield description, Media(modality, data=data, options=options)
        else:
            yield description, Media(modality, data=b"", options=options)


def _item(modality: str, path: str, options: dict[str, Any]) -> Media:
    if modality == "features":
        return Media(modality, features=path, row=options.get("row"))
    return Media(modality, path=path, options=options)


def _damaged(data: bytes, kind: str, generator: np.random.Generator) -> bytes:
    if kind == "cut":
        return data[: int(generator.integers(0, len(data)))]
    if kind == "changed":
        changed = bytearray(data)
        for place in generator.integers(0, len(data), int(generator.integers(1, 20))):
            changed[place] = int(generator.integers(0, 256))
        return bytes(changed)
    if kind == "number":  # sizes and counts stand in the header
        place = int(generator.integers(0, min(len(data), 256)))
        number = generator.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"99999999", b"nan ", b"-1"])
        return data[:place] + bytes(number) + data[place + len(number) :]
    return data


def _needed_options(key: str) -> dict[str, Any]:
    if key.startswith("point_cloud"):
        return {"format": key.split(" ")[1]}
    return {}


def _options(key: str, generator: np.random.Generator) -> dict[str, Any]:
    names = [
        *("start", "end", "num_frames", "sample_rate", "frames_per_second", "format", "encoding", "units_per_metre"),
        *("max_metres", "focal_length", "intrinsics", "scaling", "temperatures", "percentiles", "sampling_rate"),
        *("columns", "time_unit", "row", "channel"),
    ]
    values = [
        -1,
        0,
        1,
        0.001,
        1e9,
        float("nan"),
        float("inf"),
        "abc",
        None,
        [],
        [1, 2],
        {"a": 1},
        True,
        "sun",
        "obj",
        "ms",
    ]
    chosen = generator.choice(names, 2, replace=False)
    return _needed_options(key) | {str(name): values[int(generator.integers(len(values)))] for name in chosen}


def _array_item(modality: str, generator: np.random.Generator) -> Media:
    usual = {"image": (9, 7, 3), "sound": (4000,), "video": (5, 8, 9, 3), "point_cloud": (50, 3), "imu": (6, 2000)}
    shape = list(usual.get(modality, (12, 9)))
    change = generator.integers(0, 6)
    if change == 0:
        shape[int(generator.integers(len(shape)))] = int(generator.choice([0, 1, 2, 5, 300, 3000]))
    elif change == 1:
        shape = shape[1:]
    elif change == 2:
        shape = [int(generator.integers(0, 4)), *shape]
    dtype = str(generator.choice(["f4", "f8", "f2", "u1", "u2", "i2", "i4", "i8", "u8", "?", "c8", "O", "U3", "M8[s]"]))
    values = np.asarray(generator.normal(size=shape) * 10.0 ** float(generator.integers(-3, 6)))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # whatever does not fit the type becomes something
        array = values.astype("f8").astype(dtype) if dtype != "M8[s]" else values.astype("i8").astype(dtype)
    if array.dtype.kind == "f" and array.size and generator.random() < 0.4:
        array.reshape(-1)[:: int(generator.integers(1, 9))] = generator.choice([np.nan, np.inf, 1e38])
    if change == 5 and array.size:
        array = array.reshape(-1)[0]  # a NumPy scalar, which is no array
    if modality == "features":
        return Media(modality, features=array)
    rate = int(generator.choice([1, 50, 400, 16000, 192000, 10**9])) if generator.random() < 0.7 else None
    return Media(modality, data=array, sampling_rate=rate)


@functools.cache
def good_bytes() -> dict[str, bytes]:
    """Small whole files of every kind, by `modality extension`."""
    with TemporaryDirectory() as folder:
        return _write_good_files(Path(folder))


def _write_good_files(folder: Path) -> dict[str, bytes]:
    generator = np.random.default_rng(0)
    found: dict[str, bytes] = {}

    def keep(key: str, write: Callable[[Path], Any]) -> None:
        path = folder / f"good.{key.split(' ')[1]}"
        write(path)
        found[key] = path.read_bytes()

    picture = Image.fromarray(generator.integers(0, 256, (24, 20, 3), dtype=np.uint8))
    for suffix in ("png", "jpg", "gif", "webp", "bmp", "tiff"):
        keep(f"image {suffix}", picture.save)
    deep = generator.integers(400, 9000, (16, 12)).astype(np.uint16)
    for modality in ("depth", "thermal"):
        for suffix in ("png", "tiff", "pgm"):
            keep(f"{modality} {suffix}", Image.fromarray(deep).save)
        keep(f"{modality} npy", lambda path: np.save(path, deep / 10000))
        keep(f"{modality} exr", _write_exr)
    samples = generator.normal(size=4000).clip(-1, 1) / 3
    for suffix in ("wav", "flac", "ogg", "mp3"):
        keep(f"sound {suffix}", lambda path: soundfile.write(path, samples, 8000))
    for suffix in ("ogg", "mp3", "flac"):  # joined: the header speaks of the first part
        keep(f"sound {suffix} twice", lambda path, key=f"sound {suffix}": path.write_bytes(found[key] * 2))
    keep(
        "sound wav stopped", lambda path: path.write_bytes(found["sound wav"][:40] + bytes(4) + found["sound wav"][44:])
    )
    keep("sound mp4", lambda path: _write_video(path, "mpeg4", with_sound=True))
    for suffix, codec in (
        ("mp4", "libx264"),
        ("mkv", "mpeg4"),
        ("avi", "mpeg4"),
        ("ts", "mpeg2video"),
        ("mov", "mjpeg"),
    ):
        keep(f"video {suffix}", lambda path, codec=codec: _write_video(path, codec))
    keep(
        "video gif", lambda path: picture.save(path, save_all=True, append_images=[picture.rotate(90)] * 3, duration=50)
    )
    box = trimesh.creation.box()
    for suffix in ("obj", "ply", "stl", "glb", "off"):
        keep(f"point_cloud {suffix}", box.export)
    keep("point_cloud xyz", lambda path: np.savetxt(path, generator.normal(size=(40, 3))))
    keep("point_cloud npy", lambda path: np.save(path, generator.uniform(size=(40, 6)).astype("f4")))
    for suffix, text in _OTHER_MESHES.items():
        keep(f"point_cloud {suffix} by hand", lambda path, text=text: path.write_text(text))
    rows = np.column_stack([np.arange(300) / 100, generator.normal(size=(300, 6))])
    header = "t,ax,ay,az,gx,gy,gz"
    keep("imu csv", lambda path: np.savetxt(path, rows, delimiter=",", header=header, comments=""))
    keep("imu npy", lambda path: np.save(path, rows))
    units = "ax (g),ay (g),az (g),gx (dps),gy (dps),gz (dps)"
    preamble = f"sep=,\nDevice: 1\ncomponent_timestamp_ms,canonical_timestamp_ms,{units}\n"
    numbers = "\n".join(",".join(map(str, [index % 150 * 10, index * 10, *row[1:]])) for index, row in enumerate(rows))
    keep("imu csv logger", lambda path: path.write_text(preamble + numbers))
    keep("imu parquet", lambda path: _write_parquet(path, header.split(","), rows))
    keep("text txt", lambda path: path.write_text("Ein Frosch \N{FROG FACE} sitzt\tda. " * 3, encoding="utf-8"))
    keep("features npy", lambda path: np.save(path, rows[:5].astype("f4")))
    keep("features safetensors", lambda path: _write_safetensors(path, rows[:5]))
    return found


def _write_exr(path: Path) -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"Z": np.full((16, 12), 0.5, np.float32)}) as file:
        file.write(str(path))


def _write_parquet(path: Path, names: list[str], rows: np.ndarray) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(dict(zip(names, rows.T, strict=True))), path)


def _write_safetensors(path: Path, rows: np.ndarray) -> None:
    from safetensors.numpy import save_file

    save_file({"features": np.ascontiguousarray(rows)}, path)


def _write_video(path: Path, codec: str, with_sound: bool = False) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 32, 32
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        sound = container.add_stream("aac", rate=8000) if with_sound else None
        for index in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 30 * index, np.uint8))
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            block = av.AudioFrame.from_ndarray(np.zeros((1, 2560), np.float32), format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = 8000, 0, Fraction(1, 8000)
            container.mux(sound.encode(block))
            container.mux(sound.encode())


def run(load: Callable[[Media], Any], items: Iterator[tuple[str, Media]]) -> dict[str, Any]:
    """Load every item, and count how they end; `failures` tells of those that end in anything but a result or a
    MediaError in time."""
    results = errors = 0
    slowest = 0.0
    failures = []
    for description, media in items:
        begin = time.perf_counter()
        try:
            load(media)
            results += 1
        except MediaError:
            errors += 1
        except Exception as error:
            failures.append(f"{description}\n{''.join(traceback.format_exception(error)[-4:])}")
        seconds = time.perf_counter() - begin
        if seconds > MOST_SECONDS:
            failures.append(f"{description} took {seconds:.1f} s")
        slowest = max(slowest, seconds)
    return {"results": results, "errors": errors, "slowest": round(slowest, 3), "failures": failures}


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """Address space is limited to what is in use now and MOST_MEMORY more: a greedy case gets a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MOST_MEMORY
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def main(name: str, count: int) -> None:
    """Run a loader or an encoder over `count` cases, and print the figures."""
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as folder:
        modality, load = _subject(name, Path(folder))
        items = cases(modality, count, Path(folder))
        for _, media in itertools.islice(cases(modality, NUM_WARM_UP, Path(folder), seed=1), NUM_WARM_UP):
            with contextlib.suppress(Exception):  # what is loaded once, before the limit; failures are those of `run`
                load(media)
        with limited_memory():
            figures = run(load, items)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"name": name, **figures, "peak_mb": peak // 1024}), flush=True)


def _subject(name: str, folder: Path) -> tuple[str, Callable[[Media], Any]]:
    """Modality of the media, and what is done with one."""
    if name in LOADERS:
        return name, LOADERS[name]
    from tests.fuzz_encoders import ENCODERS, checked  # torch and transformers, which loaders do without

    case = ENCODERS[name]
    (folder / "weights").mkdir()
    return case.modality, checked(case.make(folder / "weights"))


def _names(argument: str) -> list[str]:
    if argument == "loaders":
        return [*LOADERS]
    if argument == "encoders":
        from tests.fuzz_encoders import ENCODERS

        return [*ENCODERS]
    return argument.split(",")


if __name__ == "__main__":
    for chosen in _names(sys.argv[1]):
        main(chosen, int(sys.argv[2]))
