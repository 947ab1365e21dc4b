"""What an ONNX graph says of itself: where its weights are, and a batch dimension that can be made free."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import ModelProto, TensorProto, numpy_helper


def has_fixed_batch(model: ModelProto) -> bool:
    """Return whether the first dimension of any input is a number."""
    return any(
        value.type.tensor_type.shape.dim and value.type.tensor_type.shape.dim[0].HasField("dim_value")
        for value in _inputs(model)
    )


def with_free_batch(model: ModelProto) -> ModelProto:
    """Return a copy whose inputs and outputs begin with a symbolic dimension, and whose reshapes keep it.

    A reshape of something computed to a constant [1, ...] becomes one to [0, ...] (take the dimension over).
    Whether the graph now treats the clips of a batch independently is for the caller to verify.
    """
    changed = ModelProto()
    changed.CopyFrom(model)
    for value in (*_inputs(changed), *changed.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del changed.graph.value_info[:]
    constants = _constants(changed)
    for index, node in enumerate(changed.graph.node):
        if node.op_type != "Reshape" or node.input[0] in constants or node.input[1] not in constants:
            continue
        shape = constants[node.input[1]].copy()
        if len(shape) > 1 and shape[0] == 1:
            shape[0] = 0
            name = f"free_batch_shape_{index}"
            changed.graph.initializer.append(numpy_helper.from_array(shape, name))
            node.input[1] = name
    return changed


def weight_files(model: ModelProto, graph: Path) -> list[str]:
    """Return the names of the files next to the graph's that hold its weights (models over 2 GB), sorted.

    Args:
        model: what is in the file, read without these weights.
        graph: the file.

    Raises:
        ValueError: one is not in the folder of the graph: somebody else's graph could read any file of this machine.
        FileNotFoundError: one is missing.
    """
    names = {
        entry.value
        for tensor in _tensors_in(model)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    # In the cache of a hub, graph and weights are links to files of one folder.
    folders = [graph.parent.resolve(), graph.resolve().parent]
    for name in sorted(names):
        found = (graph.parent / name).resolve()
        if Path(name).is_absolute() or not any(found.is_relative_to(folder) for folder in folders):
            raise ValueError(
                f"{graph} wants weights from {name!r}, which is not in its folder: put them next to it, and export it "
                "anew with their name alone"
            )
        if not found.is_file():
            raise FileNotFoundError(f"{graph.parent / name} is missing, in which {graph} has its weights")
    return sorted(names)


def _tensors_in(message: Message) -> Iterator[TensorProto]:
    """Yield every tensor in a part of a model: initializers, constants, and those of graphs within nodes."""
    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if isinstance(value, Message) else value:
                yield from _tensors_in(part)


def _inputs(model: ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the graph's inputs without weights, which old exporters list among them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _constants(model: ModelProto) -> Mapping[str, np.ndarray]:
    """Return constants of whole numbers by name; they are small, unlike weights."""
    found = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT64 and tensor.data_location != onnx.TensorProto.EXTERNAL
    }
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value" and attribute.t.data_type == onnx.TensorProto.INT64:
                    found[node.output[0]] = numpy_helper.to_array(attribute.t)
    return found
