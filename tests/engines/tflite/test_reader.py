from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import EngineError
from engines.tflite import lower, read_tflite
from engines.tflite.graph import Graph, Operator, Tensor
from engines.tflite.sparse import Dimension, densify
from tests.network_inputs import NETWORKS

FLOAT = np.dtype(np.float32)


@pytest.mark.parametrize("name", NETWORKS)
def test_constants_come_dense_and_in_float32(name: str, networks: Path) -> None:
    graph = read_tflite(networks / name)
    assert graph.name == name
    kinds = {operator.kind for operator in graph.operators}
    assert not kinds & {"DEQUANTIZE", "DENSIFY"}
    for operator in graph.operators:
        if operator.kind.endswith("CONV_2D"):
            weights = graph.constant(operator.inputs[1])
            assert weights.dtype == np.float32
            assert weights.shape == graph.tensors[operator.inputs[1]].shape


def test_the_sparse_networks_weights_are_mostly_zero(networks: Path) -> None:
    graph = read_tflite(networks / "face_detection_full_range_sparse.tflite")
    pointwise = [
        graph.constant(operator.inputs[1])
        for operator in graph.operators
        if operator.kind == "CONV_2D" and graph.tensors[operator.inputs[1]].shape[1:3] == (1, 1)
    ]
    zeros = [float(np.mean(weights == 0)) for weights in pointwise]
    assert max(zeros) > 0.5
    assert all(np.any(weights) for weights in pointwise)


def test_shapes_follow_from_operators(networks: Path) -> None:
    """What the lowering says each value's shape is must be what its operator makes of its inputs' shapes."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from trainer.networks.tflite_graph import TfliteModule

    for name in ("face_blendshapes.tflite", "face_detector.tflite"):
        module = TfliteModule.from_file(networks / name)
        inputs = tuple(torch.zeros(shape) for shape in module.network.inputs.values())
        with torch.no_grad():
            values = module._run(inputs, [node.output for node in module.network.nodes])
        assert {name: tuple(value.shape) for name, value in values.items() if name not in module.network.inputs} == {
            node.output: module.network.shapes[node.output] for node in module.network.nodes
        }


@pytest.mark.parametrize("keep", [0, 6, 12, 100, 5000, 200_000])
def test_truncated_files_are_refused_in_one_line(keep: int, networks: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes((networks / "face_detector.tflite").read_bytes()[:keep])
    with pytest.raises(EngineError, match=r"cut\.tflite is (a damaged|not a) \.tflite file") as caught:
        read_tflite(path)
    assert "\n" not in str(caught.value)


def test_damaged_files_never_end_in_anything_but_one_line(networks: Path, tmp_path: Path) -> None:
    content = np.frombuffer((networks / "face_detector.tflite").read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.tflite"
    refused = 0
    for _ in range(40):
        damaged = content.copy()
        # Tables lie at both ends of these files, weights between them.
        places = rng.integers(8, len(damaged), 60)
        damaged[places] = rng.integers(0, 256, len(places))
        damaged[-30_000 + rng.integers(0, 30_000, 60)] = rng.integers(0, 256, 60)
        path.write_bytes(damaged.tobytes())
        try:
            lower(read_tflite(path))
        except EngineError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 10


def test_a_missing_file_and_another_kind(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        read_tflite(tmp_path / "none.tflite")
    (tmp_path / "other.tflite").write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(EngineError, match="must carry the mark TFL3"):
        read_tflite(tmp_path / "other.tflite")


def test_sparse_rows() -> None:
    """A 3 x 4 matrix with compressed rows: the classic form."""
    dimensions = [Dimension(3), Dimension(4, np.array([0, 2, 2, 3]), np.array([1, 3, 0]))]
    dense = densify(np.float32([5, 6, 7]), (3, 4), [0, 1], [], dimensions)
    assert dense.tolist() == [[0, 5, 0, 6], [0, 0, 0, 0], [7, 0, 0, 0]]


def test_sparse_blocks() -> None:
    """A 2 x 4 matrix stored as 1 x 2 blocks, of which one per row is there."""
    dimensions = [Dimension(2), Dimension(2, np.array([0, 1, 2]), np.array([1, 0])), Dimension(2)]
    dense = densify(np.float32([1, 2, 3, 4]), (2, 4), [0, 1, 2], [1], dimensions)
    assert dense.tolist() == [[0, 0, 1, 2], [3, 4, 0, 0]]


@pytest.mark.parametrize(
    ("values", "traversal", "dimensions", "message"),
    [
        ([1.0], [0, 1], [Dimension(2), Dimension(2)], "holds 1 values for 4 places"),
        ([1.0], [0], [Dimension(2)], "traversal order"),
        ([1.0], [0, 1], [Dimension(2), Dimension(2, np.array([0, 1]), np.array([0]))], "segments"),
        ([1.0], [0, 1], [Dimension(2), Dimension(2, np.array([0, 0, 1]), np.array([9]))], "outside"),
    ],
)
def test_sparse_descriptions_that_do_not_fit(
    values: list[float], traversal: list[int], dimensions: list[Dimension], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        densify(np.float32(values), (2, 2), traversal, [], dimensions)


def graph_of(operator: Operator, *tensors: Tensor) -> Graph:
    return Graph("small.tflite", list(tensors), [operator], (0,), (len(tensors) - 1,))


def picture(name: str, channels: int = 2) -> Tensor:
    return Tensor(name, (1, 4, 4, channels), FLOAT)


@pytest.mark.parametrize(
    ("operator", "middle", "message"),
    [
        (Operator("LSTM", (0,), (1,)), [], "small.tflite: operator LSTM is not supported; known are ADD, "),
        (
            Operator("ADD", (0, 0), (1,), {"fused_activation_function": "TANH"}),
            [],
            "operator ADD with activation TANH is not supported",
        ),
        (
            Operator("RESIZE_BILINEAR", (0,), (1,), {"align_corners": True, "half_pixel_centers": False}),
            [],
            "pixel centres",
        ),
        (
            Operator("PRELU", (0, 1), (2,)),
            [Tensor("slope", (4, 4, 2), FLOAT, np.ones((4, 4, 2), np.float32))],
            r"slopes of shape \(4, 4, 2\)",
        ),
    ],
)
def test_what_cannot_be_lowered_is_named(operator: Operator, middle: list[Tensor], message: str) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        lower(graph_of(operator, picture("x"), *middle, picture("y")))
    assert "\n" not in str(caught.value)
