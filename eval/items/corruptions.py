"""Corruptions of pictures and sounds in five strengths, as tests of robustness use them.

The kinds are among those of Hendrycks and Dietterich 2019 (arXiv:1903.12261) for pictures, and usual degradations for
sounds. The strengths are this project's own: 1 is hardly noticed, 5 leaves little. Noise depends on the content and the
seed alone.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
import soundfile
from PIL import Image
from scipy import ndimage, signal

from omni.media.image import load_image
from omni.media.item import Media
from omni.media.sound import load_sound

STRENGTHS = (1, 2, 3, 4, 5)

# pictures are float [H, W, 3] in 0-1; sounds are float [T] at a rate in Hz
_OfPicture = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
_OfSound = Callable[[np.ndarray, int, int, np.random.Generator], np.ndarray]


def _noise(picture: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    return picture + generator.normal(scale=(0.04, 0.08, 0.16, 0.32, 0.64)[strength - 1], size=picture.shape)


def _blur(picture: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    shorter = min(picture.shape[:2])  # relative to the picture, so that large and small ones lose as much
    sigma = shorter * (0.004, 0.008, 0.016, 0.032, 0.064)[strength - 1]
    return ndimage.gaussian_filter(picture, (sigma, sigma, 0))


def _contrast(picture: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    mean = picture.mean(axis=(0, 1), keepdims=True)
    return mean + (picture - mean) * (0.6, 0.4, 0.25, 0.12, 0.05)[strength - 1]


def _brightness(picture: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    return picture + (0.1, 0.2, 0.35, 0.5, 0.7)[strength - 1]


def _pixelate(picture: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    share = (0.5, 0.3, 0.18, 0.1, 0.05)[strength - 1]
    height, width = picture.shape[:2]
    whole = Image.fromarray(_bytes(picture))
    small = whole.resize((max(1, round(width * share)), max(1, round(height * share))), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST), np.float64) / 255


def _jpeg(picture: np.ndarray, strength: int, generator: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(_bytes(picture)).save(file, "JPEG", quality=(40, 25, 15, 8, 3)[strength - 1])
    return np.asarray(Image.open(file).convert("RGB"), np.float64) / 255


def _noise_of_sound(sound: np.ndarray, rate: int, strength: int, generator: np.random.Generator) -> np.ndarray:
    decibels = (20, 10, 5, 0, -10)[strength - 1]  # signal over noise
    power = float(np.mean(np.square(sound))) or 1e-12
    return sound + generator.normal(scale=np.sqrt(power / 10 ** (decibels / 10)), size=sound.shape)


def _low_pass(sound: np.ndarray, rate: int, strength: int, generator: np.random.Generator) -> np.ndarray:
    cut = (4000, 2000, 1000, 500, 250)[strength - 1]  # Hz
    if cut >= rate / 2:
        return sound
    sections = signal.butter(3, cut, fs=rate, output="sos")
    return np.asarray(signal.sosfiltfilt(sections, sound, padlen=min(15, len(sound) - 1)))  # without delay


def _clipping(sound: np.ndarray, rate: int, strength: int, generator: np.random.Generator) -> np.ndarray:
    peak = float(np.abs(sound).max()) * (0.5, 0.25, 0.12, 0.06, 0.02)[strength - 1]
    return np.clip(sound, -peak, peak)


def _gaps(sound: np.ndarray, rate: int, strength: int, generator: np.random.Generator) -> np.ndarray:
    """Silence in a share of all spans of 50 ms, drawn at random."""
    share = (0.1, 0.2, 0.4, 0.6, 0.8)[strength - 1]
    span = max(1, rate // 20)
    kept = generator.random(-(-len(sound) // span)) >= share
    return sound * np.repeat(kept, span)[: len(sound)]


_PICTURES: Mapping[str, _OfPicture] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}
_SOUNDS: Mapping[str, _OfSound] = {
    "noise": _noise_of_sound,
    "low-pass": _low_pass,
    "clipping": _clipping,
    "gaps": _gaps,
}
# `MODALITY:KIND`, as `Task.corruptions` names them
CORRUPTIONS = (
    *(f"image:{kind}" for kind in _PICTURES),
    *(f"{modality}:{kind}" for modality in ("sound", "speech") for kind in _SOUNDS),
)


def corrupted(media: Media, kind: str, strength: int, seed: int) -> bytes:
    """Return a picture as PNG or a sound as WAV, corrupted.

    Args:
        media: a picture, a sound or speech.
        kind: one of `CORRUPTIONS`, without its modality.
        strength: one of `STRENGTHS`.
        seed: of whatever is drawn.

    Raises:
        MediaError: the medium cannot be read.
    """
    generator = np.random.default_rng([seed, strength, int(media.content_hash()[:15], 16)])
    file = io.BytesIO()
    if media.modality == "image":
        picture = np.asarray(load_image(media).convert("RGB"), np.float64) / 255
        Image.fromarray(_bytes(_PICTURES[kind](picture, strength, generator))).save(file, "PNG")
    else:
        sound = load_sound(media, None)
        samples = _SOUNDS[kind](sound.samples.astype(np.float64), sound.sampling_rate, strength, generator)
        soundfile.write(file, np.clip(samples, -1, 1), sound.sampling_rate, format="WAV", subtype="PCM_24")
    return file.getvalue()


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
