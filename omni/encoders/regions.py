"""Which part of a medium each feature stands for, as boxes along the axes of `omni.media.parts.contract`.

A region is a start and an end along each axis; minus to plus infinity is all of it (a class token, an embedding).
Shapes: C clips of an item, N features of a clip, A axes of the medium.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from omni.media.item import Media

Span = tuple[float, float]
WHOLE: Span = (-math.inf, math.inf)
_MEL_BREAK, _MEL_FACTOR = 700.0, 1127.0  # HTK's mel scale, as in Kaldi and TensorFlow


def whole_regions(num_clips: int, num_features: int, num_axes: int) -> Tensor:
    """Return regions [C, N, A, 2] of features that each stand for the whole medium."""
    return torch.tensor([WHOLE] * num_axes).expand(num_clips, num_features, num_axes, 2)


def grid_regions(*edges: Sequence[float]) -> Tensor:
    """Return the cells of a grid between the edges along each axis, the last axis fastest: [cells, A, 2]."""
    spans = [torch.tensor(list(itertools.pairwise(one)), dtype=torch.float32) for one in edges]
    index = torch.cartesian_prod(*(torch.arange(len(one)) for one in spans)).reshape(-1, len(spans))
    return torch.stack([one[index[:, axis]] for axis, one in enumerate(spans)], dim=1)


def after_whole(regions: Tensor, count: int) -> Tensor:
    """Put `count` features that stand for the whole (class tokens) before regions [N, A, 2]."""
    return torch.cat([whole_regions(1, count, regions.shape[1])[0], regions])


def picture_regions(
    preprocess: Callable[[Media], Mapping[str, Tensor]], size: tuple[int, int], name: str, num_patches: int
) -> Tensor | None:
    """Return the regions [num_patches, 2, 2] of a grid of patches over pixels, row by row; None = there is no grid.

    What `preprocess` does (crop, pad, squeeze) is found by giving it pictures whose brightness is the place.

    Args:
        preprocess: from a picture to tensors, of which `name` is pixels [1, 3, H, W].
        size: width and height of the picture.
        name: of the pixels.
        num_patches: features of a picture, without class tokens.
    """
    seen = _seen(preprocess, size, name)
    if seen is None:
        return None
    (height, rows), (width, columns) = seen
    num_rows = round(math.sqrt(num_patches * height / width))
    if num_rows < 1 or num_patches % num_rows or abs(num_rows * width / height - num_patches / num_rows) > 0.5:
        return None
    return grid_regions(_edges(rows, height, num_rows), _edges(columns, width, num_patches // num_rows))


Line = tuple[float, float]  # share of the picture = slope * pixel + offset


def _seen(
    preprocess: Callable[[Media], Mapping[str, Tensor]], size: tuple[int, int], name: str
) -> tuple[tuple[int, Line], tuple[int, Line]] | None:
    """Pixels of the preprocessed picture along its height and width, and where in the picture they come from."""
    width, height = size
    ramp = np.zeros((height, width, 3), dtype=np.uint8)
    ramp[..., 0] = np.rint(np.linspace(0, 255, height))[:, None]
    ramp[..., 1] = np.rint(np.linspace(0, 255, width))[None]
    pictures = [ramp, np.zeros_like(ramp), np.full_like(ramp, 255)]
    found = [preprocess(Media("image", data=Image.fromarray(one)))[name].float() for one in pictures]
    if any(one.ndim != 4 or one.shape[:2] != (1, 3) for one in found) or len({one.shape for one in found}) > 1:
        return None
    place, black, white = (one[0] for one in found)  # [3, H, W]
    scale = white - black
    inside = scale.abs().amin(0) > 0.5 * scale.abs().max()  # what was padded is the same in all pictures
    if not inside.any():
        return None
    shares = (place - black) / scale.masked_fill(~inside, 1.0)
    # brightness 0 and 255 are the middles of the first and the last pixel
    rows = _line(shares[0], inside, 0, height)
    columns = _line(shares[1], inside, 1, width)
    return (inside.shape[0], rows), (inside.shape[1], columns)


def _line(shares: Tensor, inside: Tensor, axis: int, length: int) -> Line:
    count = inside.sum(1 - axis)
    known = count > 0
    means = shares.masked_fill(~inside, 0.0).sum(1 - axis)[known] / count[known]
    pixels = known.nonzero().flatten().float()
    if length == 1 or len(pixels) == 1:
        size = len(known)
        return 1 / size, 0.5 / size
    slope, offset = np.polyfit(pixels.numpy(), (means.numpy() * (length - 1) + 0.5) / length, 1)
    return float(slope), float(offset)


def _edges(line: Line, pixels: int, count: int) -> list[float]:
    return [line[0] * (pixels * index / count - 0.5) + line[1] for index in range(count + 1)]


def mel_edges(low: float, high: float, count: int) -> list[float]:
    """Return frequencies in Hz that cut `low` to `high` into `count` parts of equal width on the mel scale."""
    first, last = (_MEL_FACTOR * math.log1p(one / _MEL_BREAK) for one in (low, high))
    mels = np.linspace(first, last, count + 1)
    return (_MEL_BREAK * np.expm1(mels / _MEL_FACTOR)).tolist()


def sound_regions(starts: Sequence[float], steps: Sequence[Span], bands: Sequence[float] | None = None) -> Tensor:
    """Return regions [C, N, 2, 2] of clips of a sound that begin at `starts` s.

    Args:
        starts: in seconds.
        steps: start and end in seconds of each step of time within a clip.
        bands: edges in Hz of the bands of each step, which follow each other fastest; None = one over all.
    """
    pitches = [WHOLE] if bands is None else list(itertools.pairwise(bands))
    rows = [[((start + first, start + last), pitch) for first, last in steps for pitch in pitches] for start in starts]
    return torch.tensor(rows, dtype=torch.float32)
