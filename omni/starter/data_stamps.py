"""Tux Paint stamps: pictures, effect sounds and spoken descriptions that share one caption.

Layout of the package: `FOLDER/.../STEM.png` or `.svg`, `STEM.txt` (line 1 is the English caption, then translations),
`STEM.ogg` (the sound of the thing), `STEM_desc.ogg` (the caption, spoken).
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import resvg_py

from omni.starter.archives import unpack_deb
from omni.starter.catalogue import STAMPS
from omni.starter.manifest import Row, clean_caption, media, row, sentence, write_split
from omni.starter.progress import Progress

PACKAGE_FOLDER = PurePosixPath("usr/share/tuxpaint/stamps")
SVG_PIXELS = 512  # longer side
SVG_DPI = 96  # CSS pixels per inch; some stamps give their size in points or millimetres
RENDER_THREADS = 4


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with `media/` and the manifests of four tasks: image, sound, speech and triplet (image + sound)."""
    files = unpack_deb(packages["tuxpaint-stamps-default"], folder, _place, progress)
    captions = {file.with_suffix(""): _read_caption(file) for file in files if file.suffix == ".txt"}
    _render_drawings([file for file in files if file.suffix == ".svg"], progress)
    rows: dict[str, list[Row]] = {"image": [], "sound": [], "speech": [], "triplet": []}
    for stem, caption in sorted(captions.items()):
        if caption:
            for task, each in _rows_of(stem, caption, folder).items():
                rows[task].append(each)
    for text in (file for file in files if file.suffix == ".txt"):
        text.unlink()
    for task, of_task in rows.items():
        write_split(folder, task, of_task, label="caption")


def _place(inner: PurePosixPath) -> str | None:
    """Keep pictures, captions, effect sounds and English descriptions; not letters, mirror images, translations."""
    if not inner.is_relative_to(PACKAGE_FOLDER):
        return None
    below = inner.relative_to(PACKAGE_FOLDER)
    if below.parts[0] == "symbols" or below.stem.endswith(("_mirror", "_flip", "_mirror_flip")):
        return None
    if below.suffix == ".ogg" and "_desc" in below.stem and not below.stem.endswith("_desc"):
        return None
    return f"media/{below}" if below.suffix in (".png", ".svg", ".txt", ".ogg") else None


def _read_caption(file: Path) -> str:
    """Return line 1 of a stamp's text, in English; empty if there is none."""
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    first = text.split("\n", 1)[0]
    return sentence(clean_caption(first)) if first.strip() else ""


def _render_drawings(drawings: list[Path], progress: Progress) -> None:
    """Replace each SVG by a PNG of the same stem, unless the package has that PNG already."""

    def render(drawing: Path) -> None:
        picture = drawing.with_suffix(".png")
        if not picture.exists():
            rendered = resvg_py.svg_to_bytes(
                svg_path=str(drawing), width=SVG_PIXELS, height=SVG_PIXELS, dpi=SVG_DPI, skip_system_fonts=True
            )
            picture.write_bytes(bytes(rendered))
        drawing.unlink()

    with ThreadPoolExecutor(RENDER_THREADS) as pool, progress.items("draw the SVG stamps", len(drawings)) as report:
        for _ in pool.map(render, drawings):
            report(1)


def _rows_of(stem: Path, caption: str, folder: Path) -> dict[str, Row]:
    """Return the rows of one stamp, by task; a task is absent if the stamp lacks its media."""

    def relative(suffix: str) -> str | None:
        file = stem.with_name(stem.name + suffix)
        return file.relative_to(folder).as_posix() if file.exists() else None

    image, sound, speech = relative(".png"), relative(".ogg"), relative("_desc.ogg")
    name = stem.relative_to(folder / "media").as_posix()
    meta = {
        "caption": caption,
        "category": name.split("/")[0],
        "image": image,
        "sound": sound,
        "speech": speech,
        "licence": STAMPS.licence,
    }
    rows: dict[str, Row] = {}
    if image is not None:
        rows["image"] = row(f"stamps/image/{name}", [media("image", image)], caption, **meta)
    if sound is not None:
        rows["sound"] = row(f"stamps/sound/{name}", [media("sound", sound)], caption, **meta)
    if speech is not None:
        rows["speech"] = row(f"stamps/speech/{name}", [media("speech", speech)], caption, **meta)
    if image is not None and sound is not None:
        both = [media("image", image), media("sound", sound)]
        rows["triplet"] = row(f"stamps/triplet/{name}", both, caption, **meta)
    return rows
