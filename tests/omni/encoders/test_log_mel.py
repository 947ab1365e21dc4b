import numpy as np
import pytest
import torch

from omni.encoders.log_mel import LogMel, hertz_to_mel, mel_filters


def test_equals_a_direct_fourier_sum_with_triangles_computed_one_by_one() -> None:
    """An independent computation, straight from the definitions, of one frame."""
    settings = LogMel()
    samples = np.random.default_rng(0).normal(0, 0.2, 2000).astype(np.float32)
    frame = samples[3 * 160 : 3 * 160 + 400].astype(np.float64)
    windowed = [frame[n] * np.sin(np.pi * n / 400) ** 2 for n in range(400)]
    times = np.arange(400)
    magnitudes = [abs(np.sum(windowed * np.exp(-2j * np.pi * k * times / 512))) for k in range(257)]

    def mel(hertz: float) -> float:
        return 2595 * np.log10(1 + hertz / 700)  # the other usual form of the HTK scale

    low, high = mel(125), mel(7500)
    for band in (0, 17, 63):
        left, peak, right = (low + (high - low) * (band + i) / 65 for i in range(3))
        total = 0.0
        for k in range(257):
            position = mel(k * 16000 / 512)
            if left < position < right:
                total += magnitudes[k] * min((position - left) / (peak - left), (right - position) / (right - peak))
        assert settings(samples)[3, band] == pytest.approx(np.log(total + 0.001), abs=1e-5)


def test_equals_torch_stft_on_all_frames() -> None:
    samples = torch.randn(16000, generator=torch.Generator().manual_seed(0)) * 0.1
    frames = samples.unfold(0, 400, 160) * torch.hann_window(400, periodic=True)
    magnitudes = torch.fft.rfft(frames, 512).abs().double()
    filters = torch.from_numpy(mel_filters(np.arange(257) * 16000 / 512, 64, 125.0, 7500.0))
    expected = torch.log(magnitudes @ filters + 0.001).float()
    torch.testing.assert_close(torch.from_numpy(LogMel()(samples.numpy())), expected, atol=1e-4, rtol=0)


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    centres = np.linspace(hertz_to_mel(125.0), hertz_to_mel(7500.0), 66)[1:-1]
    for frequency in (440.0, 1000.0, 4000.0):
        tone = np.sin(2 * np.pi * frequency * np.arange(8000) / 16000).astype(np.float32)
        loudest = LogMel()(tone).mean(axis=0).argmax()
        assert abs(centres[loudest] - hertz_to_mel(frequency)) < centres[1] - centres[0]


def test_silence_is_the_logarithm_of_the_offset() -> None:
    assert np.allclose(LogMel()(np.zeros(15600, dtype=np.float32)), np.log(0.001))


def test_the_number_of_frames_is_that_of_whole_windows() -> None:
    assert LogMel()(np.zeros(15600, dtype=np.float32)).shape == (96, 64)
    assert LogMel()(np.zeros(15599, dtype=np.float32)).shape == (95, 64)
    with pytest.raises(ValueError, match="at least 400 samples, got 399"):
        LogMel()(np.zeros(399, dtype=np.float32))
