"""YAMNet with its real weights; the log-mel code is tested by itself in test_log_mel.py."""

from pathlib import Path

import numpy as np
import pytest
import torch

from omni.encoders.yamnet import YamNet
from omni.media.item import Media
from omni.starter import resolve

pytestmark = pytest.mark.starter


@pytest.fixture(scope="module")
def encoder() -> YamNet:
    return YamNet("starter:yamnet")


def noise(num_samples: int) -> Media:
    samples = np.random.default_rng(0).normal(0, 0.1, num_samples).astype(np.float32)
    return Media("sound", data=samples, sampling_rate=16000)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("stamps/media/animals/birds/duck.ogg", "Duck"),
        ("stamps/media/animals/birds/rooster.ogg", "Chicken, rooster"),
        ("stamps/media/animals/insects/bee.ogg", "Insect"),
        ("stamps/media/animals/birds/gander_desc.ogg", "Speech"),
        ("sonic-pi/media/drum_cymbal_soft.flac", "Cymbal"),
        ("sonic-pi/media/drum_tom_hi_soft.flac", "Drum"),
        ("sonic-pi/media/ambi_choir.flac", "Choir"),
        ("asterisk/media/agent-loggedoff.wav", "Speech"),
    ],
)
def test_real_sounds_are_classified_as_what_they_are(encoder: YamNet, path: str, expected: str) -> None:
    media = Media("sound", path=resolve(f"starter:{path}"))
    scores = encoder.label_probabilities(encoder.preprocess(media))
    best = [encoder.label_names()[index] for index in scores.topk(6).indices.tolist()]
    assert expected in best


def test_pooled_features_times_the_classifier_are_the_class_scores(encoder: YamNet) -> None:
    """The features are those before pooling, in the order time x pitch."""
    inputs = encoder.preprocess(noise(16000 * 3))
    features = encoder(inputs).values
    assert features.shape == (3, 6, 1024)
    raw = encoder.run(inputs, ["features"])[0]  # [C, D, time, pitch]
    assert torch.equal(features[1, 2 * 2 + 1], raw[1, :, 2, 1])


def test_features_have_the_same_bits_alone_and_in_a_batch(encoder: YamNet) -> None:
    inputs = encoder.preprocess(noise(16000 * 9))
    together = encoder(inputs).values
    for size in (1, 2, 4):
        parts = zip(inputs["audio"].split(size), inputs["mask"].split(size), strict=True)
        apart = torch.cat([encoder({"audio": audio, "mask": mask}).values for audio, mask in parts])
        assert torch.equal(apart, together)


@pytest.mark.parametrize(
    ("num_samples", "real"),
    [
        (1, [2]),
        (16, [2]),
        (5120, [2]),
        (5121, [4]),
        (15360, [6]),
        (15360 + 2559, [6]),
        (15360 + 2560, [6, 2]),
        (15360 * 3, [6, 6, 6]),
    ],
)
def test_the_mask_counts_the_steps_that_hold_sound(encoder: YamNet, num_samples: int, real: list[int]) -> None:
    features = encoder(encoder.preprocess(noise(num_samples)))
    assert features.mask.sum(dim=1).tolist() == real
    assert torch.isfinite(features.values).all()


def test_a_patch_sees_its_own_part_of_the_sound(encoder: YamNet) -> None:
    media = noise(15360 * 3)
    assert isinstance(media.data, np.ndarray)
    second = Media("sound", data=media.data[15360:], sampling_rate=16000)
    whole, part = encoder.preprocess(media), encoder.preprocess(second)
    assert torch.equal(whole["audio"][1:], part["audio"])


def test_a_long_sound_gives_evenly_spread_patches(encoder: YamNet) -> None:
    samples = np.repeat(np.linspace(0, 0.5, 100), 15360).astype(np.float32)
    samples *= np.random.default_rng(0).choice([-1, 1], len(samples)).astype(np.float32)
    loudness = encoder.preprocess(Media("sound", data=samples, sampling_rate=16000))["audio"].mean(dim=(1, 2, 3))
    assert len(loudness) == encoder.max_patches == 10
    assert encoder.max_features == 60
    assert (loudness.diff() > 0).all()
    assert loudness[-1].exp() / loudness[5].exp() == pytest.approx(99 / 55, rel=0.1)


def test_settings_are_part_of_the_fingerprint(encoder: YamNet) -> None:
    folder = Path(resolve("starter:yamnet"))
    assert YamNet(folder / "yamnet.onnx").fingerprint() == encoder.fingerprint()
    assert YamNet(folder, max_seconds=5).fingerprint() != encoder.fingerprint()
    with pytest.raises(ValueError, match=r"max_seconds is 0\.5"):
        YamNet(folder, max_seconds=0.5)
