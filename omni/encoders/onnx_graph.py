"""Make the batch dimension of an ONNX graph free where it was exported with a batch of one."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper


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


def weight_files(model: ModelProto) -> list[str]:
    """Return the names of the files next to the graph's that hold its weights (models over 2 GB), sorted."""
    names = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sorted(names)


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
