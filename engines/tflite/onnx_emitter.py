"""Writes a lowered network as an ONNX model."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from engines.model import require_onnx
from engines.tflite.channels_first import Network, Node

OPSET: Final = 18
_IR_VERSION: Final = 10  # the first that knows opset 18's types; older runtimes refuse newer ones
Layout = Literal["NCHW", "NHWC"]


def emit(network: Network, layout: Layout = "NCHW") -> Any:
    """The network as an ``onnx.ModelProto`` in float32, its batch open and called ``batch``.

    Args:
        network: what to write.
        layout: of pictures among its inputs; with ``NHWC`` they stand as in the .tflite file.

    Raises:
        EngineError: the package onnx is not installed.
    """
    onnx = require_onnx()
    make = onnx.helper
    nodes, initializers = [], [onnx.numpy_helper.from_array(data, name) for name, data in network.constants.items()]
    inputs, stored = [], {}
    for name, shape in network.inputs.items():
        if len(shape) == 4 and layout == "NHWC":
            stored[name] = f"{name}_channels_first"
            nodes.append(make.make_node("Transpose", [name], [stored[name]], perm=[0, 3, 1, 2]))
            shape = (shape[0], shape[2], shape[3], shape[1])
        inputs.append(_value(onnx, name, shape))
    for node in network.nodes:
        names = [stored.get(name, name) for name in node.inputs]
        numbers, attributes = _split(node, network)
        for place, (role, values) in enumerate(numbers.items()):
            initializers.append(onnx.numpy_helper.from_array(values, f"{node.output}/{role}"))
            names += [""] * (place == 0 and node.op == "Resize")  # a region of interest, which it has not
            names.append(f"{node.output}/{role}")
        nodes.append(make.make_node(node.op, names, [node.output], name=node.output, **attributes))
    outputs = [_value(onnx, name, shape) for name, shape in network.outputs.items()]
    graph = make.make_graph(nodes, network.name, inputs, outputs, initializers)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def _value(onnx: Any, name: str, shape: tuple[int, ...]) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *shape[1:]])


def _split(node: Node, network: Network) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ONNX takes as constant inputs, in their order, and what as attributes."""
    attributes = dict(node.attributes)
    shape = network.shapes[node.output]
    if node.op == "Reshape":
        return {"shape": np.array([-1, *shape[1:]], np.int64)}, {}
    if node.op == "Resize":
        before = network.shapes[node.inputs[0]]
        scales = np.array([1, 1, shape[2] / before[2], shape[3] / before[3]], np.float32)
        return {"scales": scales}, {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if node.op == "DepthToSpace":
        return {}, attributes | {"mode": "DCR"}
    if node.op == "Conv":
        return {}, attributes | {"kernel_shape": network.constants[node.inputs[1]].shape[2:]}
    constant = [name for name in ("pads", "starts", "ends", "axes") if name in attributes]
    if node.op in ("Pad", "Slice", "ReduceMean", "ReduceSum"):
        return {name: np.array(attributes.pop(name), np.int64) for name in constant}, attributes
    return {}, attributes
