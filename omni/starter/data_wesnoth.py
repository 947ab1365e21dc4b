"""Battle for Wesnoth: animations of units as numbered frames. The unit's definition says who it is, and the file names
say what it does: `units/elves-wood/archer+female-bow-attack-3.png`.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from omni.starter.archives import unpack_deb
from omni.starter.catalogue import WESNOTH
from omni.starter.manifest import Row, article, clean_caption, is_test, media, row, sentence, write_manifest
from omni.starter.progress import Progress

CORE_FOLDER = PurePosixPath("usr/share/games/wesnoth/1.16/data/core")
LEAST_FRAMES = 3
DIRECTIONS = frozenset(("n", "ne", "nw", "s", "se", "sw"))
ACTIONS: dict[str, frozenset[str]] = {
    # What is seen -> the words of a file name that mean it. The first that fits counts: "melee-defend" is defending.
    "dying": frozenset(("die", "death", "dying", "decay")),
    "defending": frozenset(("defend", "block", "hit")),
    "casting a spell": frozenset(("magic", "teleport", "lightning")),
    "breathing fire": frozenset(("fire", "inhale", "flame")),
    "healing": frozenset(("heal", "healing", "recover")),
    "leading": frozenset(("lead", "leading", "victory", "taunt", "laugh")),
    "attacking from afar": frozenset(
        ("ranged", "range", "bow", "crossbow", "throw", "throwknife", "javelin", "jarid", "spit")
    ),
    "attacking": frozenset(
        (
            *(
                "attack",
                "melee",
                "staff",
                "sword",
                "axe",
                "blade",
                "bite",
                "claws",
                "kick",
                "pincer",
                "spear",
                "pierce",
            ),
            *(
                "ftouch",
                "mace",
                "stinger",
                "sting",
                "slash",
                "impact",
                "tail",
                "horn",
                "fist",
                "hand",
                "lance",
                "shield",
            ),
        )
    ),
    "flying": frozenset(("fly", "flying", "takeoff", "soar", "hover", "launch")),
    "running": frozenset(("run", "moving", "charge")),
    "waiting": frozenset(("idle", "stand", "standing", "bob", "crouch")),
}


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with the frames in `media/` and `video-{train,test}.jsonl`, split by unit: no unit is in both."""
    files = unpack_deb(packages["wesnoth-1.16-data"], folder, _place, progress)
    definitions = [file for file in files if file.suffix == ".cfg"]
    names = unit_names(file.read_text("utf-8", errors="replace") for file in definitions)
    sequences = group_frames(file.relative_to(folder / "media").as_posix() for file in files if file.suffix == ".png")
    rows = [each for stem, frames in sorted(sequences.items()) if (each := _row(stem, frames, names))]
    used = {frame for each in rows for frame in each["messages"][0]["content"][0]["path"]}
    for file in files:
        if file.relative_to(folder).as_posix() not in used:
            file.unlink()
    shutil.rmtree(folder / "definitions")
    write_manifest(folder / "video-train.jsonl", (each for each in rows if not is_test(each["meta"]["unit"])))
    write_manifest(folder / "video-test.jsonl", (each for each in rows if is_test(each["meta"]["unit"])))


def unit_names(definitions: Iterable[str]) -> dict[str, str]:
    """Return picture of a unit (below `units/`, without suffix) -> its English name, from the unit definitions.

    A translator's remark before the name ("female^Saurian Flanker") is cut off.
    """
    names: dict[str, str] = {}
    for text in definitions:
        name = re.search(r'\bname= *_ *"([^"]+)"', text)
        for picture in re.findall(r'image="?units/([^"~\n]+?)\.png', text) if name else ():
            names.setdefault(picture, clean_caption(name[1].rpartition("^")[2]) if name else "")
    return names


def group_frames(pictures: Iterable[str]) -> dict[str, list[str]]:
    """Return stem without frame number -> pictures in order of that number, without sequences of fewer than three."""
    numbered: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for picture in pictures:
        if match := re.fullmatch(r"(.+?)-?(\d+)\.png", picture):
            numbered[match[1]].append((int(match[2]), picture))
    return {
        stem: [picture for _, picture in sorted(frames)]
        for stem, frames in numbered.items()
        if len(frames) >= LEAST_FRAMES
    }


def read_stem(stem: str) -> tuple[str, str] | None:
    """Return a unit's picture and its action, from a sequence's stem; None if no word of it is a known action."""
    folder, _, name = stem.rpartition("/")
    words = [word for word in name.split("-") if word not in DIRECTIONS]
    bare = [re.sub(r"\d+", "", word) for word in words]
    for action, meanings in ACTIONS.items():
        if meanings.intersection(bare[1:]):
            known = frozenset().union(*ACTIONS.values())
            end = next(index for index in range(1, len(bare)) if bare[index] in known)
            return f"{folder}/{'-'.join(words[:end])}", action
    return None


def _row(stem: str, frames: list[str], names: Mapping[str, str]) -> Row | None:
    if (read := read_stem(stem)) is None:
        return None
    picture, action = read
    base = picture.replace("+female", "")
    plain = re.sub(r"[-_+]", " ", base.rpartition("/")[2])
    unit = names.get(picture, names.get(base, plain)).lower()
    actor = f"female {unit}" if "+female" in picture else unit
    caption = sentence(f"{article(actor)} {action}")
    return row(
        f"wesnoth/{stem}",
        [media("video", [f"media/{frame}" for frame in frames])],
        caption,
        caption=caption,
        unit=unit,
        actor=actor,
        action=action,
        family=stem.split("/")[0],
        licence=WESNOTH.licence,
    )


def _place(inner: PurePosixPath) -> str | None:
    units, pictures = CORE_FOLDER / "units", CORE_FOLDER / "images" / "units"
    if inner.suffix == ".png" and inner.is_relative_to(pictures):
        return f"media/{inner.relative_to(pictures)}"
    if inner.suffix == ".cfg" and inner.is_relative_to(units):
        return f"definitions/{inner.relative_to(units)}"
    return None
