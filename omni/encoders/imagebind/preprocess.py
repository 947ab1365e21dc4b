"""Prepare media for the trunks of ImageBind, with the constants of its publication (arXiv:2305.05665) and code.

Every function takes one media item and returns its clips, float32 [S, *CLIP_SHAPES[trunk]].
Shapes: S clips of one item, T samples.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from omni.encoders.clip_pixels import LONGEST, normalise, resize_and_crop, to_pixels
from omni.encoders.imagebind.stems import (
    AUDIO_BANDS,
    AUDIO_FRAMES,
    AUDIO_STRIDE,
    IMAGE_SIZE,
    IMU_PATCH,
    IMU_SAMPLES,
    VISION_FRAMES,
    audio_grid,
)
from omni.encoders.kaldi import FRAME_LENGTH, SAMPLING_RATE, filter_banks, num_frames
from omni.media.clips import Clips
from omni.media.depth import load_disparity
from omni.media.errors import MediaError
from omni.media.frames import load_frames_at
from omni.media.image import load_image
from omni.media.imu import SAMPLING_RATE as IMU_RATE
from omni.media.imu import cut_windows, load_imu
from omni.media.item import Media
from omni.media.sound import load_sound
from omni.media.thermal import load_thermal

CLIP_SECONDS = 2.0  # length of a clip of sound or video
VIEWS_PER_CLIP = 3  # crops of a video: left, middle, right (or top, middle, bottom)
AUDIO_MEAN, AUDIO_DEVIATION = -4.268, 9.138  # of filter banks
LARGEST_DISPARITY = 75.0
SMALLEST_DISPARITY = 0.01
DISPARITY_MEAN, DISPARITY_DEVIATION = 0.0418, 0.0295  # after division by the largest


def image_clips(media: Media) -> Tensor:
    """Prepare a picture: shorter side 224 (bicubic), middle square, CLIP's scale -> [1, 3, 224, 224]."""
    return to_pixels(resize_and_crop(load_image(media), IMAGE_SIZE))[None]


def video_clips(media: Media, clips: Clips) -> Tensor:
    """Prepare a video: clips of 2 s, the first and last frame of each, in three crops -> [3 x clips, 3, 2, 224, 224].

    The crops of the first clip come first, then those of the next. A video of up to 2 s has one clip.
    """

    def wanted(duration: float) -> list[float]:
        times = []
        for start in clips.starts(duration, CLIP_SECONDS, 1, media.describe()):
            # The last frame is the one that is on the screen just before the clip's (or the video's) end.
            times += [start, max(start, min(start + CLIP_SECONDS, duration) - 1e-3)]
        return times

    pictures = load_frames_at(media, wanted).images
    if any(max(picture.size) > LONGEST * min(picture.size) for picture in pictures):
        width, height = pictures[0].size
        problem = f"is {width} x {height} pixels; a side may be at most {LONGEST} times the other"
        raise MediaError(media.describe(), problem)
    pairs = zip(pictures[::VISION_FRAMES], pictures[1::VISION_FRAMES], strict=True)
    return torch.cat([_three_crops(pair) for pair in pairs])


def sound_clips(media: Media, clips: Clips) -> tuple[Tensor, Tensor]:
    """Prepare a sound: clips of 2 s -> filter banks [S, 1, 128, 204], and which of the trunk's tokens hold sound, bool
    [S, 229]. A sound of up to 2 s has one clip."""
    samples = load_sound(media, SAMPLING_RATE).samples
    length = int(CLIP_SECONDS * SAMPLING_RATE)
    # A tail of less than an analysis window would be a clip of one frame that holds nearly nothing.
    starts = clips.starts(len(samples), length, SAMPLING_RATE, media.describe(), shortest_tail=FRAME_LENGTH)
    parts = [samples[int(start) : int(start) + length] for start in starts]
    return torch.stack([mel_clip(part) for part in parts]), torch.stack([_audio_mask(len(part)) for part in parts])


def mel_clip(samples: np.ndarray) -> Tensor:
    """Turn mono samples [T] at 16 kHz into normalised filter banks [1, 128, 204].

    2 s are 198 frames, which are filled up with zeros to 204 (before normalising); only the first 204 are kept of more.
    """
    bands = filter_banks(samples - samples.mean(), AUDIO_BANDS, window="hanning")[:AUDIO_FRAMES].T
    filled = np.pad(bands, ((0, 0), (0, AUDIO_FRAMES - bands.shape[1])))
    return (torch.from_numpy(filled)[None] - AUDIO_MEAN) / AUDIO_DEVIATION


def depth_clips(media: Media) -> Tensor:
    """Prepare a depth picture, as disparity (see `load_disparity`) -> [1, 1, 224, 224]."""
    disparity = load_disparity(media).clip(SMALLEST_DISPARITY, LARGEST_DISPARITY) / LARGEST_DISPARITY
    return (_one_channel(disparity, Image.Resampling.BILINEAR) - DISPARITY_MEAN) / DISPARITY_DEVIATION


def thermal_clips(media: Media) -> Tensor:
    """Prepare a thermal picture, warm is bright (see `load_thermal`) -> [1, 1, 224, 224] in 0-1."""
    return _one_channel(load_thermal(media), Image.Resampling.BICUBIC).clamp(0, 1)


def imu_clips(media: Media, clips: Clips) -> tuple[Tensor, Tensor]:
    """Prepare a recording of an inertial measurement unit: clips of 5 s at 400 Hz -> [S, 6, 2000], and which of the
    trunk's tokens hold samples, bool [S, 251]. A shorter recording is filled up with zeros."""
    recording = load_imu(media, IMU_RATE)
    length = recording.samples.shape[1]
    starts = clips.starts(length, IMU_SAMPLES, IMU_RATE, media.describe(), shortest_tail=IMU_PATCH)
    windows, real = cut_windows(recording, [round(start) for start in starts], IMU_SAMPLES)
    begin = np.concatenate([[0], np.arange(0, IMU_SAMPLES, IMU_PATCH)])  # the class token, then patches
    return torch.from_numpy(windows), torch.from_numpy(begin[None] < real[:, None])


def _audio_mask(num_samples: int) -> Tensor:
    """Mark the class token, and the patches (band by band) that begin within the sound."""
    bands, times = audio_grid()
    real = torch.arange(times) * AUDIO_STRIDE < num_frames(num_samples)
    return torch.cat([torch.ones(1, dtype=torch.bool), real.repeat(bands)])


def _three_crops(frames: Sequence[Image.Image]) -> Tensor:
    """Cut frames of one clip into three square views, [3, 3, frames, 224, 224], along the longer side."""
    video = torch.stack([torch.from_numpy(np.array(frame)) for frame in frames]).permute(3, 0, 1, 2).float() / 255
    height, width = video.shape[-2:]
    shorter = min(height, width)
    size = (math.floor(height / shorter * IMAGE_SIZE), math.floor(width / shorter * IMAGE_SIZE))
    # Without anti-aliasing, as the video was scaled in ImageBind's training.
    scaled = functional.interpolate(video, size=size, mode="bilinear", align_corners=False)
    excess = max(size) - IMAGE_SIZE
    offsets = [0, math.ceil(excess / 2), excess]
    axis = 2 if size[0] > size[1] else 3
    return torch.stack([normalise(scaled.narrow(axis, offset, IMAGE_SIZE)) for offset in offsets])


def _one_channel(values: np.ndarray, filter_: Image.Resampling) -> Tensor:
    """Return the middle square [1, 1, 224, 224] of resized values [height, width]."""
    picture = resize_and_crop(Image.fromarray(values.astype(np.float32)), IMAGE_SIZE, filter_)
    return torch.from_numpy(np.array(picture))[None, None]
