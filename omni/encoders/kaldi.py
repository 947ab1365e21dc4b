"""Compute Kaldi's log-mel filter banks, on which ImageBind, BEATs and AST were trained, with kaldi-native-fbank.

Shapes: T samples, F frames, M mel bands.
"""

from typing import Any

import kaldi_native_fbank
import numpy as np

SAMPLING_RATE = 16000  # Hz
LOWEST = 20.0  # Hz, lower edge of the first band
FRAME_LENGTH = 400  # samples of a frame, 25 ms
FRAME_SHIFT = 160  # samples between the beginnings of frames, 10 ms


def filter_banks(samples: np.ndarray, num_bands: int = 128, window: str = "povey") -> np.ndarray:
    """Return the natural logarithm of the energy in `num_bands` bands from 20 Hz to 8 kHz, float32 [F, M].

    Args:
        samples: mono at 16 kHz, [T]. A sound shorter than a frame (25 ms) is filled up with zeros.
        window: "povey" (Kaldi's default) or "hanning".

    Frames of 25 ms every 10 ms that lie within the sound (Kaldi's snip_edges), offset removed per frame, pre-emphasis
    0.97, no dither, no energy term: the settings of torchaudio's `compliance.kaldi.fbank` except for the window.
    """
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLING_RATE
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = window
    options.mel_opts.num_bins = num_bands
    computer = kaldi_native_fbank.OnlineFbank(options)
    filled = np.pad(samples, (0, max(0, FRAME_LENGTH - len(samples))))
    # Its annotation asks for a list, but an array is taken as well, without a copy.
    waveform: Any = np.ascontiguousarray(filled, dtype=np.float32)
    computer.accept_waveform(SAMPLING_RATE, waveform)
    computer.input_finished()
    return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)])


def num_frames(num_samples: int) -> int:
    """Return the number of frames that `filter_banks` gives for so many samples, at least one."""
    return max(1, (num_samples - FRAME_LENGTH) // FRAME_SHIFT + 1)
