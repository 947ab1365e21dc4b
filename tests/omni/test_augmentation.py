"""Augmentations, and what of them training, evaluation and the feature cache see."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from omni.augmentation import AugmentationDraw, RandomGainAndShift, RandomResizedCrop, RandomVersions
from omni.config import from_dict
from omni.config.components import ComponentConfig
from omni.feature_cache import FeatureCache
from omni.feature_cache.retention import list_shards
from omni.media.image import load_image
from omni.media.item import Media
from omni.media.sound import load_sound
from omni.model import OmniModel, build_model
from omni.model.batch import Example
from omni.samples.messages import Message, Text
from tests.tiny import recording, tiny_config
from tests.train.runs import row, write_manifest, write_recipe
from train.feature_cache.release import attach_feature_cache
from train.recipe import load_recipe
from train.run.loop import Trainer


class Noise:
    """Adds noise to a sensor recording."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def __call__(self, media: Media, generator: np.random.Generator) -> Media:
        values = np.load(media.path) if isinstance(media.path, str) else np.asarray(media.data)
        return Media(
            media.modality, data=(values + self.scale * generator.normal(size=values.shape)).astype(np.float32)
        )


NOISE = ComponentConfig(f"{__name__}.Noise")
RECORDING = recording(1)
MESSAGES = [
    Message("user", (Media("image", data=RECORDING), Text("what is this?"))),
    Message("assistant", (Text("a frog"),)),
]


def noisy_model(llm: Path) -> OmniModel:
    config = tiny_config(llm)
    config.modalities["image"] = replace(config.modalities["image"], augmentation=NOISE)
    torch.manual_seed(0)
    return build_model(config)


def prepare(model: OmniModel, draw: AugmentationDraw | None) -> Example:
    with model.augmented(draw):
        return model.prepare(MESSAGES, answer=True)


def picture() -> Image.Image:
    across, down = np.meshgrid(np.arange(60), np.arange(40))
    return Image.fromarray(np.stack([across * 4, down * 6, 0 * down], axis=2).astype(np.uint8))


def test_a_crop_is_a_part_of_the_picture_at_its_size_and_depends_on_the_generator_alone() -> None:
    crop = RandomResizedCrop(scale=(0.3, 0.5), flip=0.5)
    found = [load_image(crop(Media("image", data=picture()), np.random.default_rng(seed))) for seed in range(40)]
    again = load_image(crop(Media("image", data=picture()), np.random.default_rng(7)))
    assert np.array_equal(np.asarray(again), np.asarray(found[7]))
    num_mirrored = 0
    for one in found:
        values = np.asarray(one).astype(float)
        assert one.size == (60, 40)
        width = abs(values[20, -1, 0] - values[20, 0, 0]) / 4 / 60  # red counts columns, green rows
        height = abs(values[-1, 30, 1] - values[0, 30, 1]) / 6 / 40
        assert 0.25 < width * height < 0.55
        num_mirrored += values[20, -1, 0] < values[20, 0, 0]
    assert 8 < num_mirrored < 32
    assert len({one.tobytes() for one in found}) == 40


def test_a_crop_of_everything_without_mirror_changes_nothing() -> None:
    crop = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
    found = load_image(crop(Media("image", data=picture()), np.random.default_rng(0)))
    assert np.array_equal(np.asarray(found), np.asarray(picture()))


def test_gain_and_shift_move_and_scale_a_sound() -> None:
    samples = np.zeros(8000, dtype=np.float32)
    samples[4000] = 0.25
    places, levels = [], []
    for seed in range(40):
        media = RandomGainAndShift(gain_db=6.0, shift=0.25)(
            Media("sound", data=samples, sampling_rate=8000), np.random.default_rng(seed)
        )
        sound = load_sound(media, None)
        assert (len(sound.samples), sound.sampling_rate) == (8000, 8000)
        assert np.count_nonzero(sound.samples) == 1
        places.append(int(sound.samples.argmax()))
        levels.append(float(sound.samples.max()))
    assert min(places) >= 2000 and max(places) <= 6000 and max(places) - min(places) > 2000  # noqa: PT018
    assert min(levels) >= 0.25 / 2 and max(levels) <= 0.25 * 2 and max(levels) > 1.5 * min(levels)  # noqa: PT018


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomResizedCrop(scale=(0.0, 1.0)), "scale"),
        (lambda: RandomResizedCrop(ratio=(2.0, 1.0)), "ratio"),
        (lambda: RandomResizedCrop(flip=1.5), "flip"),
        (lambda: RandomGainAndShift(gain_db=-1), "gain_db"),
        (lambda: RandomGainAndShift(shift=float("nan")), "shift"),
    ],
)
def test_settings_out_of_range_are_errors_that_name_them(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_sample_has_a_new_version_in_every_epoch_the_same_each_time_and_none_without(tiny_llm: Path) -> None:
    model = noisy_model(tiny_llm)

    def values(draw: AugmentationDraw | None) -> torch.Tensor:
        (item,) = prepare(model, draw).media
        assert item.inputs is not None
        return item.inputs["values"]

    plain = values(None)
    assert torch.equal(plain.reshape(-1, 3)[:6], torch.from_numpy(RECORDING))
    versions = [values(AugmentationDraw(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tensor.numpy().tobytes() for tensor in [plain, *versions]}) == 5
    assert torch.equal(values(AugmentationDraw(1, 1)), versions[3])


def test_a_cache_holds_the_asked_number_of_views_and_the_plain_item_apart(tiny_llm: Path, tmp_path: Path) -> None:
    model = noisy_model(tiny_llm)
    model.feature_cache = FeatureCache(tmp_path)
    found = []
    for epoch in range(6):
        example = prepare(model, AugmentationDraw(0, epoch, num_views=3))
        assert (example.media[0].features is None) == (epoch < 3)
        (encoded,) = model.encode_media([example])
        assert encoded.media[0].features is not None
        found.append(encoded.media[0].features.values)
    assert all(torch.equal(found[epoch], found[epoch + 3]) for epoch in range(3))
    assert len({values.numpy().tobytes() for values in found}) == 3
    assert prepare(model, None).media[0].features is None
    assert sum(shard.num_entries() for shard in list_shards(tmp_path)) == 3
    other = AugmentationDraw(1, 0, num_views=3)
    assert prepare(model, other).media[0].features is None


def test_other_settings_of_an_augmentation_are_other_entries() -> None:
    draw = AugmentationDraw(0, 0)
    keys = {
        RandomVersions(
            from_dict(ComponentConfig, {"class_path": NOISE.class_path, "init_args": {"scale": s}})
        ).view_key(draw, "ab")
        for s in (1.0, 2.0)
    }
    assert len(keys) == 2


def test_training_augments_and_says_once_that_the_cache_freezes_it(
    tiny_llm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_manifest(tmp_path / "data", [row(str(i), [f"image:{i}.npy"], "a frog") for i in range(4)])
    path = write_recipe(tmp_path / "a", tiny_llm, data, epochs=2, steps=None, num_workers=0, feature_cache_views=2)
    augment = ["--model.modalities.image.augmentation.class_path", NOISE.class_path]
    cache = ["--train.feature_cache", str(tmp_path / "cache")]
    Trainer(load_recipe(path, [*augment, *cache])).run()
    assert sum(shard.num_entries() for shard in list_shards(tmp_path / "cache")) == 8
    (message,) = [record.getMessage() for record in caplog.records if "freezes" in record.getMessage()]
    assert "image" in message
    assert "2 random versions" in message
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        attach_feature_cache(noisy_model(tiny_llm), load_recipe(path, cache).train, warn=False)
    assert not caplog.records
