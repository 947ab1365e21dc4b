"""Sonic Pi samples: the file name says what can be heard, and its first word names the family."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from omni.starter.archives import unpack_deb
from omni.starter.catalogue import SONIC_PI
from omni.starter.manifest import article, media, row, sentence, write_split
from omni.starter.progress import Progress

FAMILIES: dict[str, tuple[str, str]] = {
    # first word of the file name: (common name of the family, pattern of the phrase; {} is the rest of the name)
    "ambi": ("ambient sound", "ambient {}"),
    "bass": ("bass note", "{} bass note"),
    "bd": ("bass drum", "{} bass drum"),
    "drum": ("drum kit", "drum {}"),
    "elec": ("electric sound", "electric {}"),
    "glitch": ("glitch", "glitch {}"),
    "guit": ("guitar", "guitar {}"),
    "loop": ("loop", "{} loop"),
    "mehackit": ("toy electronics", "toy {} sound"),
    "misc": ("everyday sound", "{}"),
    "perc": ("percussion", "percussion {}"),
    "sn": ("snare drum", "{} snare drum"),
    "tabla": ("tabla", "tabla stroke {}"),
    "vinyl": ("vinyl record", "vinyl {}"),
}
WORDS = {
    "hi": "high",
    "lo": "low",
    "mid": "middle",
    "perc": "percussion",
    "filt": "filtered",
    "cineboom": "cinematic boom",
    "dnb": "drum and bass",
    "em9": "minor ninth chord in E",
    "haus": "house",
    "klub": "club",
    "tek": "techno",
    "drop": "dropping",
    "generic": "plain",
}
QUALITIES = frozenset(
    (
        "soft",
        "hard",
        "high",
        "low",
        "middle",
        "open",
        "closed",
        "heavy",
        "dark",
        "fuzz",
        "hollow",
        "filtered",
        "haunted",
    )
)
"""Words that go before the family: `drum_cymbal_soft` -> "a soft drum cymbal"."""
PLURALS = frozenset({"guitar harmonics", "guitar fifths in E"})


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with `media/*.flac` and `sound-{train,test}.jsonl`."""
    files = unpack_deb(packages["sonic-pi-samples"], folder, _place, progress)
    rows = []
    for file in sorted(files):
        family, phrase = describe(file.stem)
        caption = sentence(phrase)
        sound = f"media/{file.name}"
        rows.append(
            row(
                f"sonic-pi/{file.stem}",
                [media("sound", sound)],
                caption,
                caption=caption,
                phrase=phrase,
                family=family,
                sound=sound,
                licence=SONIC_PI.licence,
            )
        )
    write_split(folder, "sound", rows, label="caption")


def describe(stem: str) -> tuple[str, str]:
    """Return family and phrase of a sample's file name, for example ("drum kit", "a soft drum cymbal").

    Numbers that only tell takes apart are dropped, so takes share one caption and hence one side of the split.
    """
    prefix, *rest = stem.split("_")
    family, pattern = FAMILIES[prefix]
    words = [_plain(word) for word in rest]
    words = [word for word in words if word]
    key = ""
    if prefix in ("bass", "guit", "glitch") or stem.startswith("loop_drone"):
        key = next((f" in {word.upper()}" for word in words if len(word) == 1), "")
        words = [word for word in words if len(word) > 1 and word != "97"]  # the drone loop's pitch in Hz
    qualities = [word for word in words if word in QUALITIES]
    nouns = [word for word in words if word not in QUALITIES] or [""]
    phrase = " ".join(" ".join([*qualities, pattern.format(" ".join(nouns))]).split()) + key
    return family, phrase if phrase in PLURALS else article(phrase)


def _plain(word: str) -> str:
    if word in ("808", "3d") or word in WORDS:
        return WORDS.get(word, word)
    return WORDS.get(trimmed := re.sub(r"\d+$", "", word), trimmed)


def _place(inner: PurePosixPath) -> str | None:
    return f"media/{inner.name}" if inner.parent.name == "samples" and inner.suffix == ".flac" else None
