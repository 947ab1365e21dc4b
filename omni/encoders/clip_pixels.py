"""Pictures as CLIP and its kin take them: resized with Pillow, cropped, scaled by CLIP's mean and deviation.

Shapes: S side in pixels.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

# Mean and deviation of red, green and blue over CLIP's training pictures (Radford et al. 2021, its published code).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def resize_shorter_side(
    picture: Image.Image, size: int, filter_: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """The picture with its shorter side `size` pixels long, proportions kept (the longer side rounded down)."""
    width, height = picture.size
    shorter = min(width, height)
    return picture.resize((int(size * width / shorter), int(size * height / shorter)), filter_)


def centre_crop(picture: Image.Image, size: int) -> Image.Image:
    """The middle square of `size` pixels of a picture that is at least as large."""
    left, top = (round((side - size) / 2) for side in picture.size)
    return picture.crop((left, top, left + size, top + size))


def to_pixels(picture: Image.Image) -> Tensor:
    """An RGB picture -> float32 [3, height, width], normalised with CLIP's mean and deviation."""
    return normalise(torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255)


def normalise(pixels: Tensor) -> Tensor:
    """Values 0-1, [3, ...] -> CLIP's scale."""
    shape = (3, *[1] * (pixels.ndim - 1))
    return (pixels - torch.tensor(CLIP_MEAN).reshape(shape)) / torch.tensor(CLIP_DEVIATION).reshape(shape)
