"""ImageBind against the reference's golden numbers, its published layout, and its own promises."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from omni.encoders.imagebind import (
    TRUNKS,
    ImageBindEncoder,
    ImageBindNetwork,
    ImageBindSizes,
    TrunkSize,
    load_imagebind,
)
from omni.encoders.imagebind.stems import CLIP_SHAPES
from omni.media.errors import MediaError
from omni.media.item import Media
from tests.golden_numbers import Golden

GOLDEN = Golden("imagebind_tiny_a")
_SETTINGS = GOLDEN.details["constructor"]
SIZES = ImageBindSizes(
    **{
        name: TrunkSize(*(_SETTINGS[f"{name}_{key}"] for key in ("embed_dim", "num_blocks", "num_heads")))
        for name in TRUNKS
    },
    embedding_dim=_SETTINGS["out_embed_dim"],
)
TRUNK_OF = {"image": "vision", "video": "vision"} | {name: name for name in TRUNKS if name != "vision"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imagebind") / "imagebind.safetensors"
    save_file(GOLDEN.weights, path)
    return path


@pytest.fixture(scope="module")
def network(weights: Path) -> ImageBindNetwork:
    return load_imagebind(weights, SIZES, TRUNKS).eval().requires_grad_(False)


def golden_clips(name: str) -> Tensor:
    """[B, S, ...]"""
    clips = GOLDEN.inputs["text"] if name == "text" else GOLDEN.drawn_input(name)
    return clips if name in ("video", "audio") else clips[:, None]


@pytest.mark.parametrize("name", TRUNK_OF)
def test_tokens_heads_and_embeddings_equal_the_reference(name: str, network: ImageBindNetwork, weights: Path) -> None:
    trunk, clips = TRUNK_OF[name], golden_clips(name)
    rows = clips.flatten(0, 1)
    stem = network.stem(trunk, rows)
    chosen = [0, 1, 2, stem.shape[1] // 2, stem.shape[1] - 1]
    GOLDEN.assert_equals(f"{name}.tokens_sel", stem[:, chosen])
    GOLDEN.assert_equals(f"{name}.trunk_sel", network.tokens(trunk, rows)[:, chosen])
    GOLDEN.assert_equals(f"{name}.head", network.head(trunk, rows))
    raw = ImageBindEncoder(weights, name, sizes=SIZES, output="embedding", normalize=False)
    GOLDEN.assert_equals(name, raw({"clips": clips}).values[:, 0])
    unit = ImageBindEncoder(weights, name, sizes=SIZES, output="embedding")({"clips": clips}).values[:, 0]
    expected = GOLDEN.outputs[name] / GOLDEN.outputs[name].norm(dim=1, keepdim=True)
    torch.testing.assert_close(unit, expected, atol=1e-6, rtol=0)


def test_the_published_layout_has_1311_keys_and_1200_78_million_parameters() -> None:
    with torch.device("meta"):
        published = ImageBindNetwork(ImageBindSizes())
    state = published.state_dict()
    assert len(state) == 1311
    assert set(GOLDEN.weights) < set(state)
    assert sum(parameter.numel() for parameter in published.parameters()) / 1e6 == pytest.approx(1200.78, abs=0.005)
    millions = {"vision": 632.83, "text": 354.03, "audio": 86.24, "depth": 21.87, "thermal": 86.21, "imu": 19.60}
    for trunk, expected in millions.items():
        numbers = [value.numel() for key, value in published.named_parameters() if key.split(".")[1] == trunk]
        assert sum(numbers) / 1e6 == pytest.approx(expected, abs=0.006), trunk
    shapes = {
        "modality_preprocessors.vision.rgbt_stem.proj.1.weight": [1280, 3, 2, 14, 14],
        "modality_preprocessors.audio.pos_embedding_helper.pos_embed": [1, 229, 768],
        "modality_preprocessors.depth.depth_stem.proj.weight": [384, 1, 16, 16],
        "modality_preprocessors.imu.pos_embed": [1, 251, 512],
        "modality_trunks.imu.blocks.5.attn.bias_k": [1, 1, 512],
        "modality_heads.imu.3.weight": [1024, 512],
        "modality_heads.text.proj.1.weight": [1024, 1024],
        "modality_postprocessors.text.1.log_logit_scale": [],
    }
    assert {key: list(state[key].shape) for key in shapes} == shapes


def test_a_checkpoint_of_all_1311_keys_loads_at_tiny_widths(tmp_path: Path) -> None:
    """The published number of blocks, so that every key of the published file occurs."""
    published = ImageBindSizes()
    tiny = {name: {"width": 8, "num_blocks": published.trunk(name).num_blocks, "num_heads": 2} for name in TRUNKS} | {
        "embedding_dim": 12
    }
    with torch.device("meta"):
        expected = ImageBindNetwork(ImageBindSizes.parse(tiny)).state_dict()
        assert expected.keys() == ImageBindNetwork(published).state_dict().keys()
    torch.manual_seed(0)
    torch.save({key: 0.3 * torch.randn(value.shape) for key, value in expected.items()}, tmp_path / "all.pth")
    for modality in ("video", "text", "imu"):
        encoder = ImageBindEncoder(tmp_path, modality, sizes=tiny, output="embedding")
        trunk = TRUNK_OF[modality]
        clips = torch.randint(0, 500, (2, 1, 77)) if trunk == "text" else torch.randn(2, 1, *CLIP_SHAPES[trunk])
        values = encoder({"clips": clips}).values
        assert values.shape == (2, 1, 12)
        torch.testing.assert_close(values.norm(dim=-1), torch.ones(2, 1), atol=1e-5, rtol=0)
        kept = {key.split(".")[1] for key in encoder.network.state_dict()}
        assert kept == {trunk}, "only the trunk that is needed stays in memory"


def _without(state: dict[str, Tensor]) -> None:
    del state["modality_trunks.imu.blocks.1.attn.bias_v"]


def _with_more(state: dict[str, Tensor]) -> None:
    state["modality_trunks.tactile.blocks.0.norm_1.weight"] = torch.zeros(1)


def _misshaped(state: dict[str, Tensor]) -> None:
    state["modality_heads.depth.2.weight"] = torch.zeros(40, 31)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without, r"missing: modality_trunks\.imu\.blocks\.1\.attn\.bias_v"),
        (_with_more, r"unexpected: modality_trunks\.tactile\.blocks\.0\.norm_1\.weight"),
        (_misshaped, r"wrong shape: modality_heads\.depth\.2\.weight is \[40, 31\] instead of \[40, 32\]"),
    ],
)
def test_every_trunks_keys_are_checked_whichever_is_used(
    change: Callable[[dict[str, Tensor]], None], message: str, tmp_path: Path
) -> None:
    state = dict(GOLDEN.weights)
    change(state)
    save_file(state, tmp_path / "changed.safetensors")
    with pytest.raises(ValueError, match=message):
        ImageBindEncoder(tmp_path, "thermal", sizes=SIZES)


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"broken\.pth is damaged or no file of weights"):
        ImageBindEncoder(tmp_path, "imu", sizes=SIZES)


def test_batched_equals_single_and_text_does_not_depend_on_its_neighbours(weights: Path) -> None:
    for name in ("text", "audio", "imu"):
        encoder = ImageBindEncoder(weights, name, sizes=SIZES, output="embedding", normalize=False)
        clips = golden_clips(name)
        alone = torch.cat([encoder({"clips": one}).values for one in clips.split(1)])
        together = encoder({"clips": clips}).values
        torch.testing.assert_close(together, alone, atol=1e-5 * float(alone.abs().max()), rtol=0)


def test_many_clips_in_chunks_equal_few(weights: Path) -> None:
    encoder = ImageBindEncoder(weights, "imu", sizes=SIZES)
    clips = torch.randn(70, 6, 2000, generator=torch.Generator().manual_seed(0))
    values = encoder({"clips": clips}).values
    torch.testing.assert_close(values[60:], encoder({"clips": clips[60:]}).values, atol=1e-4, rtol=0)


def test_bfloat16_stays_close_to_float32(weights: Path) -> None:
    for name in ("image", "audio", "text"):
        half = ImageBindEncoder(weights, name, sizes=SIZES, output="embedding", dtype="bfloat16")
        assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
        values = half({"clips": golden_clips(name)}).values[:, 0]
        expected = GOLDEN.outputs[name]
        assert values.dtype == torch.float32
        assert torch.cosine_similarity(values, expected, dim=1).min() > 0.995, name


def test_clips_of_another_shape_and_unknown_settings_are_errors_that_say_what_is_allowed(
    weights: Path, network: ImageBindNetwork
) -> None:
    with pytest.raises(ValueError, match=r"imu takes clips \[B, 6, 2000\], got \[1, 6, 1999\]"):
        network.head("imu", torch.zeros(1, 6, 1999))
    with pytest.raises(ValueError, match="modality is 'smell'; allowed: image, video, sound"):
        ImageBindEncoder(weights, "smell", sizes=SIZES)
    with pytest.raises(ValueError, match="output is 'pooled'; allowed: tokens, embedding"):
        ImageBindEncoder(weights, "image", output="pooled", sizes=SIZES)
    with pytest.raises(ValueError, match=r"sizes.touch: unknown key; there are .*text.*vision"):
        ImageBindEncoder(weights, "image", sizes={"touch": {}})
    with pytest.raises(ValueError, match="text trunk needs vocabulary"):
        ImageBindEncoder(weights, "text", sizes=SIZES).preprocess(Media("text", data=b"a dog"))
    assert ImageBindEncoder(weights, "smell", kind="imu", sizes=SIZES).modality == "smell"


def write_vocabulary(folder: Path) -> Path:
    """A file in CLIP's format whose merges make the words `a` and `dog`; the rest is filler."""
    others = [character for character in map(chr, range(ord("!"), 324)) if character not in "adog\x7f\xad"]
    others = [character for character in others if not 0x7F <= ord(character) <= 0xA0]
    filler = [f"{first} {second}" for first in others for second in others]
    merges = ["d o", "do g</w>", *filler[: 48894 - 2]]
    path = folder / "bpe_simple_vocab_16e6.txt.gz"
    path.write_bytes(gzip.compress("\n".join(["#version: 0.2", *merges, "never read"]).encode()))
    return path


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vocabulary(tmp_path_factory.mktemp("vocabulary"))


def test_text_becomes_ids_between_begin_and_end(weights: Path, vocabulary: Path, tmp_path: Path) -> None:
    encoder = ImageBindEncoder(weights, "text", vocabulary=vocabulary, sizes=SIZES)
    # Bytes come first: printable ones in order from "!", then all of them as ends of words, then the merges.
    letter_a, dog = 256 + ord("a") - ord("!"), 513
    inputs = encoder.preprocess(Media("text", data=b"A  Dog"))
    assert inputs["clips"][0, :5].tolist() == [49406, letter_a, dog, 49407, 0]
    assert inputs["mask"][0].tolist() == [True] * 4 + [False] * 73
    assert encoder(inputs).values.shape == (1, 77, 16)
    long = encoder.tokenizer(["dog " * 200])[0]
    assert long.tolist() == [49406, *[dog] * 75, 49407]
    (tmp_path / "caption.txt").write_text("a dog", encoding="utf-8")
    assert torch.equal(encoder.preprocess(Media("text", path=str(tmp_path / "caption.txt")))["clips"], inputs["clips"])
    joint = ImageBindEncoder(weights, "text", output="embedding", vocabulary=vocabulary, sizes=SIZES)
    expected = joint(joint.preprocess(Media("text", data=b"a dog"))).values[:, 0]
    torch.testing.assert_close(joint.embed_texts(["a dog", "dog"])[:1], expected, atol=1e-5, rtol=0)
    with pytest.raises(MediaError, match="is not UTF-8 text"):
        encoder.preprocess(Media("text", data=b"\xff\xfe"))


def test_a_file_that_is_not_clips_vocabulary_is_named(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("one\ntwo words\n")
    encoder = ImageBindEncoder(weights, "text", vocabulary=tmp_path, sizes=SIZES)
    with pytest.raises(ValueError, match=r"words\.txt holds 1 merges instead of 48894; it is not CLIP's vocabulary"):
        encoder.preprocess(Media("text", data=b"a dog"))


def test_fingerprints_tell_settings_and_trunks_apart(weights: Path) -> None:
    made = [
        ImageBindEncoder(weights, "image", sizes=SIZES),
        ImageBindEncoder(weights, "video", sizes=SIZES),
        ImageBindEncoder(weights, "image", output="embedding", sizes=SIZES),
        ImageBindEncoder(weights, "image", output="embedding", normalize=False, sizes=SIZES),
        ImageBindEncoder(weights, "depth", sizes=SIZES),
        ImageBindEncoder(weights, "sound", num_clips=2, sizes=SIZES),
        ImageBindEncoder(weights, "sound", sizes=SIZES),
    ]
    assert len({encoder.fingerprint() for encoder in made}) == len(made)
    assert made[0].licence == "CC-BY-NC-SA-4.0"
    assert not any(parameter.requires_grad for encoder in made for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("name", "media", "num_clips"),
    [
        ("image", Media("image", data=np.zeros((30, 50, 3), np.uint8)), 1),
        ("video", Media("video", data=np.zeros((7, 20, 30, 3), np.uint8)), 3),
        ("sound", Media("sound", data=np.zeros(80000, np.float32), sampling_rate=16000), 3),
        ("depth", Media("depth", data=np.ones((300, 240), np.float32)), 1),
        ("thermal", Media("thermal", data=np.ones((300, 240), np.uint8)), 1),
        ("imu", Media("imu", data=np.ones((6, 2000), np.float32)), 1),
    ],
)
def test_media_become_tokens_or_one_embedding(name: str, media: Media, num_clips: int, weights: Path) -> None:
    encoder = ImageBindEncoder(weights, name, sizes=SIZES)
    features = encoder(encoder.preprocess(media))
    assert len(features.values) == num_clips
    assert features.values.isfinite().all()
    assert features.values.shape[0] * features.values.shape[1] <= encoder.max_features
    assert encoder.features_per_clip(encoder.preprocess(media)) == features.values.shape[1]
    joint = ImageBindEncoder(weights, name, sizes=SIZES, output="embedding")
    embedding = joint(joint.preprocess(media)).values
    assert embedding.shape == (1, joint.max_features, joint.dim) == (1, 1, 40)
    assert joint.features_per_clip(joint.preprocess(media)) == 1
    trunk = encoder.network.head(encoder.trunk, encoder.preprocess(media)["clips"])
    expected = torch.nn.functional.normalize(torch.nn.functional.normalize(trunk, dim=1).mean(0), dim=0)
    torch.testing.assert_close(embedding[0, 0], expected, atol=1e-5, rtol=0)
