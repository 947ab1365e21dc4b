"""Questions with several media in their texts: OmniBench and AV-Odyssey."""

import re
from collections.abc import Sequence
from typing import Any

from eval.data.benchmark import Benchmark, Hub, Record, Row, Split
from eval.data.files import Files
from eval.data.hub import part_of, table_layouts
from eval.data.lettered import choice_row, marked_right, plain_options, right_index
from eval.data.letters import LETTERS
from eval.data.rows import Part, joined, text_of, value_of
from eval.data.videos import sound_part, video_part
from omni.media.item import shorten

_OMNI_WORDS = ("task type", "audio type", "image content", "audio content")


def _omni_row(record: Record, files: Files) -> Row:
    return choice_row(
        value_of(record, "index"),
        [part_of("sound", value_of(record, "audio"), files), part_of("image", value_of(record, "image"), files)],
        text_of(record, "question"),
        value_of(record, "options"),
        text_of(record, "answer"),
        **{key.replace(" ", "_"): record[key] for key in _OMNI_WORDS if isinstance(record.get(key), str)},
    )


_TAG = re.compile(r"\[(audio|video|img)(\d+)\]")


def _odyssey_row(record: Record, files: Files) -> Row:
    """Return a question whose media, also those of its options, stand where its texts say so (`[audio1]`).

    Media that no text names are not shown, as in lmms-eval.
    """
    options = plain_options(value_of(record, "options"))
    content = _filled(text_of(record, "question"), record, files)
    for letter, option in zip(LETTERS, options, strict=False):
        content += [_text(f"\n{letter}. "), *_filled(option, record, files)]
    plain = [_TAG.sub("", option).strip() for option in options]
    index = right_index(marked_right(text_of(record, "answer"), record["options"]), options)
    media_options = not all(plain) or len({*plain}) < len(plain)
    return {
        "id": str(value_of(record, "question_id")),
        "messages": [{"role": "user", "content": joined(content)}],
        "meta": {
            "options": [*LETTERS[: len(options)]] if media_options else plain,
            "answer": LETTERS[index] if media_options else plain[index],
            "subfield": str(record.get("subfield", "")),
        },
    }


def _filled(text: str, record: Record, files: Files) -> list[Part]:
    """Return the parts of a text with media in the places of its tags."""
    parts: list[Part] = []
    position = 0
    for tag in _TAG.finditer(text):
        parts.append(_text(text[position : tag.start()]))
        parts.append(_tagged(tag[1], int(tag[2]), record, files))
        position = tag.end()
    parts.append(_text(text[position:]))
    return parts


def _tagged(kind: str, number: int, record: Record, files: Files) -> Part:
    key = {"img": "image_path"}.get(kind, f"{kind}_path")
    paths = _texts(record, key)
    if not 1 <= number <= len(paths):
        raise ValueError(f"its text names [{kind}{number}], and {key!r} has {len(paths)} files")
    path = str(paths[number - 1])
    if kind == "img":
        return {"type": "image", "path": str(files.find(path.removeprefix("./")))}
    return (sound_part if kind == "audio" else video_part)(files, path.removeprefix("./"))


def _texts(record: Record, key: str) -> Sequence[Any]:
    value = record.get(key)
    if value is None or isinstance(value, str):
        return [value] if value else []
    if not isinstance(value, Sequence):
        raise ValueError(f"{key!r} must be a list of texts; got {shorten(value)}")
    return [one for one in value if one]


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


BENCHMARKS = (
    Benchmark(
        name="omnibench",
        title="OmniBench (Li et al. 2024, arXiv:2409.15272)",
        homepage="https://m-a-p.ai/OmniBench/",
        licence="see the homepage",
        get="the table with pictures and sounds (parquet)",
        splits={
            "test": Split(
                table_layouts(
                    Hub("m-a-p/OmniBench", "train"),
                    ("index", "question", "options", "answer", "image", "audio"),
                    _omni_row,
                ),
                1_142,
            )
        },
    ),
    Benchmark(
        name="av-odyssey",
        title="AV-Odyssey Bench (Gong et al. 2024, arXiv:2412.02611)",
        homepage="https://av-odyssey.github.io",
        licence="see the homepage",
        get="the table of questions (parquet), and the archives of sounds, pictures and videos in their folders",
        splits={
            "test": Split(
                table_layouts(
                    Hub("AV-Odyssey/AV_Odyssey_Bench", "test"),
                    ("question_id", "question", "options", "answer", "audio_path"),
                    _odyssey_row,
                ),
                4_555,
            )
        },
    ),
)
