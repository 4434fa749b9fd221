"""A network of a few hundred weights with landmarks as its output, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import InputHeader, NetworkHeader, OutputHeader

SIZE = 16
POINTS = 6
HEADER = NetworkHeader(
    "toy",
    "encoder",
    "Apache-2.0",
    "made up",
    landmark_set="toy6",
    inputs=(InputHeader("image", "crop", "NCHW", SIZE),),
    outputs=(OutputHeader("points", "points", "px"), OutputHeader("presence", "presence", "logit")),
    regions={"upper": (0, 1, 2), "lower": (3, 4, 5)},
)


def toy_network(
    path: Path, *, batch: int | str = "batch", header: NetworkHeader | None = HEADER, gain: float = 4.0
) -> Path:
    """Convolution, pooling, two heads: ``points`` (B, 12) in pixels and ``presence`` (B, 1)."""
    onnx = pytest.importorskip("onnx", reason="building engines needs the package onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    rng = np.random.default_rng(5)
    weights = {
        "kernel": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "slope": np.full((8, 1, 1), 0.2),
        "mix": rng.normal(0, 0.3, (8, 8, 3, 3)),
        "to_points": rng.normal(0, gain, (8, 2 * POINTS)),
        "to_presence": rng.normal(0, 1, (8, 1)),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("Conv", ["b", "mix"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "to_points"], ["points"]),
        helper.make_node("MatMul", ["f", "to_presence"], ["presence"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "toy",
        [value("image", kind, [batch, 3, SIZE, SIZE])],
        [value("points", kind, [batch, 2 * POINTS]), value("presence", kind, [batch, 1])],
        [helper.make_tensor(name, kind, array.shape, array.astype(np.float32)) for name, array in weights.items()],
    )
    return save(path, graph, header)


def save(path: Path, graph: Any, header: NetworkHeader | None = None) -> Path:
    onnx = pytest.importorskip("onnx")
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    if header is not None:
        from engines.model import set_header

        set_header(model, header)
    onnx.save(model, str(path))
    return path


def crops(count: int = 30, seed: int = 0) -> np.ndarray:
    """RGB uint8 (N, SIZE, SIZE, 3) with structure: ramps in random directions plus noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    direction = rng.normal(size=(count, 3, 2))
    ramp = direction[:, :, 0, None, None] * x + direction[:, :, 1, None, None] * y
    picture = 128 + 80 * ramp + rng.normal(0, 8, ramp.shape)
    return picture.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def ready(count: int = 30, seed: int = 0) -> np.ndarray:
    """The same as the toy network takes it."""
    return np.ascontiguousarray(crops(count, seed).transpose(0, 3, 1, 2).astype(np.float32) / 255)


class Toys:
    """A catalogue with the toy network."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> tuple[str, ...]:
        return (self._path.name,)

    def locate(self, name: str) -> Path:
        assert name == self._path.name
        return self._path

    def header(self, name: str) -> NetworkHeader | None:
        return None

    def samples(self, name: str, count: int) -> tuple[np.ndarray, ...]:
        return (crops(count),)

    def crops(self, size: int, count: int) -> np.ndarray:
        assert size == SIZE
        return crops(count)
