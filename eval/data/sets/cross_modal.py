"""Choices between media of different kinds: DisCRn (X-InstructBLIP) and XModBench."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eval.data.benchmark import Benchmark, Layout, Record, Row, Split
from eval.data.files import Files
from eval.data.lettered import plain_options
from eval.data.letters import LETTERS
from eval.data.rows import Part, joined, text_of, value_of
from eval.data.tables import json_lines, json_list
from eval.data.videos import sound_part, video_part
from omni.media.item import shorten

# LAVIS, lavis/datasets/datasets/discriminatory_reasoning_datasets.py: what an answer may say for the first or second.
_FIRST = (
    *("the first option.", "the first", "left one", "(a) left", "(a) left one", "(a)", "a.", "A.", "a)", "(A)"),
    *("Input A", "Entity 1", "Object 1", "Entity A", "Object A", "left", "first", "1st", "input 1", "1", "a"),
    *("input a", "the left one"),
)
_SECOND = (
    *("the second option.", "the second.", "second option", "the second option", "second option.", "right one"),
    *("(b) right", "(b) right one", "(b)", "b)", "Input B", "right", "second", "2nd", "input 2", "2", "b", "input b"),
    *("Object 2", "Entity B", "Object B", "the second", "the right one", "the second one"),
)
_NAMES = {  # what an answer may call the medium itself
    "sound": ("audio", "sound"),
    "video": ("video",),
    "image": ("image", "photo", "picture"),
    "point_cloud": ("pc", "3d", "3d model", "model", "rendering", "a 3d", "a 3d model"),
}
_VIEW = 2  # of Cap3D's renderings, which LAVIS shows


def discrn_question(question: str) -> str:
    """Return a question in the words that X-InstructBLIP asks it in, which name no kind of medium."""
    for word in ("entity", "object", "image", "audio"):
        question = question.replace(f"which {word}", "which of the two options")
    return f"{question.replace('audio', 'object').replace('image', 'object')}?".replace("??", "?")


def _read_discrn(name: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        rows = json_list(files.find(name))
        return [{**row, "id": str(number), "number": number} for number, row in enumerate(rows)]

    return read


def _discrn_row(modalities: tuple[str, str], part: Callable[[str, Record, int, Files], Part]) -> Callable[..., Row]:
    def row(record: Record, files: Files) -> Row:
        label = value_of(record, "label")
        if isinstance(label, bool) or label not in (0, 1, "0", "1"):
            raise ValueError(f"'label' must be 0 or 1; got {shorten(label)}")
        right, order = int(label), (0, 1)
        # Balanced by the parity of the row: the answer of an even one is the second. LAVIS exchanges label, captions
        # and properties for that, but leaves `sample_ids`, from which it loads the media, as they are; here the media
        # are exchanged too, so that the answer stays right.
        if right != 1 - record["number"] % 2:
            right, order = 1 - right, (1, 0)
        ids = value_of(record, "sample_ids")
        if not isinstance(ids, Sequence) or isinstance(ids, str) or len(ids) != 2:
            raise ValueError(f"'sample_ids' must be a list of two; got {shorten(ids)}")
        parts = [part(modality, record, place, files) for modality, place in zip(modalities, order, strict=True)]
        answers = [*(_FIRST, _SECOND)[right], *_NAMES[modalities[right]]]
        question = discrn_question(text_of(record, "question"))
        return {
            "id": record["id"],
            "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}],
            "meta": {"answer": ("first", "second")[right], "answers": answers, "options": ["first", "second"]},
        }

    return row


def _clip(modality: str, record: Record, place: int, files: Files) -> Part:
    start = value_of(record, "start_seconds")
    seconds = start[place] if isinstance(start, Sequence) and not isinstance(start, str) else start
    try:
        name = f"{record['sample_ids'][place]}_{int(float(seconds))}"
    except (TypeError, ValueError):
        raise ValueError(f"'start_seconds' must be a list of two numbers; got {shorten(start)}") from None
    return sound_part(files, name) if modality == "sound" else video_part(files, name)


def _object(modality: str, record: Record, place: int, files: Files) -> Part:
    id = str(record["sample_ids"][place])
    if modality == "image":
        return {
            "type": "image",
            "path": str(files.find(f"{id}_{_VIEW}.jpeg", f"{id}_{_VIEW}.jpg", f"{id}_{_VIEW}.png")),
        }
    path = files.find(f"{id}_8192.npz", f"{id}_8192.npy", f"{id}.npz", f"{id}.npy", f"{id}.ply", f"{id}.glb")
    if path.suffix != ".npz":
        return {"type": "point_cloud", "path": str(path)}
    return {"type": "point_cloud", "bytes": _as_npy(path)}


def _as_npy(path: Any) -> bytes:
    """Return the points of an archive of arrays (.npz) as the bytes of one array (.npy)."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = [array for name in arrays.files if (array := arrays[name]).ndim == 2 and array.shape[1] in (3, 6)]
    except Exception as error:  # of zip, of NumPy, of zlib
        raise ValueError(f"{path} cannot be read as an archive of arrays ({error}); get it again") from error
    if len(found) != 1:
        raise ValueError(f"{path} must hold one array of points [N, 3] or [N, 6], and holds {len(found)}")
    content = io.BytesIO()
    np.save(content, found[0])
    return content.getvalue()


_XMOD = ("audio", "image", "text", "video")
XMOD_PAIRS = {
    **{"audio_image": 11_689, "audio_text": 14_719, "audio_video": 3_031, "image_audio": 11_689},
    **{"image_text": 11_689, "text_audio": 14_725, "text_image": 11_689, "text_video": 3_031},
    **{"video_audio": 3_036, "video_text": 3_036},
}


def _read_xmod(pair: str) -> Callable[[Files], Sequence[Record]]:
    def read(files: Files) -> Sequence[Record]:
        rows = json_lines(files.find(f"{pair}.jsonl"))
        return [{**row, "id": f"{pair}-{number}", "pair": pair} for number, row in enumerate(rows)]

    return read


def _xmod_row(record: Record, files: Files) -> Row:
    """Return a question whose condition and options are texts or media, in lmms-eval's order."""
    options = value_of(record, "options")
    if not isinstance(options, Mapping) or [*options] != [*LETTERS[: len(options)]] or len(options) < 2:
        raise ValueError(f"'options' must be an object with A, B, ...; got {shorten(options)}")
    asked, offered = record["pair"].split("_")
    content = [_xmod_part(value_of(record, "conditions"), asked, files)]
    if content[0]["type"] == "text":
        content[0] = _text(f"Context: {content[0]['text']}\n\n")
    content.append(_text(text_of(record, "question")))
    parts = [_xmod_part(option, offered, files) for option in options.values()]
    named = [*options]  # options that are media are named by their letters
    if offered == "text":
        named = plain_options([part["text"] for part in parts])
        parts = [_text(text) for text in named]
    for letter, part in zip(options, parts, strict=True):
        content += [_text(f"\n{letter}{'. ' if offered == 'text' else ': '}"), part]
    right = text_of(record, "correct_answer").strip().upper()
    if right not in options:
        raise ValueError(f"the right answer {right!r} is none of {', '.join(options)}")
    return {
        "id": record["id"],
        "messages": [{"role": "user", "content": joined(content)}],
        "meta": {
            "options": named,
            "answer": named[[*options].index(right)],
            "category": str(record.get("category", "")),
            # the same media are options of many questions, which would make one cluster of all
            **({} if asked == "text" else {"group": record["conditions"]["input"]}),
        },
    }


def _xmod_part(value: Any, expected: str, files: Files) -> Part:
    if not isinstance(value, Mapping) or not isinstance(value.get("input"), str) or not value["input"].strip():
        raise ValueError(f"expected {{'modality': ..., 'input': ...}}; got {shorten(value)}")
    modality = str(value.get("modality", "")).lower()
    if modality != expected:
        raise ValueError(f"has {modality or 'no modality'} where {expected} belongs, of {', '.join(_XMOD)}")
    if modality == "text":
        return _text(value["input"].strip())
    path = value["input"].removeprefix("./")
    name = path.removeprefix("benchmark/Data/")
    if modality == "image":
        return {"type": "image", "path": str(files.find(path, name))}
    return sound_part(files, path, name) if modality == "audio" else video_part(files, path, name)


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


BENCHMARKS = (
    Benchmark(
        name="discrn",
        title="DisCRn (Panagopoulou et al. 2023, arXiv:2311.18799)",
        homepage="https://github.com/salesforce/LAVIS/tree/main/projects/xinstructblip",
        licence="not stated; media of AudioCaps (YouTube) and Objaverse",
        get="audiocaps.json with the sounds ID_START.flac and videos ID_START.mp4 of AudioCaps; objaverse.json with "
        "Cap3D's renderings ID_2.jpeg and clouds of 8192 points ID/ID_8192.npz",
        splits={
            "audio-video": Split(
                (
                    Layout(
                        "official",
                        ("audiocaps.json",),
                        _read_discrn("audiocaps.json"),
                        _discrn_row(("sound", "video"), _clip),
                    ),
                ),
                8_802,
                "X-InstructBLIP leaves out rows for which its captioner wrote nothing",
            ),
            "image-3d": Split(
                (
                    Layout(
                        "official",
                        ("objaverse.json",),
                        _read_discrn("objaverse.json"),
                        _discrn_row(("image", "point_cloud"), _object),
                    ),
                ),
                28_173,
            ),
        },
    ),
    Benchmark(
        name="xmodbench",
        title="XModBench (Wang et al. 2025, arXiv:2510.15148)",
        homepage="https://xingruiwang.github.io/projects/XModBench/",
        licence="see the homepage",
        get="the ten files CONDITION_OPTIONS.jsonl in the form of lmms-eval, and the folder benchmark/Data",
        splits={
            pair: Split((Layout("lmms-eval", (f"{pair}.jsonl",), _read_xmod(pair), _xmod_row),), number)
            for pair, number in XMOD_PAIRS.items()
        },
    ),
)
