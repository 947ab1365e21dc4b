"""Every encoder with tiny random weights, for damaged media: their preprocessing is the real one.

Run as `python -m tests.fuzz ENCODER,ENCODER NUM_CASES`, as the loaders; see `tests.fuzz`.
"""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig, BertModel, PreTrainedModel

from omni.encoders import (
    BeatsEncoder,
    Concat,
    EfficientNetLite,
    Encoder,
    EvaClipEncoder,
    FrameEncoder,
    HuggingFaceEncoder,
    ImageBindEncoder,
    MultiViewEncoder,
    OnnxEncoder,
    PointBertEncoder,
    PrecomputedFeatures,
    SensorPictureEncoder,
    TextEncoder,
    YamNet,
)
from omni.media import Media
from omni.media.image import load_image
from tests.golden_numbers import Golden
from tests.omni.encoders import test_beats, test_eva_clip, test_imagebind, test_point_bert
from tests.omni.encoders.tiny_families import FAMILIES
from tests.omni.encoders.tiny_networks import efficientnet_state
from tests.tiny import tiny_tokenizer

Make = Callable[[Path], Encoder]


def checked(encoder: Encoder, encode_every: int = 10) -> Callable[[Media], None]:
    """What to do with a case: preprocess it, and of `encode_every` that can be used, encode one.

    Whatever comes of it is finite, the same a second time, and not more than the encoder promises.
    """
    turns = itertools.count()

    def run(media: Media) -> None:
        prepared = encoder.preprocess(media)
        for name, tensor in prepared.items():
            assert tensor.isfinite().all(), f"{name} is not finite"
        if next(turns) % encode_every:
            return
        again = encoder.preprocess(media)
        assert all(torch.equal(tensor, again[name]) for name, tensor in prepared.items()), "another result"
        values, mask = encoder(prepared)
        assert mask.any(), "no real feature"
        assert values[mask].isfinite().all(), "features are not finite"
        assert mask.numel() <= encoder.max_features, f"{mask.numel()} features of at most {encoder.max_features}"
        assert encoder.features_per_clip(prepared) == mask.shape[1]

    return run


def _imagebind(modality: str) -> Make:
    def make(folder: Path) -> Encoder:
        save_file(Golden("imagebind_tiny_a").weights, folder / "imagebind.safetensors")
        clips = 1 if modality == "video" else None
        vocabulary = test_imagebind.write_vocabulary(folder) if modality == "text" else None
        options = {"num_clips": clips, "vocabulary": vocabulary, "sizes": test_imagebind.SIZES}
        return ImageBindEncoder(folder, modality, **options)  # pyright: ignore[reportArgumentType]

    return make


def _beats(folder: Path) -> Encoder:
    torch.save({"cfg": test_beats.SETTINGS, "model": test_beats.GOLDEN.weights}, folder / "beats.pt")
    return BeatsEncoder(folder)


def _point_bert(output: str) -> Make:
    def make(folder: Path) -> PointBertEncoder:
        save_file(test_point_bert.GOLDEN.weights, folder / "ulip.safetensors")
        return test_point_bert.small_encoder(folder, output)

    return make


def _eva_clip(crop: bool) -> Make:
    def make(folder: Path) -> Encoder:
        save_file(test_eva_clip.GOLDEN.weights, folder / "eva.safetensors")
        return EvaClipEncoder(folder, image_size=28, crop=crop, size=test_eva_clip.SIZE)

    return make


def _efficientnet(folder: Path) -> Encoder:
    save_file(efficientnet_state(), folder / "efficientnet.safetensors")
    return EfficientNetLite(folder, image_size=32)


def _huggingface(family: str) -> Make:
    def make(folder: Path) -> Encoder:
        model, processor = FAMILIES[family]()
        _with_random_weights(model).save_pretrained(folder)
        processor.save_pretrained(folder)
        return HuggingFaceEncoder(str(folder))

    return make


def _with_random_weights(model: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for weight in model.parameters():  # some begin as whatever was in memory
            weight.nan_to_num_(0, 0, 0).clamp_(-1, 1)
    return model


def _text(folder: Path) -> Encoder:
    tokenizer = tiny_tokenizer()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TextEncoder(str(folder), max_tokens=20)


def small_picture(media: Media) -> Mapping[str, Tensor]:
    """A preprocessor of a user's own, on our loader."""
    picture = load_image(media).resize((4, 4), Image.Resampling.BILINEAR)
    return {"x": torch.from_numpy(np.array(picture)).flatten()[None].float() / 255}


def _onnx(folder: Path) -> Encoder:
    weights = numpy_helper.from_array(np.random.default_rng(0).normal(size=(48, 6)).astype(np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["features"])]
    _save_graph(folder / "graph.onnx", nodes, {"x": [48]}, {"features": [6]}, [weights])
    return OnnxEncoder(folder, "image", small_picture)


def _yamnet(folder: Path) -> Encoder:
    """YAMNet's inputs and outputs around a mean."""
    spread = numpy_helper.from_array(np.ones((1, 1024, 3, 2), np.float32), "spread")
    classes = numpy_helper.from_array(np.ones((1, 521, 1, 1), np.float32), "classes")
    nodes = [
        helper.make_node("GlobalAveragePool", ["audio"], ["mean"]),
        helper.make_node("Mul", ["mean", "spread"], ["features"]),
        helper.make_node("Mul", ["mean", "classes"], ["all_scores"]),
        helper.make_node("Flatten", ["all_scores"], ["class_scores"]),
    ]
    outputs = {"features": [1024, 3, 2], "class_scores": [521]}
    _save_graph(folder / "yamnet.onnx", nodes, {"audio": [1, 96, 64]}, outputs, [spread, classes])
    return YamNet(folder)


def _save_graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, list[int]],
    outputs: Mapping[str, list[int]],
    weights: list[onnx.TensorProto],
) -> None:
    given, made = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in values.items()]
        for values in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "test", given, made, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def _sensor_picture(kind: str) -> Make:
    return lambda folder: SensorPictureEncoder(_eva_clip(False)(folder), kind)


def _dense_frames(folder: Path) -> Encoder:
    clips = {"policy": "dense", "num_clips": 4, "stride_seconds": 0.1}
    return FrameEncoder(_eva_clip(crop=False)(folder), clips=clips)


def _views(folder: Path) -> Encoder:
    return MultiViewEncoder(_eva_clip(crop=False)(folder), num_views=2, render_size=32)


def _concat(mix: str) -> Make:
    def make(folder: Path) -> Encoder:
        return Concat([_beats(folder), _yamnet(folder)], mix)  # pyright: ignore[reportArgumentType]

    return make


class Case(NamedTuple):
    """An encoder, the modality of its media, and how it is made in a folder of its own."""

    modality: str
    kind: type[Encoder]
    make: Make


ENCODERS: dict[str, Case] = {
    **{
        f"imagebind-{name}": Case(name, ImageBindEncoder, _imagebind(name))
        for name in ("image", "sound", "video", "depth", "thermal", "imu", "text")
    },
    "beats": Case("sound", BeatsEncoder, _beats),
    "point-bert": Case("point_cloud", PointBertEncoder, _point_bert("embedding")),
    "point-bert-tokens": Case("point_cloud", PointBertEncoder, _point_bert("tokens")),
    "eva-clip": Case("image", EvaClipEncoder, _eva_clip(crop=False)),
    "eva-clip-crop": Case("image", EvaClipEncoder, _eva_clip(crop=True)),
    "efficientnet": Case("image", EfficientNetLite, _efficientnet),
    **{
        f"huggingface-{family.split(',')[0].replace(' ', '-')}": Case(
            modality, HuggingFaceEncoder, _huggingface(family)
        )
        for modality, families in {
            "image": ("clip", "siglip", "dinov2", "vit", "hiera"),
            "video": ("videomae",),
            "sound": ("ast", "clap", "whisper", "wav2vec2, group norm", "hubert"),
        }.items()
        for family in families
    },
    "text": Case("text", TextEncoder, _text),
    "onnx": Case("image", OnnxEncoder, _onnx),
    "yamnet": Case("sound", YamNet, _yamnet),
    "frames": Case("video", FrameEncoder, lambda folder: FrameEncoder(_eva_clip(crop=False)(folder), num_frames=4)),
    "frames-dense": Case("video", FrameEncoder, _dense_frames),
    "views": Case("point_cloud", MultiViewEncoder, _views),
    "sensor-picture-depth": Case("depth", SensorPictureEncoder, _sensor_picture("depth")),
    "sensor-picture-thermal": Case("thermal", SensorPictureEncoder, _sensor_picture("thermal")),
    "precomputed": Case(
        "features", PrecomputedFeatures, lambda _: PrecomputedFeatures("features", dim=7, max_features=5)
    ),
    "concat-channel": Case("sound", Concat, _concat("channel")),
    "concat-interleave": Case("sound", Concat, _concat("interleave")),
}
