from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

openvino = pytest.importorskip("openvino")

from engines.openvino_backend import shared_core  # noqa: E402
from engines.openvino_slimming import drop_unread  # noqa: E402
from tests.network_inputs import NETWORKS  # noqa: E402

F32 = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
ops = openvino.opset13


def run(model: Any, *inputs: np.ndarray) -> list[np.ndarray]:
    return [array.copy() for array in shared_core().compile_model(model, "CPU", F32)([*inputs]).values()]


def shapes(model: Any, kind: str) -> list[list[int]]:
    return [list(node.get_output_shape(0)) for node in model.get_ordered_ops() if node.get_type_name() == kind]


def test_the_expression_network_computes_one_token_at_the_end(networks: Path) -> None:
    model = shared_core().read_model(networks / "face_blendshapes.tflite")
    points = np.random.default_rng(0).normal(size=(1, 146, 2)).astype(np.float32)
    expected = run(model, points)
    full = shapes(model, "Convolution")
    assert drop_unread(openvino, model)
    slim = shapes(model, "Convolution")
    assert full[-5:-1] == [[1, 384, 1, 64], [1, 97, 1, 64], [1, 256, 1, 97], [1, 64, 1, 97]]
    assert slim[-5:-1] == [[1, 384, 1, 64], [1, 1, 1, 64], [1, 256, 1, 1], [1, 64, 1, 1]]
    assert slim[:-5] == full[:-5]
    for ours, theirs in zip(run(model, points), expected, strict=True):
        assert np.abs(ours - theirs).max() < 1e-6
    assert not drop_unread(openvino, model), "there is nothing left to drop"


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "face_blendshapes.tflite"])
def test_networks_without_such_slices_are_left_alone(networks: Path, name: str) -> None:
    assert not drop_unread(openvino, shared_core().read_model(networks / name))


def layers(cut: Any) -> Any:
    """Two layers over (1, 6, 4), of which ``cut`` makes the first output; the other output is all of the first layer."""
    rng = np.random.default_rng(1)
    given = ops.parameter([1, 6, 4], np.float32)
    row = ops.constant(rng.normal(size=(1, 6, 4)).astype(np.float32))
    first = ops.relu(ops.add(given, row))
    spread = ops.reduce_mean(first, np.array([2]), keep_dims=True)
    turned = ops.transpose(ops.multiply(ops.subtract(first, spread), row), np.array([0, 2, 1]))
    return openvino.Model([cut(ops.sigmoid(turned)), first], [given])


def sliced(start: int, stop: int, step: int, axis: int) -> Any:
    return lambda value: ops.slice(value, *(np.array([number]) for number in (start, stop, step, axis)))


@pytest.mark.parametrize(
    ("cut", "dropped"),
    [
        (sliced(0, 2, 1, 2), True),
        (sliced(0, 2, 1, 1), False),  # along the axis that is averaged over: only what comes after could be dropped
        (sliced(1, 3, 1, 2), False),
        (sliced(0, 6, 2, 2), False),
        (sliced(0, -4, 1, 2), False),
        (sliced(0, 6, 1, 2), False),
    ],
)
def test_results_stay_whatever_is_cut(cut: Any, dropped: bool) -> None:
    model = layers(cut)
    given = np.random.default_rng(2).normal(size=(1, 6, 4)).astype(np.float32)
    expected = run(model, given)
    found = drop_unread(openvino, model)
    for ours, theirs in zip(run(model, given), expected, strict=True):
        assert ours.shape == theirs.shape and np.allclose(ours, theirs, atol=1e-6)
    if dropped:
        assert found and shapes(model, "Sigmoid") == [[1, 4, 2]]
        assert shapes(model, "Relu") == [[1, 6, 4]], "the other output reads all of it"
    else:
        assert shapes(model, "Relu") == [[1, 6, 4]]


def test_what_two_read_differently_is_kept() -> None:
    given = ops.parameter([1, 6, 4], np.float32)
    shared = ops.negative(ops.relu(given))
    model = openvino.Model([sliced(0, 2, 1, 1)(shared), sliced(0, 3, 1, 1)(shared)], [given])
    assert not drop_unread(openvino, model)
    assert shapes(model, "Relu") == [[1, 6, 4]]
