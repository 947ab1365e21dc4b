"""Every family with a tiny random model, saved and loaded as a user's local folder would be."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf

from omni.encoders.huggingface import HuggingFaceEncoder
from omni.media.item import Media
from tests.omni.encoders.tiny_families import FAMILIES, SOUNDS, VISION, items_for, join, picture, sound


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_equals_single(family: str, folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of(family)))
    items = items_for(family)
    together = encoder(join(encoder, items))
    assert together.values.shape[2] == encoder.dim
    assert together.values.shape[1] <= encoder.max_features
    assert together.values.shape[1] == max(encoder.features_per_clip(encoder.preprocess(item)) for item in items)
    assert not torch.allclose(together.values[0], together.values[1])
    for index, item in enumerate(items):
        alone = encoder(encoder.preprocess(item))
        assert torch.equal(alone.mask[0], together.mask[index])
        torch.testing.assert_close(alone.values[0], together.values[index], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_of_the_model_itself(family: str, folder_of: Callable[[str], Path]) -> None:
    folder = folder_of(family)
    encoder = HuggingFaceEncoder(str(folder))
    inputs = encoder.preprocess(items_for(family)[0])
    model = hf.AutoModel.from_pretrained(folder).eval()
    towers = {"clip": "vision_model", "clap": "audio_model", "whisper": "encoder", "clap with fusion": "audio_model"}
    towers |= {"siglip": "vision_model", "siglip 2 of any size": "vision_model"}
    tower = towers.get(family, "")
    with torch.no_grad():
        expected = model.get_submodule(tower)(**{k: v for k, v in inputs.items() if k != "mask"}).last_hidden_state
    expected = expected if expected.ndim == 3 else expected.flatten(2).transpose(1, 2)
    values = encoder(inputs).values
    torch.testing.assert_close(values, expected[:, : values.shape[1]])


@pytest.mark.parametrize("family", ["clip", "siglip", "dinov2", "whisper", "hubert", "ast", "videomae"])
def test_chosen_layers_are_joined_by_width(family: str, folder_of: Callable[[str], Path]) -> None:
    folder = str(folder_of(family))
    inputs = HuggingFaceEncoder(folder).preprocess(items_for(family)[0])
    parts = [HuggingFaceEncoder(folder, layers=layer)(inputs).values for layer in (1, -2, -1)]
    joined = HuggingFaceEncoder(folder, layers=[1, -2, -1])
    assert joined.dim == 3 * 32
    torch.testing.assert_close(joined(inputs).values, torch.cat(parts, dim=-1))
    assert not torch.allclose(parts[0], parts[2])


def test_layers_that_do_not_exist_or_fit_are_errors(folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(ValueError, match=r"layers \[7\] do not exist.*0 \(embeddings\) to 3"):
        HuggingFaceEncoder(str(folder_of("vit")), layers=7)
    with pytest.raises(ValueError, match="cannot be joined"):
        HuggingFaceEncoder(str(folder_of("hiera")), layers=[0, -1])


@pytest.mark.parametrize(
    ("family", "num_dropped"),
    [
        ("clip", 1),
        ("siglip", 0),
        ("dinov2", 1),
        ("dinov2 with registers", 5),
        ("dinov3", 5),
        ("vit", 1),
        ("hiera", 0),
        ("ast", 2),
        ("videomae", 0),
        ("timesformer", 1),
    ],
)
def test_class_token_and_registers_are_dropped_on_request(
    family: str, num_dropped: int, folder_of: Callable[[str], Path]
) -> None:
    folder = str(folder_of(family))
    kept = HuggingFaceEncoder(folder, trim_padding=False)
    dropped = HuggingFaceEncoder(folder, trim_padding=False, keep_class_token=False)
    inputs = kept.preprocess(items_for(family)[0])
    torch.testing.assert_close(dropped(inputs).values, kept(inputs).values[:, num_dropped:])
    num_clips = kept.max_features // kept(inputs).values.shape[1]
    assert kept.max_features - dropped.max_features == num_dropped * num_clips


def test_whisper_mask_ends_with_the_sound(folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of("whisper")))
    short, long = sound(0.5), sound(2.0)
    assert encoder(encoder.preprocess(short)).values.shape == (1, 25, 32)  # 20 ms each
    features = encoder(join(encoder, [short, long]))
    assert features.mask.sum(dim=1).tolist() == [25, 100]
    whole = HuggingFaceEncoder(str(folder_of("whisper")), trim_padding=False)
    untrimmed = whole(join(whole, [short, long]))
    assert untrimmed.values.shape == (2, 1500, 32)
    torch.testing.assert_close(untrimmed.values[:, :100], features.values, atol=1e-5, rtol=0)


def test_long_sounds_become_clips_and_longer_ones_evenly_spread_clips(folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of("whisper")), max_seconds=90)
    assert encoder.max_features == 3 * 1500
    inputs = encoder.preprocess(sound(65))
    assert len(inputs["input_features"]) == 3
    assert inputs["mask"].sum(dim=1).tolist() == [1500, 1500, 250]
    assert len(encoder.preprocess(sound(200))["input_features"]) == 3


def test_waveform_clips_cover_each_moment_once_without_padding(folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of("hubert")), max_seconds=40)
    inputs = encoder.preprocess(sound(25.0))
    assert inputs["input_values"].shape == (3, 160000)
    positions_per_second = 16000 / 20
    real = inputs["mask"].sum(dim=1) / positions_per_second
    assert real.tolist() == pytest.approx([10, 10, 5], abs=0.01)
    assert not inputs["mask"][2, : int(4.9 * positions_per_second)].any()


@pytest.mark.parametrize("family", SOUNDS)
@pytest.mark.parametrize("seconds", [1 / 16000, 0.001, 0.03])
def test_clicks_give_at_least_one_real_feature(family: str, seconds: float, folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of(family)))
    features = encoder(encoder.preprocess(sound(seconds)))
    assert features.mask.any()
    assert torch.isfinite(features.values[features.mask]).all()


def test_ast_mask_marks_the_times_that_hold_sound(folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of("ast")), keep_class_token=False, trim_padding=False)
    mask = encoder(encoder.preprocess(sound(0.25))).mask.reshape(2, 5)  # bands x times; a step of time is 0.1 s
    assert mask.tolist() == [[True, True, True, False, False]] * 2


def test_dtype_is_that_of_the_features(folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of("vit")), dtype="bfloat16")
    assert encoder(encoder.preprocess(picture(0))).values.dtype == torch.bfloat16
    with pytest.raises(ValueError, match=r"'int4'.*float32, float16, bfloat16"):
        HuggingFaceEncoder(str(folder_of("vit")), dtype="int4")


def test_fingerprint_tells_settings_and_weights_apart_but_not_folders(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = folder_of("vit")
    first = HuggingFaceEncoder(str(folder))
    model, processor = hf.ViTModel.from_pretrained(folder), hf.ViTImageProcessorPil.from_pretrained(folder)
    model.save_pretrained(tmp_path / "same")
    processor.save_pretrained(tmp_path / "same")
    processor.image_mean = [0.4, 0.4, 0.4]
    model.save_pretrained(tmp_path / "other pixels")
    processor.save_pretrained(tmp_path / "other pixels")
    assert HuggingFaceEncoder(str(tmp_path / "same")).fingerprint() == first.fingerprint()
    others = [
        HuggingFaceEncoder(str(tmp_path / "other pixels")),
        HuggingFaceEncoder(str(folder), layers=-2),
        HuggingFaceEncoder(str(folder), keep_class_token=False),
    ]
    with torch.no_grad():
        others.append(HuggingFaceEncoder(str(folder)))
        next(others[-1].parameters())[0] += 1
    assert len({encoder.fingerprint() for encoder in [first, *others]}) == 5


def test_a_checkpoint_without_the_towers_weights_is_an_error(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    model, processor = FAMILIES["vit"]()
    state = {
        key: value for key, value in model.state_dict().items() if "layer.1." not in key and "layers.1." not in key
    }
    model.save_pretrained(tmp_path, state_dict=state)
    processor.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="lacks the weights"):
        HuggingFaceEncoder(str(tmp_path))


def test_the_mask_of_siglip_2_leaves_out_what_fills_up_its_patches(folder_of: Callable[[str], Path]) -> None:
    encoder = HuggingFaceEncoder(str(folder_of("siglip 2 of any size")), trim_padding=False)
    strip = Media("image", data=np.zeros((8, 80, 3), dtype=np.uint8))
    mask = encoder(encoder.preprocess(strip)).mask
    assert mask.shape == (1, 16)
    assert 1 < mask.sum() < 16


def test_heads_that_are_not_needed_are_not_talked_about(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    _, processor = FAMILIES["vit"]()
    hf.ViTForImageClassification(hf.ViTConfig(**VISION)).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    capfd.readouterr()
    HuggingFaceEncoder(str(tmp_path))
    assert "UNEXPECTED" not in capfd.readouterr().err + caplog.text


def test_an_encoder_that_hides_patches_by_chance_is_refused(tmp_path: Path) -> None:
    config = hf.ViTMAEConfig(**VISION, decoder_num_hidden_layers=1, decoder_num_attention_heads=2)
    hf.ViTMAEModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"masked autoencoder.*ViTModel"):
        HuggingFaceEncoder(str(tmp_path))


def test_a_language_model_is_refused(tiny_llm: Path) -> None:
    with pytest.raises(ValueError, match="input_ids"):
        HuggingFaceEncoder(str(tiny_llm))


@pytest.mark.starter
def test_whisper_tiny_batched_equals_single_and_tells_prompts_apart() -> None:
    from omni.starter import resolve

    encoder = HuggingFaceEncoder("starter:whisper-tiny.en", licence="MIT")
    assert (encoder.modality, encoder.dim, encoder.max_features) == ("speech", 384, 1500)
    folder = Path(resolve("starter:asterisk")) / "media"
    clips = [Media("speech", path=str(folder / f"{name}.wav")) for name in ("agent-loggedoff", "activated", "goodbye")]
    together = encoder(join(encoder, clips))
    means = []
    for index, clip in enumerate(clips):
        alone = encoder(encoder.preprocess(clip))
        length = int(alone.mask.sum())
        torch.testing.assert_close(alone.values[0], together.values[index, :length], atol=1e-4, rtol=0)
        means.append(alone.values[0].mean(dim=0))
    assert torch.cosine_similarity(means[0], means[1], dim=0) < 0.999


def test_a_published_dinov3_is_given_pictures_without_torchvision(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folder_of("dinov3"), tmp_path / "dinov3")
    settings = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 32, "width": 32}}
    statistics = {"image_mean": [0.4] * 3, "image_std": [0.2] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | statistics))
    item = picture(0)
    pixels = HuggingFaceEncoder(str(folder)).preprocess(item)["pixel_values"]
    values = torch.from_numpy(np.asarray(item.data)).permute(2, 0, 1)[None] / 255
    resized = torch.nn.functional.interpolate(values, (32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(pixels, (resized - 0.4) / 0.2, atol=1.01 / 255 / 0.2, rtol=0)


def test_pictures_that_only_torchvision_prepares_are_an_error_in_words(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folder_of("vit"), tmp_path / "other")
    for kind in ("DINOv3ViTImageProcessor", "DINOv3ViTImageProcessorFast"):
        (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": kind}))
        with pytest.raises(ValueError, match=r"other.* torchvision"):
            HuggingFaceEncoder(str(folder))
