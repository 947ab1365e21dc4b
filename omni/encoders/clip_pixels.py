"""Prepare pictures as CLIP and its kin take them: resized with Pillow, cropped, scaled by CLIP's mean and deviation.

Shapes: S side in pixels.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

# Mean and deviation of red, green and blue over CLIP's training pictures (Radford et al. 2021, its published code).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)

LONGEST = 50  # times the shorter side: the longer side of a picture that is resized whole


def resize_and_crop(
    picture: Image.Image, size: int, filter_: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Return the middle square of a picture whose shorter side is scaled to `size` pixels, the longer one rounded down.

    The ends of a side of more than `LONGEST` times the shorter one are cut off before, to bound memory.
    """
    picture = without_ends(picture)
    width, height = picture.size
    shorter = min(width, height)
    resized = picture.resize((int(size * width / shorter), int(size * height / shorter)), filter_)
    return _middle(resized, size, size)


def without_ends(picture: Image.Image) -> Image.Image:
    """Return the middle of the picture, whose longer side is at most `LONGEST` times the shorter one.

    A strip one pixel wide, enlarged until its shorter side is 224 pixels long, would fill the memory.
    """
    longest = LONGEST * min(picture.size)
    if max(picture.size) <= longest:
        return picture
    return _middle(picture, min(picture.width, longest), min(picture.height, longest))


def _middle(picture: Image.Image, width: int, height: int) -> Image.Image:
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def to_pixels(picture: Image.Image) -> Tensor:
    """Turn an RGB picture into float32 [3, height, width], normalised with CLIP's mean and deviation."""
    return normalise(torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255)


def normalise(pixels: Tensor) -> Tensor:
    """Bring values 0-1, [3, ...], to CLIP's scale."""
    shape = (3, *[1] * (pixels.ndim - 1))
    return (pixels - torch.tensor(CLIP_MEAN).reshape(shape)) / torch.tensor(CLIP_DEVIATION).reshape(shape)
