"""Rows at random, of conversations, caption tables, folders and tar shards: each ends in a sample that holds the very
media that were put into it, or in an error that names the row; none is lost, and nothing crashes.

Run as `python -m tests.fuzz_rows NAME,NAME NUM_CASES`, or `all`: it prints one line of figures for each.
"""

import base64
import contextlib
import csv
import io
import json
import os
import random
import sys
import tarfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omni.readers import open_dataset
from omni.samples.messages import Media, Sample, SampleError, parse_sample
from tests.fuzz import good_bytes

MOST_SECONDS = 30.0  # of one case, on a busy machine

_TEXTS = (
    "A dog",
    'Ein M\N{LATIN SMALL LETTER U WITH DIAERESIS}ll"er',
    "a, b; c\td",
    "two\nlines",
    "'",
    "\N{FROG FACE} x",
    "1e400",
)
_FILES = {"image": ("a.jpg", "x/b c.png"), "sound": ("s.wav", "t.mp3"), "video": ("v.mp4", "w.webm")}
_DATA = base64.b64encode(b"\x89PNG" + bytes(60)).decode()

Found = Sequence[Sample | SampleError]
# Of each row the media that it holds, as `_key` has them; None where it is damaged, or for all where nothing is known.
Expected = list[list[Any] | None] | None


class LostError(Exception):
    """A row ended in something else than its media or an error that names it."""


def _key(media: Media) -> Any:
    return media.data if media.path is None else Path(str(media.path)).name


def compare(found: Found, expected: Expected) -> tuple[int, int]:
    """Return how many rows are samples and errors; raise LostError unless each is whole or refused."""
    samples = [entry for entry in found if isinstance(entry, Sample)]
    errors = [entry for entry in found if isinstance(entry, SampleError)]
    if len(samples) + len(errors) != len(found):
        raise LostError(f"something else than samples and errors: {found}")
    if any(not error.reason or not error.sample_id for error in errors):
        raise LostError(f"an error without a name or reason: {errors}")
    if expected is None:
        return len(samples), len(errors)
    if len(found) < len(expected) and (None not in expected or not errors):
        raise LostError(f"{len(expected)} rows became {len(found)}: {found}")
    media = [[_key(item) for item in sample.media] for sample in samples]
    if None not in expected and (strange := [one for one in media if one not in expected]):
        raise LostError(f"a sample holds {str(strange[0])[:200]}, which no row does")
    return len(samples), len(errors)


# conversations


def conversations(source: random.Random, folder: Path) -> tuple[Found, Expected]:
    """A row in one of the spellings of other tools, whole or damaged."""
    modality = source.choice([*_FILES])
    names = [source.choice(_FILES[modality]) for _ in range(source.randint(0, 3))]
    spelling = source.choice([_llava, _openai, _anthropic, _qwen, _hugging_face, _own])
    row, held = spelling(source, modality, names)
    if source.random() < 0.4:
        for _ in range(source.randint(1, 3)):
            _damage(row, source)
        held = None  # what it holds then is for the row to say; it must not be anything but a sample or an error
    try:
        sample = parse_sample(row, folder, source.choice([None, {"image", "sound", "video"}]), default_id="row 1")
    except SampleError as error:
        return [error], [held]
    if held is not None and [_key(item) for item in sample.media] != held:
        raise LostError(f"{[_key(item) for item in sample.media]} of {held}: {row}")
    return [sample], [held]


Row = tuple[dict[str, Any], list[Any] | None]


def _answer(source: random.Random) -> dict[str, Any]:
    return {"role": "assistant", "content": source.choice(_TEXTS)}


def _llava(source: random.Random, modality: str, names: list[str]) -> Row:
    mark = source.choice([f"<{modality}>", "<image>"]) if modality != "sound" else "<audio>"
    text = "".join(f"{mark}\n" for _ in names) + source.choice(_TEXTS)
    key = source.choice([modality, f"{modality}s"])
    keys = source.choice([("from", "value", "human", "gpt"), ("role", "content", "user", "assistant")])
    turns = [{keys[0]: keys[2], keys[1]: text}, {keys[0]: keys[3], keys[1]: source.choice(_TEXTS)}]
    row: dict[str, Any] = {"id": 1, source.choice(["conversations", "messages"]): turns}
    if names:
        row[key] = names if len(names) > 1 or source.random() < 0.5 else names[0]
    return row, [Path(name).name for name in names]


def _in_parts(source: random.Random, parts: list[dict[str, Any]], held: list[Any] | None) -> Row:
    parts.insert(source.randint(0, len(parts)), {"type": "text", "text": source.choice(_TEXTS)})
    return {"id": 1, "messages": [{"role": "user", "content": parts}, _answer(source)]}, held


def _openai(source: random.Random, modality: str, names: list[str]) -> Row:
    content = base64.b64decode(_DATA)
    if modality == "sound":
        parts = [{"type": "input_audio", "input_audio": {"data": _DATA, "format": "wav"}} for _ in names]
    else:
        url = {"url": f"data:image/png;base64,{_DATA}", "detail": "low"}
        parts = [{"type": "image_url", "image_url": source.choice([url, url["url"]])} for _ in names]
    return _in_parts(source, parts, [content] * len(names))


def _anthropic(source: random.Random, modality: str, names: list[str]) -> Row:
    block = {"type": "base64", "media_type": "image/png", "data": _DATA}
    parts = [{"type": "image", "source": block, "cache_control": {"type": "ephemeral"}} for _ in names]
    return _in_parts(source, parts, [base64.b64decode(_DATA)] * len(names))


def _qwen(source: random.Random, modality: str, names: list[str]) -> Row:
    hints = source.choice([{}, {"fps": 2}, {"nframes": 4}, {"max_pixels": 100}]) if modality == "video" else {}
    parts = [{"type": modality, modality: name, **hints} for name in names]
    return _in_parts(source, parts, [Path(name).name for name in names])


def _hugging_face(source: random.Random, modality: str, names: list[str]) -> Row:
    row, held = _in_parts(
        source, [{"type": modality, "text": None} for _ in names], [Path(name).name for name in names]
    )
    return (row | {f"{modality}s": names} if names else row), held


def _own(source: random.Random, modality: str, names: list[str]) -> Row:
    parts = [{"type": modality, source.choice(["path", "url", modality]): name} for name in names]
    return _in_parts(source, parts, [Path(name).name for name in names])


_ODD: tuple[Any, ...] = (
    *(
        None,
        "",
        [],
        {},
        0,
        -1,
        3.5,
        True,
        10**400,
        float("nan"),
        float("inf"),
        "x",
        "\ud83d",
        "<image>",
        ["a.jpg", None],
    ),
    *([[]], {"url": None}, {"type": "image"}, {"type": None}, b"x", "http://x/y.jpg", "data:image/png;base64,@", "\0"),
)


def _damage(value: Any, source: random.Random) -> None:
    """Change a value somewhere in nested dictionaries and lists, or its key."""
    while isinstance(value, dict | list) and value:
        key = source.choice([*value] if isinstance(value, dict) else range(len(value)))
        if not isinstance(value[key], dict | list) or not value[key] or source.random() < 0.3:
            break
        value = value[key]
    else:
        return
    if source.random() < 0.2:
        del value[key]
    elif source.random() < 0.2 and isinstance(value, dict):
        value[source.choice(["x", 3, None, "type", "content", "images"])] = value.pop(key)
    else:
        value[key] = source.choice(_ODD)


# tables of captions


def tables(source: random.Random, folder: Path) -> tuple[Found, Expected]:
    """A table of captions, whole or with odd columns, encodings, quotes and separators."""
    names = [f"{index} {source.choice(['dog', 'b,c', 'x;y'])}.{source.choice(['jpg', 'wav'])}" for index in range(4)]
    rows = [[name, source.choice(_TEXTS)] for name in names]
    columns = [source.choice(["file_name", "image", "Path"]), source.choice(["caption", "text", "Title"])]
    suffix = source.choice(["csv", "csv", "tsv", "txt", "jsonl", "parquet"])
    expected: Expected = [[name] for name in names]
    if source.random() < 0.25:
        columns[source.randrange(2)] = source.choice(["", "x", columns[0]])
        expected = None  # refused as a whole, or read by another column
    path = folder / f"captions.{suffix}"
    if suffix == "parquet":
        _write_parquet(path, columns, rows)
    elif suffix == "jsonl":
        text = "".join(json.dumps(dict(zip(columns, row, strict=True))) + source.choice(["\n", "\r\n"]) for row in rows)
        path.write_text(text, encoding=source.choice(["utf-8", "utf-8-sig"]), newline="")
    else:
        separator = "\t" if suffix == "tsv" else source.choice([",", ";", "\t", "|"])
        quoting = source.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        buffer = io.StringIO(newline="")
        ends = source.choice(["\n", "\r\n"])
        csv.writer(buffer, delimiter=separator, quoting=quoting, lineterminator=ends).writerows([columns, *rows])
        path.write_bytes(buffer.getvalue().encode(source.choice(["utf-8", "utf-8-sig"])))
    if source.random() < 0.3 and suffix != "parquet":
        path.write_bytes(_broken(path.read_bytes(), source))
        expected = None
    found = [*open_dataset(path, **({"format": "captions"} if suffix == "jsonl" else {}))]
    return found, expected


def _write_parquet(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    import pyarrow
    from pyarrow import parquet

    values: dict[str, Any] = {}
    for index, name in enumerate(columns):
        values.setdefault(name or "empty", [row[index] for row in rows])
    parquet.write_table(pyarrow.table(values), path)


def _broken(data: bytes, source: random.Random) -> bytes:
    kind = source.randrange(4)
    if kind == 0:
        return data[: source.randrange(len(data))]
    if kind == 1:
        return data.decode("utf-8").encode(source.choice(["utf-16", "latin-1", "cp1252"]), errors="replace")
    place = source.randrange(len(data))
    return (
        data[:place] + source.choice([b'"', b"\0", b"\xff\xfe", b"\n", b"\t", b",", b"\r", b"{", b"}"]) + data[place:]
    )


# folders


def folders(source: random.Random, folder: Path) -> tuple[Found, Expected]:
    """A folder of files with odd names, text files next to them, links and tables."""
    good = good_bytes()
    expected: Expected = []
    for index in range(source.randint(1, 4)):
        kind, suffix = source.choice([("image", "png"), ("image", "jpg"), ("sound", "wav"), ("point_cloud", "ply")])
        stem = source.choice(["red fox", "IMG_01", "a.b", "\N{FROG FACE}", "x'y", "cafe\u0301", "-", "a\nb"])
        parent = folder / source.choice(["", "sub", "class a/deep", ".hidden"])
        parent.mkdir(parents=True, exist_ok=True)
        file = parent / f"{stem}{index}.{source.choice([suffix, suffix.upper()])}"
        file.write_bytes(b"" if source.random() < 0.1 else good[f"{kind} {suffix}"])
        if ".hidden" not in str(file):
            expected.append([file.name])
        if source.random() < 0.5:
            file.with_suffix(".txt").write_bytes(source.choice([b"A thing", b"", b"\xff\xfe\0", b"\n\nfirst\n"]))
    odd = source.randrange(8)
    if odd == 0:
        (folder / "loop").symlink_to(folder)
    elif odd == 1:
        (folder / "gone.png").symlink_to(folder / "nothing.png")
        expected.append(["gone.png"])  # which its loader tells
    elif odd == 2:
        (folder / "folder.png").mkdir()
    elif odd == 3:
        (folder / "notes.pdf").write_bytes(b"%PDF")
    elif odd == 4:
        (folder / source.choice(["captions.csv", "metadata.jsonl"])).write_bytes(
            source.choice([b"", b"x", b"file_name,caption\n", b'{"file_name": "a.png", "text": "A"}\n', b"\xff"])
        )
        return [*open_dataset(folder)], None  # the table says what there is
    elif odd == 5:
        (folder / "manifest.jsonl").write_bytes(source.choice([b"", b"{", b'{"messages": []}\n']))
        return [*open_dataset(folder)], None
    found = [*open_dataset(folder)]
    return found, expected


# tar shards


def shards(source: random.Random, folder: Path) -> tuple[Found, Expected]:
    """A tar shard, whole or damaged in headers and sizes, cut off, with long names, missing and doubled members."""
    png = good_bytes()["image png"]
    expected: list[list[Any] | None] = []
    buffer = io.BytesIO()
    form = source.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for index in range(source.randint(1, 5)):
            stem = source.choice([f"{index:04}", f"a/{index}", f"{'long' * 20}/{index}", f"./{index} x"])
            content = png + bytes([index])
            members = {"png": content, source.choice(["txt", "json"]): b""}
            for suffix in members:
                text = source.choice(_TEXTS)
                if suffix == "txt":
                    members[suffix] = text.encode()
                elif suffix == "json":
                    members[suffix] = json.dumps({"caption": text}).encode()
            missing = source.random()
            if missing < 0.1:
                members.pop(source.choice([*members]))
            for suffix, data in [*members.items(), *(members.items() if source.random() < 0.05 else ())]:
                info = tarfile.TarInfo(f"{stem}.{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            expected.append([content])
    data = bytearray(buffer.getvalue())
    if source.random() < 0.6:
        kind = source.randrange(4)
        if kind == 0:
            data = data[: source.randrange(len(data))]
        elif kind == 1:  # in a header, whose checksum may be put right
            place = 512 * source.randrange(len(data) // 512)
            data[place + source.choice([0, 100, 124, 125, 136, 156, 257])] = source.randrange(256)
            if source.random() < 0.5:
                data[place + 148 : place + 156] = b" " * 8
                data[place + 148 : place + 156] = b"%06o\0 " % sum(data[place : place + 512])
        elif kind == 2:
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
        else:
            place = 512 * source.randrange(len(data) // 512)
            data = data[:place] + data[place + 512 :]
        expected = [None] * len(expected)
    name = source.choice(["s.tar", "s.tar.gz"])
    (folder / "s.tar").write_bytes(data)
    if name == "s.tar.gz":
        import gzip

        packed = gzip.compress(bytes(data), 1)
        (folder / name).write_bytes(packed[: source.randrange(1, len(packed))] if None in expected else packed)
    found = [*open_dataset(str(folder / name))]
    for entry in found:
        if isinstance(entry, Sample) and not entry.media:
            raise LostError(f"{entry.id} has no media")
    return found, expected


ROWS: dict[str, Callable[[random.Random, Path], tuple[Found, Expected]]] = {
    "conversations": conversations,
    "tables": tables,
    "folders": folders,
    "shards": shards,
}


def run(name: str, count: int, seed: int = 0) -> dict[str, Any]:
    """Read `count` cases, and count the rows that are samples and errors, and the data sets that are refused;
    `failures` tells of those that end in anything else."""
    samples = errors = refused = 0
    slowest = 0.0
    failures: list[str] = []
    for index in range(count):
        source = random.Random(f"{name} {seed} {index}")
        begin = time.perf_counter()
        with TemporaryDirectory() as folder, _home_of_its_own():
            try:
                good, bad = compare(*ROWS[name](source, Path(folder)))
                samples, errors = samples + good, errors + bad
            except (FileNotFoundError, ValueError) as error:  # the data set as a whole
                refused += 1
                if len(str(error)) < 15:
                    failures.append(f"{name} {index}: an error without words: {error!r}")
            except Exception as error:
                failures.append(f"{name} {index}\n{''.join(traceback.format_exception(error)[-4:])}")
        slowest = max(slowest, time.perf_counter() - begin)
        if time.perf_counter() - begin > MOST_SECONDS:
            failures.append(f"{name} {index} took {time.perf_counter() - begin:.1f} s")
    figures = {"name": name, "samples": samples, "errors": errors, "refused": refused, "slowest": round(slowest, 3)}
    return {**figures, "failures": failures}


@contextlib.contextmanager
def _home_of_its_own() -> Iterator[None]:
    """Keep counts of shards that are gone at once out of the user's cache."""
    before = os.environ.get("OMNI_HOME")
    with TemporaryDirectory() as folder:
        os.environ["OMNI_HOME"] = folder
        try:
            yield
        finally:
            del os.environ["OMNI_HOME"]
            os.environ |= {} if before is None else {"OMNI_HOME": before}


if __name__ == "__main__":
    has_failures = False
    for chosen in ROWS if sys.argv[1] == "all" else sys.argv[1].split(","):
        result = run(chosen, int(sys.argv[2]))
        has_failures = has_failures or bool(result["failures"])
        print(json.dumps(result), flush=True)
    sys.exit(has_failures)
