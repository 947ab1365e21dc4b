"""Manifests in the messages form, and the split by caption that all starter data share."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

TEST_PERCENT = 20
PLAIN_PUNCTUATION = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": " - ", "…": "...", "\u00a0": " "}
)

Row = dict[str, Any]


def clean_caption(text: str) -> str:
    """Return one line with plain punctuation and single spaces: a typographic dash costs small LLMs several tokens."""
    plain = unicodedata.normalize("NFC", text).translate(PLAIN_PUNCTUATION)
    return re.sub(r"\s+", " ", plain).strip().removeprefix("- ")


def is_test(label: str) -> bool:
    """Return whether a caption (or unit) is in the test split: by its hash alone, so the same in every task."""
    digest = hashlib.sha256(label.strip().lower().encode()).hexdigest()
    return int(digest[:8], 16) % 100 < TEST_PERCENT


def article(noun: str) -> str:
    """Return the noun with its indefinite article as it is spoken: "an owl", "a unit", "an SUV", "an 808 drum"."""
    spoken_as_consonant = re.match(r"(uni|uri|use|eu|one\b)", noun, re.IGNORECASE)
    spoken_letter = re.match(r"[AEFHILMNORSX][A-Z]+\b|8", noun)
    is_vowel = noun[:1].lower() in "aeiou" and not spoken_as_consonant
    return f"an {noun}" if is_vowel or spoken_letter else f"a {noun}"


def sentence(phrase: str) -> str:
    """Return the phrase with a capital and a full stop: "a frog" -> "A frog."."""
    return phrase[:1].upper() + phrase[1:] + ("" if phrase.endswith((".", "!", "?")) else ".")


def media(modality: str, path: str | Sequence[str]) -> dict[str, Any]:
    """Return a content part; the path (or the list of frames of a video) is relative to the manifest."""
    return {"type": modality, "path": path if isinstance(path, str) else list(path)}


def row(identifier: str, parts: Sequence[dict[str, Any]], answer: str, **meta: str | float | None) -> Row:
    """Return a sample whose user turn holds only media (recipes draw the instruction), with its labels in `meta`."""
    return {
        "id": identifier,
        "messages": [
            {"role": "user", "content": list(parts)},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ],
        "meta": {key: value for key, value in meta.items() if value is not None},
    }


def write_manifest(file: Path, rows: Iterable[Row]) -> None:
    """Write one JSON object per line, in the order given."""
    with file.open("w", encoding="utf-8") as output:
        for each in rows:
            output.write(json.dumps(each, ensure_ascii=False) + "\n")


def write_split(folder: Path, name: str, rows: Sequence[Row], label: str) -> None:
    """Write `NAME-train.jsonl` and `NAME-test.jsonl`, split by the hash of the meta field `label`."""
    write_manifest(folder / f"{name}-train.jsonl", (each for each in rows if not is_test(each["meta"][label])))
    write_manifest(folder / f"{name}-test.jsonl", (each for each in rows if is_test(each["meta"][label])))
