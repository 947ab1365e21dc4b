import logging
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from omni.config.components import build
from omni.encoders.onnx_encoder import OnnxEncoder
from omni.media.item import Media

WIDTH = 6


class ArrayPreprocessor:
    """Arrays [C, 4] as clips, times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def __call__(self, media: Media) -> dict[str, Tensor]:
        assert isinstance(media.data, np.ndarray)
        return {"x": torch.from_numpy(media.data).float() * self.factor}


def save_graph(path: Path, batch: int | str, across_clips: bool = False, seed: int = 0) -> np.ndarray:
    """x [batch, 4] -> features [batch, 2, WIDTH] = reshape(x @ w) through a constant shape, as exporters write it.

    With `across_clips` the mean over the batch is subtracted, so a wider batch computes something else.
    """
    weights = np.random.default_rng(seed).normal(size=(4, 2 * WIDTH)).astype(np.float32)
    shape = np.array([batch if isinstance(batch, int) else 0, 2, WIDTH], dtype=np.int64)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["product"])]
    product = "product"
    if across_clips:
        nodes += [
            helper.make_node("ReduceSum", ["product", "axes"], ["total"], keepdims=1),
            helper.make_node("Add", ["product", "total"], ["shifted"]),
        ]
        product = "shifted"
    nodes.append(helper.make_node("Reshape", [product, "shape"], ["features"]))
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, 2, WIDTH])],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(shape, "shape"),
            numpy_helper.from_array(np.array([0], dtype=np.int64), "axes"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return weights


def clips(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 4)).astype(np.float32)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_features_are_those_of_the_graph_for_any_number_of_clips(tmp_path: Path, batch: int | str) -> None:
    weights = save_graph(tmp_path / "model.onnx", batch)
    encoder = OnnxEncoder(tmp_path, "sensor", ArrayPreprocessor())
    assert (encoder.dim, encoder.max_features) == (WIDTH, 2)
    assert encoder.features_per_clip({}) == 2
    features = encoder(encoder.preprocess(Media("sensor", data=clips(5))))
    expected = torch.from_numpy((clips(5) @ weights).reshape(5, 2, WIDTH))
    torch.testing.assert_close(features.values, expected)
    assert features.mask.shape == (5, 2)
    assert features.mask.all()


def test_a_graph_that_cannot_be_widened_runs_clip_by_clip_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = save_graph(tmp_path / "model.onnx", 1, across_clips=True)
    with caplog.at_level(logging.WARNING):
        encoder = OnnxEncoder(tmp_path / "model.onnx", "sensor", ArrayPreprocessor())
    assert "clips run one by one" in caplog.text
    values = encoder({"x": torch.from_numpy(clips(3))}).values
    torch.testing.assert_close(values, torch.from_numpy(2 * (clips(3) @ weights).reshape(3, 2, WIDTH)))


def test_channels_first_features_become_rows(tmp_path: Path) -> None:
    save_graph(tmp_path / "model.onnx", "batch")
    last = OnnxEncoder(tmp_path, "sensor", ArrayPreprocessor())
    first = OnnxEncoder(tmp_path, "sensor", ArrayPreprocessor(), layout="channels_first")
    assert (first.dim, first.max_features) == (2, WIDTH)
    inputs = {"x": torch.from_numpy(clips(3))}
    assert torch.equal(first(inputs).values, last(inputs).values.transpose(1, 2))


def test_an_encoder_works_after_pickling_as_in_a_data_loaders_worker(tmp_path: Path) -> None:
    save_graph(tmp_path / "model.onnx", 1)
    encoder = OnnxEncoder(tmp_path, "sensor", ArrayPreprocessor(2.0))
    media = Media("sensor", data=clips(2))
    before = encoder(encoder.preprocess(media)).values
    again = pickle.loads(pickle.dumps(encoder))
    assert torch.equal(again(again.preprocess(media)).values, before)
    assert again.fingerprint() == encoder.fingerprint()


def test_a_mask_from_preprocessing_becomes_that_of_the_features(tmp_path: Path) -> None:
    save_graph(tmp_path / "model.onnx", "batch")
    encoder = OnnxEncoder(tmp_path, "sensor", ArrayPreprocessor())
    mask = torch.tensor([[True, False]])
    assert torch.equal(encoder({"x": torch.from_numpy(clips(1)), "mask": mask}).mask, mask)


def test_a_recipe_names_graph_and_preprocessor(tmp_path: Path) -> None:
    save_graph(tmp_path / "model.onnx", "batch")
    preprocessor = {"class_path": f"{__name__}.ArrayPreprocessor", "init_args": {"factor": 3.0}}
    arguments = {"graph": str(tmp_path / "model.onnx"), "preprocessor": preprocessor}
    encoder = build({"class_path": "omni.encoders.OnnxEncoder", "init_args": arguments}, "encoder", modality="imu")
    assert encoder.modality == "imu"
    data = clips(1)
    assert torch.equal(encoder.preprocess(Media("imu", data=data))["x"], torch.from_numpy(data * 3))


def test_the_fingerprint_depends_on_graph_and_preprocessor_but_not_on_the_folder(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        save_graph(tmp_path / name / "model.onnx", "batch", seed=seed)
    spec = {"class_path": f"{__name__}.ArrayPreprocessor", "init_args": {"factor": 3.0}}
    other = {**spec, "init_args": {"factor": 4.0}}
    a, b, c = (OnnxEncoder(tmp_path / name, "sensor", spec).fingerprint() for name in "abc")
    assert a == b
    assert len({a, c, OnnxEncoder(tmp_path / "a", "sensor", other).fingerprint()}) == 3


def test_weights_beside_the_graph_are_loaded_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    weights = save_graph(tmp_path / "small.onnx", 1)
    model = onnx.load(tmp_path / "small.onnx")
    (tmp_path / "large").mkdir()
    onnx.save(model, tmp_path / "large/model.onnx", save_as_external_data=True, location="model.data", size_threshold=0)
    encoder = OnnxEncoder(tmp_path / "large", "sensor", ArrayPreprocessor())
    values = encoder({"x": torch.from_numpy(clips(2))}).values
    torch.testing.assert_close(values, torch.from_numpy((clips(2) @ weights).reshape(2, 2, WIDTH)))
    before = encoder.fingerprint()
    data = bytearray((tmp_path / "large/model.data").read_bytes())
    data[0] ^= 1
    (tmp_path / "large/model.data").write_bytes(data)
    changed = OnnxEncoder(tmp_path / "large", "sensor", ArrayPreprocessor())
    assert changed.fingerprint() != before


def test_errors_say_what_is_there(tmp_path: Path) -> None:
    save_graph(tmp_path / "model.onnx", "batch")
    with pytest.raises(ValueError, match="no output 'hidden'; it has features"):
        OnnxEncoder(tmp_path, "sensor", output="hidden")
    encoder = OnnxEncoder(tmp_path, "sensor", ArrayPreprocessor())
    with pytest.raises(ValueError, match=r"needs the inputs \['x'\]; preprocessing gave \['y'\]"):
        encoder({"y": torch.zeros(1, 4)})
    with pytest.raises(NotImplementedError, match="OnnxEncoder does not implement preprocess"):
        OnnxEncoder(tmp_path, "sensor").preprocess(Media("sensor", data=clips(1)))
    with pytest.raises(ValueError, match="layout is 'rows'"):
        OnnxEncoder(tmp_path, "sensor", layout="rows")  # pyright: ignore[reportArgumentType]


def test_settings_of_a_preprocessor_that_was_built_before_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    save_graph(tmp_path / "model.onnx", "batch")
    one, same, other = (OnnxEncoder(tmp_path, "sensor", ArrayPreprocessor(factor)) for factor in (2.0, 2.0, 3.0))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    with pytest.raises(ValueError, match="OnnxEncoder cannot hold its argument 'preprocessor'"):
        OnnxEncoder(tmp_path, "sensor", lambda media: {}).fingerprint()


def with_external_weights(path: Path, location: str) -> None:
    """Write the graph so that it says that its weights are in another file."""
    save_graph(path, "batch")
    model = onnx.load(path)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "w"]
    onnx.external_data_helper.set_external_data(tensor, location, length=len(tensor.raw_data))
    data, tensor.raw_data = tensor.raw_data, b""
    tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    (path.parent / "w.bin").write_bytes(data)


def test_weights_outside_of_the_graph_are_those_of_its_folder(tmp_path: Path) -> None:
    with_external_weights(tmp_path / "x.onnx", "w.bin")
    encoder = OnnxEncoder(tmp_path / "x.onnx", modality="imu")
    whole = tmp_path / "whole"
    whole.mkdir()
    weights = save_graph(whole / "x.onnx", "batch")
    x = torch.ones(3, 4)
    torch.testing.assert_close(encoder({"x": x}).values.flatten(1), x @ torch.from_numpy(weights))


@pytest.mark.parametrize("kind", ["initializer", "constant", "subgraph"])
@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "folder/../../secret.bin", "link.bin"])
def test_a_graph_reads_no_file_from_elsewhere(kind: str, location: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4 * 4 * 2 * WIDTH))
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    with_external_weights(inside / "x.onnx", location)
    if kind != "initializer":
        model = onnx.load(inside / "x.onnx", load_external_data=False)
        (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "w"]
        node = helper.make_node("Constant", [], ["w"], value=tensor)
        model.graph.initializer.remove(tensor)
        if kind == "subgraph":
            body = helper.make_graph([node], "body", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, None)])
            node = helper.make_node("If", ["condition"], ["w"], then_branch=body, else_branch=body)
            model.graph.initializer.append(numpy_helper.from_array(np.array(True), "condition"))
        model.graph.node.insert(0, node)
        (inside / "x.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"x\.onnx wants weights from .*, which is not in its folder"):
        OnnxEncoder(inside / "x.onnx", modality="imu")


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    with_external_weights(tmp_path / "x.onnx", "*/_ORT_MEM_ADDR_/*")  # onnxruntime's mark of a place in memory
    with pytest.raises(FileNotFoundError, match=r"_ORT_MEM_ADDR_.* is missing"):
        OnnxEncoder(tmp_path / "x.onnx", modality="imu")


@pytest.mark.parametrize(
    "providers", [[["CPUExecutionProvider", {"x": "y"}]], ["NoSuchProvider"], [], "CPUExecutionProvider"]
)
def test_providers_are_names_without_options(providers: object, tmp_path: Path) -> None:
    """Options of some providers name a library that is loaded."""
    save_graph(tmp_path / "x.onnx", "batch")
    with pytest.raises(ValueError, match=r"allowed is a list of .*CPUExecutionProvider"):
        OnnxEncoder(tmp_path / "x.onnx", modality="imu", providers=providers)  # type: ignore[arg-type]
