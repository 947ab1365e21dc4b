"""Previews of recordings: sounds as players, movements as curves."""

import io

import numpy as np
import soundfile

from omni.media.imu import load_imu
from omni.media.item import Media
from omni.media.sound import load_sound
from omni.previews.drawing import draw_waveform
from omni.previews.kinds import Curves, Picture, Player

_MOST_SECONDS = 600  # that are played; the waveform shows all
_IMU = [f"{kind} {axis}" for kind in ("acceleration (m/s²)", "rotation (rad/s)") for axis in "xyz"]


def preview_sound(media: Media) -> Player:
    """Return a sound as a player, mono as encoders hear it, with its waveform and spectrogram."""
    sound = load_sound(media, sampling_rate=None)
    file = io.BytesIO()
    played = np.clip(sound.samples[: _MOST_SECONDS * sound.sampling_rate], -1, 1)
    soundfile.write(file, played, sound.sampling_rate, format="WAV", subtype="PCM_16")
    caption = f"{sound.duration:.1f} s at {sound.sampling_rate / 1000:g} kHz"
    waveform = Picture(draw_waveform(sound.samples, sound.sampling_rate), caption)
    return Player(file.getvalue(), sound.duration, waveform)


def preview_imu(media: Media) -> Curves:
    """Return acceleration and rotation as six curves."""
    recording = load_imu(media)
    caption = f"{recording.duration:.1f} s at {recording.sampling_rate:g} Hz"
    return Curves(recording.samples.T, _IMU, recording.duration, caption)
