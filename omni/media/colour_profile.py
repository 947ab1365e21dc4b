"""Colours of an ICC profile to sRGB, through LittleCMS, which comes with Pillow."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB", "RGBA": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_SAME = 2  # of 255: profiles that differ less are roundings of sRGB
_STEPS = 9  # along each axis of the cube of colours in which a profile is compared with sRGB


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return a picture in sRGB, as L, RGB or RGBA.

    It is returned unchanged where the profile is sRGB itself, is damaged, or belongs to pictures of another kind (as in
    browsers); rendering is perceptual.
    """
    if image.mode in ("LA", "La"):
        grey = to_srgb(image.getchannel(0), profile).convert("RGB")
        grey.putalpha(image.getchannel(1))
        return grey
    transform = _transform(profile, image.mode) if image.mode in _SPACES else None
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from pixels of this mode to sRGB, or None if there is nothing to change."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        core: Any = source.profile
        if core.xcolor_space.strip() != _SPACES[mode]:
            return None
        result = mode if mode == "RGBA" else "RGB"
        transform = ImageCms.ImageCmsTransform(source, _srgb(), mode, result, ImageCms.Intent.PERCEPTUAL)
        return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform
    except Exception:  # a profile is somebody's data, too; LittleCMS and Pillow raise OSError, ValueError and others
        return None


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "L":
        trial = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        axis = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
        trial = Image.fromarray(np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(1, -1, 3)).convert(mode)
    before = np.asarray(trial.convert("RGB")).astype(int)
    return int(np.abs(np.asarray(transform.apply(trial).convert("RGB")) - before).max()) <= _SAME
