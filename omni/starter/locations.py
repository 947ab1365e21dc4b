"""Where starter assets live, and the `starter:` paths that recipes use for them."""

import json
import os
from pathlib import Path

from omni.starter.catalogue import Asset, find

STARTER_SCHEME = "starter:"
STAMP_FILE = "asset.json"
"""Written last into an asset's folder: which revision it is, from which packages, under which licence."""


def home() -> Path:
    """Return the folder of all fetched assets: `$OMNI_HOME`, or `~/.cache/omni`."""
    return Path(os.environ.get("OMNI_HOME") or "~/.cache/omni").expanduser().absolute()


def folder_of(asset: Asset) -> Path:
    """Return where the asset is or will be: `HOME/weights/NAME` or `HOME/data/NAME`."""
    return home() / asset.kind / asset.name


def stamp_of(asset: Asset) -> dict[str, object]:
    """Return the content of `asset.json` in this asset's folder."""
    return {
        "name": asset.name,
        "kind": asset.kind,
        "title": asset.title,
        "licence": asset.licence,
        "source": asset.source,
        "revision": asset.revision,
        "packages": [
            {"name": package.name, "version": package.version, "sha256": package.sha256} for package in asset.packages
        ],
    }


def is_current(asset: Asset) -> bool:
    """Return whether the asset's folder is complete and was built by this version of omni's conversion."""
    try:
        stamp = json.loads((folder_of(asset) / STAMP_FILE).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return False
    expected = stamp_of(asset)
    return stamp.get("revision") == expected["revision"] and stamp.get("packages") == expected["packages"]


def path(name: str) -> Path:
    """Return the folder of a fetched asset.

    Raises ValueError when no asset has this name, FileNotFoundError when it has not been fetched.
    """
    asset = find(name)
    if not is_current(asset):
        outdated = " in its present form" if folder_of(asset).exists() else ""
        raise FileNotFoundError(
            f"the starter asset {name!r} is not in {home()}{outdated}: fetch it with `python -m omni fetch {name}`"
        )
    return folder_of(asset)


def resolve(reference: str) -> str:
    """Return the local path behind `starter:NAME` or `starter:NAME/FILE`, and any other string unchanged.

    Raises ValueError when no asset has this name, FileNotFoundError when it has not been fetched or has no such file.
    """
    if not reference.startswith(STARTER_SCHEME):
        return reference
    name, _, rest = reference.removeprefix(STARTER_SCHEME).partition("/")
    folder = path(name)
    target = folder / rest if rest else folder
    if not target.exists():
        present = ", ".join(sorted(entry.name for entry in folder.iterdir()))
        raise FileNotFoundError(f"{reference!r}: the starter asset {name!r} has no {rest!r}; it has {present}")
    return str(target)
