"""Sweet Home 3D furniture: named OBJ models from three makers; the models of one maker are the test split."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from omni.starter.archives import Placement, unpack_deb, unpack_zip
from omni.starter.catalogue import FURNITURE
from omni.starter.manifest import Row, article, clean_caption, media, row, sentence, write_manifest
from omni.starter.progress import Progress

MAKERS = {"Scopia": "Scopia", "KatorLegaz": "Kator Legaz", "BlendSwap-CC-BY": "Blend Swap"}
"""Library of the package -> maker. The other two libraries (people, and one without attribution) are left out."""
TEST_MAKERS = frozenset({"Kator Legaz"})
CATALOGUE = "PluginFurnitureCatalog.properties"
SIZES = ("width", "depth", "height")  # centimetres
PROPER_NAMES = frozenset(("Yamaha", "Rubik's", "French", "Christmas", "Oriental"))


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with `media/` (models, materials, textures, icons) and `object-{train,test}.jsonl`."""
    train: list[Row] = []
    test: list[Row] = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        libraries = unpack_deb(packages["sweethome3d-furniture"], Path(scratch), _place_library, progress)
        (Path(scratch) / "licences").rename(folder / "licences")
        with progress.items("unpack the models", len(libraries)) as report:
            for library in sorted(libraries):
                maker = MAKERS[library.stem]
                unpack_zip(library, folder, _placement(library.stem))
                catalogue = folder / "media" / library.stem / CATALOGUE
                entries = parse_catalogue(catalogue.read_text("latin-1"))
                (test if maker in TEST_MAKERS else train).extend(
                    _row(library.stem, maker, number, entry, folder) for number, entry in entries.items()
                )
                report(1)
    write_manifest(folder / "object-train.jsonl", train)
    write_manifest(folder / "object-test.jsonl", test)


def parse_catalogue(text: str) -> dict[int, dict[str, str]]:
    """Return the entries of a Java properties file with lines `KEY#NUMBER=VALUE`, by number."""
    entries: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if match := re.match(r"(\w+)#(\d+)=(.*)", line):
            value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda escape: chr(int(escape[1], 16)), match[3])
            entries.setdefault(int(match[2]), {})[match[1]] = value.strip()
    return entries


def phrase_of(name: str) -> str:
    """Return the name as it stands within a sentence: "Coffee table" -> "a coffee table", "Tulips" -> "tulips"."""
    first, _, rest = name.partition(" ")
    is_word = first[1:].islower() and first not in PROPER_NAMES
    noun = f"{first.lower() if is_word else first} {rest}".strip()
    plural = noun.endswith("s") and not noun.endswith(("ss", "us", "is"))
    return noun if plural else article(noun)


def _row(library: str, maker: str, number: int, entry: Mapping[str, str], folder: Path) -> Row:
    model, icon = (f"media/{library}/{entry[key].lstrip('/')}" for key in ("model", "icon"))
    if not (folder / model).exists():
        raise FileNotFoundError(f"the catalogue of {library} names {entry['model']}, which is not in the package")
    name = clean_caption(entry["name"])
    caption = sentence(phrase_of(name))
    sizes = {f"{size}_cm": float(entry[size]) for size in SIZES}
    return row(
        f"furniture/{library}/{number:03d}-{PurePosixPath(model).stem}",
        [media("point_cloud", model)],
        caption,
        caption=caption,
        name=name,
        category=entry["category"],
        maker=maker,
        creator=entry.get("creator"),
        icon=icon,
        point_cloud=model,
        licence=FURNITURE.licence,
        **sizes,
    )


def _place_library(inner: PurePosixPath) -> str | None:
    return inner.name if inner.suffix == ".sh3f" and inner.stem in MAKERS else None


def _placement(library: str) -> Placement:
    """Keep everything of a library except the translations of its catalogue."""

    def place(inner: PurePosixPath) -> str | None:
        return f"media/{library}/{inner}" if inner.suffix != ".properties" or inner.name == CATALOGUE else None

    return place
