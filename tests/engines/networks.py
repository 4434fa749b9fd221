"""Small ONNX networks for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


def small_network(path: Path, rows: int | None = None, seed: int = 0) -> Path:
    """An image (B, 3, 32, 32) -> convolution, pooling, 10 numbers. ``rows`` None: the batch is open."""
    onnx = pytest.importorskip("onnx", reason="writing networks needs onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    rng = np.random.default_rng(seed)
    weights = {
        "w": rng.normal(0, 0.2, (8, 3, 3, 3)),
        "b": rng.normal(0, 0.1, 8),
        "v": rng.normal(0, 0.3, (8, 10)),
        "c": rng.normal(0, 0.1, 10),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["1"], pads=[1, 1, 1, 1], strides=[2, 2], name="conv"),
        helper.make_node("Relu", ["1"], ["2"], name="relu"),
        helper.make_node("GlobalAveragePool", ["2"], ["3"], name="pool"),
        helper.make_node("Flatten", ["3"], ["4"], name="flatten"),
        helper.make_node("Gemm", ["4", "v", "c"], ["numbers"], name="dense"),
    ]
    batch: Any = rows or "batch"
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", kind, [batch, 3, 32, 32])],
        [helper.make_tensor_value_info("numbers", kind, [batch, 10])],
        [onnx.numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return path


def unsupported_network(path: Path) -> Path:
    """A network whose one operator nobody knows."""
    onnx = pytest.importorskip("onnx", reason="writing networks needs onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("FoldFace", ["image"], ["numbers"], domain="example.faces", name="fold")],
        "odd",
        [helper.make_tensor_value_info("image", kind, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("numbers", kind, [1, 3, 8, 8])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example.faces", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path
