"""Turn a media item into the inputs of a transformers encoder, family by family, with the model's own processor.

Every class is called with a media item and returns the tensors that the model takes, each with a leading dimension of
clips, and where features can lie outside the media a `mask` (bool [C, N], True = real).
Shapes: C clips of one item, T samples, N features of a clip.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoFeatureExtractor, AutoImageProcessor, PreTrainedModel, ViTImageProcessorPil

from omni.encoders.clip_pixels import without_ends
from omni.encoders.kaldi import LOWEST
from omni.encoders.regions import grid_regions, mel_edges, picture_regions, sound_regions, whole_regions
from omni.encoders.sound_windows import overlapping_windows, spread_windows
from omni.media.clips import Clips
from omni.media.frames import fewest_frames, load_frames, load_frames_at
from omni.media.image import load_image
from omni.media.item import Media
from omni.media.sound import load_sound
from omni.runtime.pretrained import load_pretrained

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SOUND_EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac")
VIDEO_EXTENSIONS = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif")

VIDEO_MODELS = ("videomae", "vivit", "timesformer")
DEFAULT_VIDEO_CLIPS = 4
SECONDS_PER_WAVEFORM = 10.0  # for wav2vec 2.0 and its kin: attention grows with the square; trained on up to 16 s


def _fit_for(processor: Any, picture: Image.Image) -> Image.Image:
    """Cut off the far ends of a strip where the processor scales the shorter side to a given length."""
    return without_ends(picture) if (processor.size or {}).get("shortest_edge") else picture


@dataclass
class ImageInputs:
    """One picture, one clip."""

    processor: Any
    modality = "image"
    file_extensions = IMAGE_EXTENSIONS
    max_clips = 1

    def __call__(self, media: Media) -> dict[str, Tensor]:
        picture = _fit_for(self.processor, load_image(media))
        return {"pixel_values": self.processor(images=picture, return_tensors="pt")["pixel_values"]}

    def example(self) -> Media:
        """Return a media item to learn shapes from."""
        return Media(self.modality, data=np.zeros((64, 64, 3), dtype=np.uint8))

    def regions(self, media: Media, num_patches: int) -> Tensor | None:
        """Return which part of a picture each patch stands for, [1, num_patches, 2, 2]; None = not known."""
        regions = picture_regions(self, load_image(media).size, "pixel_values", num_patches)
        return None if regions is None else regions[None]


class PatchInputs(ImageInputs):
    """SigLIP 2 of any aspect ratio (NaFlex): the processor cuts the patches; the mask leaves out padding."""

    def __call__(self, media: Media) -> dict[str, Tensor]:
        inputs = dict(self.processor(images=load_image(media), return_tensors="pt"))
        return inputs | {"mask": inputs["pixel_attention_mask"].bool()}

    def regions(self, media: Media, num_patches: int) -> Tensor | None:
        """Return the grid that the processor chose for this picture, with as many patches of padding behind it."""
        shape = self.processor(images=load_image(media), return_tensors="pt")["spatial_shapes"][0].tolist()
        rows, columns = shape
        patches = grid_regions(*([i / count for i in range(count + 1)] for count in (rows, columns)))
        return torch.cat([patches, whole_regions(1, max(0, num_patches - len(patches)), 2)[0]])[None, :num_patches]


@dataclass
class VideoInputs:
    """Clips of `num_frames` frames, evenly spread: of the whole video, or of each part of `clip_seconds`.

    A video of fewer frames, or whose option `num_frames` asks for fewer, repeats them; one that is shorter than a clip
    is one clip.
    """

    processor: Any
    num_frames: int
    clips: Clips | None = None
    clip_seconds: float | None = None
    modality = "video"
    file_extensions = VIDEO_EXTENSIONS

    @property
    def max_clips(self) -> int:
        """Largest number of clips of one item."""
        return 1 if self.clips is None else self.clips.most

    def __call__(self, media: Media) -> dict[str, Tensor]:
        frames = self._whole(media) if self.clips is None else self._parts(media, self.clips)
        frames = [_fit_for(self.processor, frame) for frame in frames]
        pixels = self.processor(frames, return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixels.reshape(-1, self.num_frames, *pixels.shape[-3:])}

    def _whole(self, media: Media) -> list[Any]:
        frames = load_frames(media, fewest_frames(media, self.num_frames)).images
        chosen = np.linspace(0, len(frames) - 1, self.num_frames).round().astype(int)
        return [frames[i] for i in chosen]

    def _parts(self, media: Media, clips: Clips) -> list[Any]:
        def wanted(duration: float) -> list[float]:
            seconds = self.clip_seconds or duration
            starts = clips.starts(duration, seconds, 1, media.describe())
            middles = (np.arange(self.num_frames) + 0.5) / self.num_frames
            return [time for start in starts for time in (start + middles * min(seconds, duration - start)).tolist()]

        return load_frames_at(media, wanted).images

    def example(self) -> Media:
        """Return a media item to learn shapes from."""
        return Media(self.modality, data=np.zeros((2, 64, 64, 3), dtype=np.uint8))

    def regions(self, media: Media, num_patches: int) -> Tensor | None:
        """Return None: which frames an item gives depends on its times."""
        return None


@dataclass
class SoundInputs:
    """The common part of all families of sound."""

    processor: Any
    max_seconds: float
    config: Any
    chosen_clips: Clips | Mapping[str, Any] | None = None
    modality = "sound"
    file_extensions = SOUND_EXTENSIONS

    @property
    def window(self) -> int:
        """Number of samples of a clip."""
        raise NotImplementedError

    @property
    def clips(self) -> Clips:
        """The policy by which clips of a sound are chosen."""
        most = max(1, int(self.max_seconds * self.processor.sampling_rate / self.window + 1e-6))
        return Clips.parse(self.chosen_clips, default=Clips("dense", most))

    @property
    def max_clips(self) -> int:
        """Largest number of clips of one item; at least one."""
        return self.clips.most

    def example(self) -> Media:
        """Return a media item to learn shapes from: as long as a clip can be."""
        silence = np.zeros(self.window, dtype=np.float32)
        return Media(self.modality, data=silence, sampling_rate=self.processor.sampling_rate)

    def regions(self, media: Media, num_patches: int) -> Tensor | None:
        """Return which part of a sound each position stands for, [C, num_patches, 2, 2]; None = not known."""
        return None

    def _starts(self, media: Media) -> list[float]:
        """Return where the clips begin, in seconds."""
        rate = self.processor.sampling_rate
        starts = self.clips.starts(len(self._load(media)), self.window, rate, media.describe(), rate // 10)
        return [start / rate for start in starts]

    def _load(self, media: Media) -> np.ndarray:
        return load_sound(media, self.processor.sampling_rate).samples

    def _clips(self, media: Media) -> list[np.ndarray]:
        # Tails under a tenth of a second would be clips of padding.
        rate = self.processor.sampling_rate
        return spread_windows(self._load(media), self.window, self.clips, rate, media.describe(), rate // 10)


class WhisperInputs(SoundInputs):
    """Clips of 30 s, filled up with silence as Whisper was trained; the mask ends with the sound."""

    modality = "speech"

    @property
    def window(self) -> int:
        return self.processor.n_samples

    def __call__(self, media: Media) -> dict[str, Tensor]:
        clips = self._clips(media)
        inputs = self.processor(clips, sampling_rate=self.processor.sampling_rate, return_tensors="pt")
        positions = np.arange(self.config.max_source_positions)
        # Each position is two frames of the spectrogram, because the second convolution has stride 2.
        starts = positions * 2 * self.processor.hop_length
        mask = np.stack([starts < max(1, len(clip)) for clip in clips])
        return {"input_features": inputs["input_features"], "mask": torch.from_numpy(mask)}

    def regions(self, media: Media, num_patches: int) -> Tensor | None:
        step = 2 * self.processor.hop_length / self.processor.sampling_rate
        return sound_regions(self._starts(media), [(i * step, (i + 1) * step) for i in range(num_patches)])


class AudioSpectrogramTransformerInputs(SoundInputs):
    """Clips of the length that the AST was trained with (10.24 s); the mask ends with the sound."""

    @property
    def window(self) -> int:
        return self.processor.max_length * self.processor.sampling_rate // 100  # frames of 10 ms

    def __call__(self, media: Media) -> dict[str, Tensor]:
        clips = self._clips(media)
        shortest = self.processor.sampling_rate // 40  # one analysis window, 25 ms
        filled = [np.pad(clip, (0, max(0, shortest - len(clip)))) for clip in clips]
        inputs = self.processor(filled, sampling_rate=self.processor.sampling_rate, return_tensors="pt")
        return {
            "input_values": inputs["input_values"],
            "mask": torch.from_numpy(np.stack([self._mask(clip) for clip in clips])),
        }

    def regions(self, media: Media, num_patches: int) -> Tensor | None:
        num_times = (self.config.max_length - self.config.patch_size) // self.config.time_stride + 1
        num_bands = (self.config.num_mel_bins - self.config.patch_size) // self.config.frequency_stride + 1
        if num_times * num_bands != num_patches:
            return None
        size, stride = self.config.patch_size / 100, self.config.time_stride / 100  # frames of 10 ms
        spans = [(i * stride, i * stride + size) for i in range(num_times)]
        bins = mel_edges(LOWEST, self.processor.sampling_rate / 2, self.config.num_mel_bins)
        firsts = [i * self.config.frequency_stride for i in range(num_bands)]
        bands = [(bins[first], bins[first + self.config.patch_size]) for first in firsts]
        rows = [
            [((start + first, start + last), band) for band in bands for first, last in spans]
            for start in self._starts(media)
        ]
        return torch.tensor(rows, dtype=torch.float32)

    def _mask(self, clip: np.ndarray) -> np.ndarray:
        """Mark the real positions: class and distillation token, then patches, frequency by frequency."""
        num_times = (self.config.max_length - self.config.patch_size) // self.config.time_stride + 1
        num_bands = (self.config.num_mel_bins - self.config.patch_size) // self.config.frequency_stride + 1
        frames = len(clip) * 100 / self.processor.sampling_rate
        real = np.arange(num_times) * self.config.time_stride < max(1.0, frames)
        return np.concatenate([np.ones(2, dtype=bool), np.tile(real, num_bands)])


class ClapInputs(SoundInputs):
    """Clips of CLAP's length (10 s); a shorter sound is repeated to fill it, as CLAP was trained, so all is real."""

    @property
    def window(self) -> int:
        return self.processor.nb_max_samples

    def __call__(self, media: Media) -> dict[str, Tensor]:
        rate = self.processor.sampling_rate
        encoded = [self.processor(clip, sampling_rate=rate, return_tensors="pt") for clip in self._clips(media)]
        return {
            "input_features": torch.cat([clip["input_features"] for clip in encoded]),
            "is_longer": torch.cat([torch.as_tensor(clip["is_longer"]).reshape(1, 1) for clip in encoded]),
        }


class WaveformInputs(SoundInputs):
    """wav2vec 2.0, HuBERT and their kin: the samples themselves, in clips of at most 10 s and never padded.

    Padding would change the features where a model normalises over time. So sounds of different length are encoded
    separately, and the last clip of a long sound begins early; its mask leaves out what the clip before already holds.
    """

    modality = "speech"

    @property
    def window(self) -> int:
        return round(min(SECONDS_PER_WAVEFORM, self.max_seconds) * self.processor.sampling_rate)

    def __call__(self, media: Media) -> dict[str, Tensor]:
        samples = self._load(media)
        samples = np.pad(samples, (0, max(0, self._shortest() - len(samples))))
        rate = self.processor.sampling_rate
        clips, repeated = overlapping_windows(samples, self.window, self.clips, rate, media.describe())
        inputs = self.processor(list(clips), sampling_rate=rate, return_tensors="pt")
        stride = int(np.prod(self.config.conv_stride))
        starts = np.arange(self._num_positions(clips.shape[1])) * stride
        mask = np.stack([starts >= overlap for overlap in repeated])
        return {"input_values": inputs["input_values"], "mask": torch.from_numpy(mask)}

    def regions(self, media: Media, num_patches: int) -> Tensor | None:
        rate, samples = self.processor.sampling_rate, self._load(media)
        samples = np.pad(samples, (0, max(0, self._shortest() - len(samples))))
        planned = self.clips.starts(len(samples), self.window, rate, media.describe(), 1)
        latest = max(0, len(samples) - self.window)
        starts = [min(round(start), latest) / rate for start in planned] if latest else [0.0]
        step = int(np.prod(self.config.conv_stride)) / rate
        return sound_regions(starts, [(i * step, (i + 1) * step) for i in range(num_patches)])

    def _num_positions(self, length: int) -> int:
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            length = (length - kernel) // stride + 1
        return length

    def _shortest(self) -> int:
        """Return the fewest samples that give one position."""
        length = 1
        for kernel, stride in zip(reversed(self.config.conv_kernel), reversed(self.config.conv_stride), strict=True):
            length = (length - 1) * stride + kernel
        return length


Inputs = ImageInputs | VideoInputs | WhisperInputs | AudioSpectrogramTransformerInputs | ClapInputs | WaveformInputs


def inputs_for(
    tower: PreTrainedModel,
    name: str,
    max_seconds: float,
    clips: Clips | Mapping[str, Any] | None = None,
    clip_seconds: float | None = None,
    **download: Any,
) -> Inputs:
    """Return the inputs of an encoder, with the processor that is stored with its weights.

    Raises ValueError for a family whose inputs are not known here, and for clips of media that have none.
    """
    config = tower.config
    is_video = config.model_type in VIDEO_MODELS
    if clip_seconds is not None and not (is_video and clips is not None and clip_seconds > 0):
        raise ValueError(
            f"clip_seconds is {clip_seconds}; it is above 0, and for video models together with clips only"
        )
    if tower.main_input_name == "pixel_values":
        processor = _image_processor(config.model_type, name, **download)
        if is_video:
            if clips is None:
                return VideoInputs(processor, config.num_frames)
            if clip_seconds is None:
                raise ValueError("clips of a video need clip_seconds, the length of one")
            policy = Clips.parse(clips, default=Clips("uniform", DEFAULT_VIDEO_CLIPS))
            return VideoInputs(processor, config.num_frames, policy, clip_seconds)
        if clips is not None:
            raise ValueError(f"clips are of sound and video; {name} is a model of pictures")
        return (PatchInputs if config.model_type == "siglip2_vision_model" else ImageInputs)(processor)
    families = {
        "whisper": WhisperInputs,
        "audio-spectrogram-transformer": AudioSpectrogramTransformerInputs,
        "clap_audio_model": ClapInputs,
    }
    is_waveform = tower.main_input_name == "input_values" and "conv_kernel" in config.to_dict()
    family = WaveformInputs if is_waveform else families.get(config.model_type)
    if family is None:
        raise ValueError(
            f"{name} is a {config.model_type!r}, which takes {tower.main_input_name!r}; known are models that take "
            f"pictures (pixel_values), waveforms (wav2vec 2.0, HuBERT, WavLM), and {', '.join(families)}. "
            "Subclass HuggingFaceEncoder and override preprocess for another"
        )
    return family(load_pretrained(AutoFeatureExtractor, name, **download), max_seconds, config, clips)


def _image_processor(model_type: str, name: str, **download: Any) -> Any:
    """Load the processor of an encoder of pictures in the form that needs no torchvision."""
    # DINOv3's has no such form. It equals that of ViT except for its rounding, within one step of 8 bits.
    if model_type == "dinov3_vit":
        return ViTImageProcessorPil.from_pretrained(name, **download)
    try:
        return load_pretrained(AutoImageProcessor, name, backend="pil", **download)
    except ValueError as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        raise ValueError(
            f"{name} is a {model_type!r}, whose pictures transformers prepares with torchvision only, which is not "
            "used here; subclass HuggingFaceEncoder and override preprocess"
        ) from error
