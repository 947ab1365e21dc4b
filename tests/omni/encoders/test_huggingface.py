"""Every family with a tiny random model, saved and loaded as a user's local folder would be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from transformers import PreTrainedModel

from omni.encoders.base import Encoder
from omni.encoders.huggingface import HuggingFaceEncoder
from omni.media.item import Media

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
VISION = SMALL | {"image_size": 32, "patch_size": 8}
TEXT = SMALL | {"num_hidden_layers": 1, "vocab_size": 50}
SQUARE = {"height": 32, "width": 32}
CONVOLUTIONS = {
    "conv_dim": [16, 16],
    "conv_kernel": [10, 8],
    "conv_stride": [5, 4],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 20,
}
AST = SMALL | {"max_length": 64, "num_mel_bins": 32}
WHISPER = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_mel_bins": 80,
    "vocab_size": 60,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
CLAP_AUDIO = {
    "patch_embeds_hidden_size": 8,
    "hidden_size": 32,
    "depths": [1, 1],
    "num_attention_heads": [1, 2],
    "window_size": 4,
    "spec_size": 64,
    "num_mel_bins": 16,
    "patch_size": 4,
    "patch_stride": [4, 4],
}
HIERA = {
    "embed_dim": 8,
    "image_size": [32, 32],
    "depths": [1, 1, 1],
    "num_heads": [1, 2, 4],
    "query_stride": [2, 2],
    "masked_unit_size": [4, 4],
    "num_query_pool": 2,
}


def _wav2vec2(family: str, norm: str) -> tuple[PreTrainedModel, Any]:
    config, model = getattr(hf, f"{family}Config"), getattr(hf, f"{family}Model")
    stable = norm == "layer"
    built = model(config(**SMALL, **CONVOLUTIONS, feat_extract_norm=norm, do_stable_layer_norm=stable))
    return built, hf.Wav2Vec2FeatureExtractor(return_attention_mask=stable)


def _clap() -> tuple[PreTrainedModel, Any]:
    model = hf.ClapModel(hf.ClapConfig(text_config=TEXT, audio_config=CLAP_AUDIO))
    sizes = {"feature_size": 16, "sampling_rate": 16000, "hop_length": 256, "max_length_s": 1, "fft_window_size": 512}
    return model, hf.ClapFeatureExtractor(**sizes, truncation="rand_trunc", frequency_max=8000)


FAMILIES: dict[str, Callable[[], tuple[PreTrainedModel, Any]]] = {
    "clip": lambda: (
        hf.CLIPModel(hf.CLIPConfig(text_config=TEXT, vision_config=VISION)),
        hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "clip vision": lambda: (
        hf.CLIPVisionModel(hf.CLIPVisionConfig(**VISION)),
        hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "siglip": lambda: (
        hf.SiglipModel(hf.SiglipConfig(text_config=TEXT, vision_config=VISION)),
        hf.SiglipImageProcessorPil(size=SQUARE),
    ),
    "dinov2": lambda: (
        hf.Dinov2Model(hf.Dinov2Config(**VISION)),
        hf.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "dinov2 with registers": lambda: (
        hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**VISION)),
        hf.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "vit": lambda: (hf.ViTModel(hf.ViTConfig(**VISION)), hf.ViTImageProcessorPil(size=SQUARE)),
    "hiera": lambda: (
        hf.HieraModel(hf.HieraConfig(**HIERA)),
        hf.BitImageProcessorPil(size=SQUARE, do_center_crop=False),
    ),
    "videomae": lambda: (
        hf.VideoMAEModel(hf.VideoMAEConfig(**VISION, num_frames=4, tubelet_size=2)),
        hf.VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    ),
    "ast": lambda: (
        hf.ASTModel(hf.ASTConfig(**AST)),
        hf.ASTFeatureExtractor(num_mel_bins=32, max_length=64),
    ),
    "clap": _clap,
    "whisper": lambda: (hf.WhisperModel(hf.WhisperConfig(**WHISPER)), hf.WhisperFeatureExtractor()),
    "wav2vec2, group norm": lambda: _wav2vec2("Wav2Vec2", "group"),
    "wav2vec2, layer norm": lambda: _wav2vec2("Wav2Vec2", "layer"),
    "hubert": lambda: _wav2vec2("Hubert", "layer"),
}
PICTURES = ("clip", "clip vision", "siglip", "dinov2", "dinov2 with registers", "vit", "hiera")
SOUNDS = ("ast", "clap", "whisper", "wav2vec2, group norm", "wav2vec2, layer norm", "hubert")


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folders: dict[str, Path] = {}

    def save(family: str) -> Path:
        if family not in folders:
            torch.manual_seed(0)
            model, processor = FAMILIES[family]()
            folders[family] = tmp_path_factory.mktemp("model")
            model.save_pretrained(folders[family])
            processor.save_pretrained(folders[family])
        return folders[family]

    return save


def picture(seed: int) -> Media:
    values = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    return Media("image", data=values)


def sound(seconds: float, seed: int = 0, rate: int = 16000) -> Media:
    samples = np.random.default_rng(seed).normal(0, 0.1, max(1, round(seconds * rate))).astype(np.float32)
    return Media("sound", data=samples, sampling_rate=rate)


def items_for(family: str) -> list[Media]:
    if family in PICTURES:
        return [picture(seed) for seed in range(3)]
    if family == "videomae":
        frames = np.random.default_rng(0).integers(0, 256, (3, 6, 40, 48, 3), dtype=np.uint8)
        return [Media("video", data=frame) for frame in frames]
    return [sound(0.4, seed) for seed in range(3)]


def join(encoder: Encoder, items: list[Media]) -> dict[str, torch.Tensor]:
    inputs = [encoder.preprocess(item) for item in items]
    return {name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}


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
    tower = {"clip": "vision_model", "siglip": "vision_model", "clap": "audio_model", "whisper": "encoder"}.get(
        family, ""
    )
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
    [("clip", 1), ("siglip", 0), ("dinov2", 1), ("dinov2 with registers", 5), ("vit", 1), ("hiera", 0), ("ast", 2)],
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
