"""ONNX in torch: every operator and every network of the tracker as ONNX Runtime computes them, and nothing that a CUDA graph
could not record: seen with fake tensors that claim to lie on a GPU.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="not installed (extra: torch)")
onnx = pytest.importorskip("onnx", reason="not installed (extra: engines)")

from engines.batch import BatchProfile  # noqa: E402
from engines.build import BuildOptions, build_artifact  # noqa: E402
from engines.errors import EngineError  # noqa: E402
from engines.tflite.convert import convert  # noqa: E402
from engines.torch_onnx import OnnxModule, translate  # noqa: E402
from tests.engines.networks import unsupported_network  # noqa: E402
from tests.network_inputs import NETWORKS, noise, relative_difference  # noqa: E402

pytestmark = pytest.mark.slow
OWN = sorted(glob.glob(str(Path(__file__).parents[2] / "tracker" / "landmarks" / "data" / "*.onnx")))
RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


X = floats(2, 4, 6, 6)
# operator, attributes, constant inputs behind the picture (None: left out), outputs
CASES: list[tuple[str, dict[str, Any], tuple[np.ndarray | None, ...], int]] = [
    ("Conv", {"pads": [1, 1, 1, 1], "strides": [2, 2], "group": 2}, (floats(6, 2, 3, 3), floats(6)), 1),
    ("Conv", {"pads": [0, 1, 1, 2]}, (floats(3, 4, 3, 3),), 1),
    ("Conv", {"dilations": [2, 2]}, (floats(3, 4, 2, 2),), 1),
    ("ConvTranspose", {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, (floats(4, 3, 3, 3),), 1),
    ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, (), 1),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}, (), 1),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, (), 1),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, (), 1),
    ("GlobalAveragePool", {}, (), 1),
    ("PRelu", {}, (floats(4, 1, 1),), 1),
    ("PRelu", {}, (floats(1, 1, 1),), 1),
    ("PRelu", {}, (floats(4, 6, 6),), 1),
    ("Pad", {}, (ints(0, 1, 2, 0, 0, 3, 0, 1),), 1),
    ("Pad", {}, (ints(1, 2, 0, 1), np.float32(0.5), ints(2, 3)), 1),
    ("Pad", {"mode": "reflect"}, (ints(0, 0, 2, 1, 0, 0, 0, 1),), 1),
    ("Pad", {"mode": "edge"}, (ints(0, 0, 2, 1, 0, 0, 0, 1),), 1),
    ("Resize", {"mode": "linear"}, (None, np.float32([1, 1, 2, 2])), 1),
    ("Resize", {"mode": "linear", "coordinate_transformation_mode": "align_corners"}, (None, None, ints(2, 4, 9, 7)), 1),
    ("Resize", {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
     (None, np.float32([1, 1, 2, 2])), 1),
    ("Resize", {"mode": "nearest"}, (None, np.float32([1, 1, 3, 3])), 1),
    ("GridSample", {"mode": "linear", "padding_mode": "border"}, (floats(2, 3, 5, 2),), 1),
    ("DepthToSpace", {"blocksize": 2}, (), 1),
    ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, (), 1),
    ("Reshape", {}, (ints(0, -1, 6),), 1),
    ("Reshape", {"allowzero": 1}, (ints(-1, 12),), 1),
    ("Expand", {}, (ints(3, 1, 1, 6, 1),), 1),
    ("Slice", {}, (ints(1, -3), ints(2**63 - 1, -1), ints(1, 3), ints(2, 1)), 1),
    ("Slice", {}, (ints(-1), ints(-(2**31)), ints(2), ints(-1)), 1),
    ("Gather", {"axis": 1}, (np.array(2),), 1),
    ("Gather", {"axis": 3}, (ints(5, 0, 1),), 1),
    ("Gather", {"axis": 1}, (np.array([[0, 3], [1, 1]]),), 1),
    ("Split", {"axis": 1, "num_outputs": 2}, (), 2),
    ("Split", {"axis": 2}, (ints(1, 2, 3),), 3),
    ("Unsqueeze", {}, (ints(0, -1),), 1),
    ("Transpose", {"perm": [0, 2, 3, 1]}, (), 1),
    ("Transpose", {}, (), 1),
    ("Flatten", {}, (), 1),
    ("Flatten", {"axis": 2}, (), 1),
    ("Tile", {}, (ints(1, 2, 1, 1),), 1),
    ("Clip", {}, (np.float32(-0.5), np.float32(0.5)), 1),
    ("Clip", {}, (None, np.float32(0.5)), 1),
    ("LayerNormalization", {"axis": -1, "epsilon": 1e-3}, (floats(6), floats(6)), 1),
    ("LayerNormalization", {"axis": 2}, (floats(6, 6),), 1),
    ("InstanceNormalization", {}, (floats(4), floats(4)), 1),
    ("BatchNormalization", {}, (floats(4), floats(4), floats(4), np.abs(floats(4)) + 0.5), 1),
    ("Softmax", {"axis": 1}, (), 1),
    ("Gelu", {"approximate": "tanh"}, (), 1),
    ("Elu", {"alpha": 0.7}, (), 1),
    ("LeakyRelu", {"alpha": 0.3}, (), 1),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, (), 1),
    ("Max", {}, (floats(4, 1, 1), floats(1)), 1),
    ("Min", {}, (floats(6),), 1),
    ("Sum", {}, (floats(6), floats(1)), 1),
    *((name, {}, (floats(4, 1, 1),), 1) for name in ("Add", "Sub", "Mul", "Div")),
    ("MatMul", {}, (floats(6, 3),), 1),
    *((name, {}, (), 1) for name in (
        "Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "HardSwish", "Identity", "Neg", "Reciprocal", "Relu", "Sigmoid", "Sin",
        "Softplus", "Tanh")),
    *((f"Reduce{kind}", {"keepdims": keep}, (ints(1, -1),), 1)
      for kind in ("L1", "L2", "Max", "Mean", "Min", "SumSquare") for keep in (0, 1)),
    ("ReduceSum", {}, (), 1),
    ("ReduceSum", {"noop_with_empty_axes": 1}, (), 1),
]  # fmt: skip


def network(
    nodes: list[Any], constants: dict[str, np.ndarray], outputs: int = 1, rows: Any = 2, made: Any = None
) -> bytes:
    helper, kind = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", kind.FLOAT, [rows, *X.shape[1:]])],
        [helper.make_tensor_value_info(f"y{index}", kind.FLOAT, made) for index in range(outputs)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def both(content: bytes, x: np.ndarray = X) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each output in torch and in ONNX Runtime."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="not installed (extra: engines)")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        ours = translate(content, "net.onnx")(torch.from_numpy(x))
    return [(a.numpy(), b) for a, b in zip(ours, session.run(None, {session.get_inputs()[0].name: x}), strict=True)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{'-'.join(case[1])}")
def test_operators_compute_what_the_standard_says(case: Any) -> None:
    operator, attributes, given, outputs = case
    names = ["x", *("" if array is None else f"c{index}" for index, array in enumerate(given))]
    constants = {f"c{index}": array for index, array in enumerate(given) if array is not None}
    node = onnx.helper.make_node(operator, names, [f"y{index}" for index in range(outputs)], **attributes)
    for ours, theirs in both(network([node], constants, outputs)):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_shapes_are_computed_on_the_host() -> None:
    """Twice the rows and half the columns, as exporters write it when the batch is open."""
    make = onnx.helper.make_node
    nodes = [
        make("Shape", ["x"], ["all"]),
        make("Shape", ["x"], ["rows"], start=0, end=1),
        make("Gather", ["all", "third"], ["height"]),
        make("Mul", ["height", "two"], ["twice"]),
        make("Unsqueeze", ["twice", "first"], ["twice_1"]),
        make("Slice", ["all", "one", "two_1"], ["channels"]),
        make("Concat", ["rows", "channels", "twice_1", "left"], ["wanted"], axis=0),
        make("Cast", ["wanted"], ["cast"], to=onnx.TensorProto.INT64),
        make("Reshape", ["x", "cast"], ["y0"]),
    ]
    constants = {
        "third": np.array(2),
        "two": np.array(2),
        "first": ints(0),
        "one": ints(1),
        "two_1": ints(2),
        "left": ints(-1),
    }
    content = network(nodes, constants, rows="batch")
    for rows in (1, 2):
        ((ours, theirs),) = both(content, X[:rows])
        assert ours.shape == (rows, 4, 12, 3)
        np.testing.assert_array_equal(ours, theirs)


def test_older_operator_sets() -> None:
    """Before opset 13 axes stood in attributes."""
    make = onnx.helper.make_node
    nodes = [
        make("Unsqueeze", ["x"], ["wide"], axes=[0]),
        make("Squeeze", ["wide"], ["same"], axes=[0]),
        make("ReduceSum", ["same"], ["y0"], axes=[2, 3], keepdims=0),
    ]
    model = onnx.load_model_from_string(network(nodes, {}, made=[2, 4]))
    model.opset_import[0].version = 11
    ((ours, theirs),) = both(model.SerializeToString())
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_constants_are_computed_once() -> None:
    make = onnx.helper.make_node
    value = onnx.numpy_helper.from_array(np.float16([2.5]))
    nodes = [
        make("Constant", [], ["half"], value=value),
        make("Cast", ["half"], ["whole"], to=onnx.TensorProto.FLOAT),
        make("Mul", ["whole", "three"], ["factor"]),
        make("Mul", ["x", "factor"], ["y0"]),
    ]
    content = network(nodes, {"three": np.float32([3])})
    module = translate(content, "net.onnx")
    assert [buffer.item() for buffer in module.buffers()] == [7.5]
    ((ours, theirs),) = both(content)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", [*NETWORKS, *(Path(file).name for file in OWN)])
def test_the_trackers_networks(name: str, networks: Path) -> None:
    file = file_of(name, networks)
    port = onnx.load(str(file)).graph.input[0]
    shape = (2, *(axis.dim_value for axis in port.type.tensor_type.shape.dim[1:]))
    for ours, theirs in both(file.read_bytes(), noise(shape)):
        assert relative_difference(ours, theirs) < 1e-4


def test_a_translated_network_can_be_exported_with_an_open_batch(networks: Path, tmp_path: Path) -> None:
    """torch traces it with symbolic sizes: nothing of it depends on data or on the number of rows."""
    module = translate(convert(networks / "face_blendshapes.tflite").read_bytes(), "scores")
    points = torch.rand(3, 146, 2)
    rows = torch.export.Dim("rows", min=1, max=64)
    program = torch.export.export(module, (points,), dynamic_shapes={"given": ({0: rows},)})
    for count in (1, 3):
        with torch.inference_mode():
            (expected,), (made,) = module(points[:count]), program.module()(points[:count])
        torch.testing.assert_close(made, expected)


def file_of(name: str, networks: Path) -> Path:
    return convert(networks / name) if name in NETWORKS else next(Path(file) for file in OWN if file.endswith(name))


@contextmanager
def watched() -> Iterator[list[str]]:
    """Operators that touch anything else than the GPU, or carry a value to the host."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    seen: list[str] = []

    class Watch(TorchDispatchMode):  # type: ignore[misc, unused-ignore]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            tensors = [leaf for leaf in tree_leaves((args, kwargs, made)) if isinstance(leaf, torch.Tensor)]
            if {tensor.device.type for tensor in tensors} != {"cuda"} or "_local_scalar" in str(func):
                seen.append(str(func))
            return made

    with Watch():
        yield seen


def on_a_fake_gpu(module: OnnxModule, shape: tuple[int, ...], kind: Any) -> tuple[list[str], list[Any]]:
    from torch._subclasses.fake_tensor import FakeTensorMode

    fake = FakeTensorMode()
    with fake, torch.inference_mode():
        for name, buffer in list(module.named_buffers()):
            setattr(module, name, fake.from_tensor(buffer).to("cuda"))
        x = torch.zeros(shape, device="cuda")
        torch.set_autocast_enabled("cuda", kind is not None)
        if kind is not None:
            torch.set_autocast_dtype("cuda", kind)
        try:
            with watched() as seen:
                made = module(x)
        finally:
            torch.set_autocast_enabled("cuda", False)
    return seen, list(made)


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
@pytest.mark.parametrize("name", [*NETWORKS, *(Path(file).name for file in OWN)])
def test_nothing_leaves_the_gpu(name: str, kind: str, networks: Path) -> None:
    dtype = torch.float16 if kind == "fp16" else None
    file = file_of(name, networks)
    described = onnx.load(str(file)).graph
    module = translate(file.read_bytes(), name)
    if dtype is not None:
        module.lower(dtype)
    shape = (3, *(axis.dim_value for axis in described.input[0].type.tensor_type.shape.dim[1:]))
    seen, made = on_a_fake_gpu(module, shape, dtype)
    assert seen == []
    assert {tensor.device.type for tensor in made} == {"cuda"}
    assert [tensor.shape[1:] for tensor in made] == [
        tuple(axis.dim_value for axis in port.type.tensor_type.shape.dim[1:]) for port in described.output
    ]


def test_the_watch_sees_what_leaves() -> None:
    """A picture multiplied by a constant that was left on the host."""
    node = onnx.helper.make_node("Mul", ["x", "c"], ["y0"])
    module = translate(network([node], {"c": floats(6)}), "net.onnx")
    strayed = module._weights["c"]

    def careless(*given: Any) -> Any:
        return given[0] * torch.zeros(6).to("cuda")

    assert strayed
    module.forward = careless  # type: ignore[method-assign]
    seen, _ = on_a_fake_gpu(module, X.shape, None)
    assert any("zeros" in operator for operator in seen)


def test_what_cannot_be_translated(tmp_path: Path) -> None:
    content = unsupported_network(tmp_path / "odd.onnx").read_bytes()
    with pytest.raises(
        EngineError, match=r"^odd: torch cannot take operator FoldFace \(node fold\); use backend onnxrun"
    ):
        translate(content, "odd")
    with pytest.raises(EngineError, match=r"^net is damaged or no ONNX network"):
        translate(b"\x08no network", "net")


def test_a_use_that_is_not_offered(tmp_path: Path, cache: Path) -> None:
    node = onnx.helper.make_node("Resize", ["x", "", "", "c"], ["y0"], name="up", mode="cubic")
    file = tmp_path / "cubic.onnx"
    file.write_bytes(network([node], {"c": ints(2, 4, 8, 8)}, made=[2, 4, 8, 8]))
    with pytest.raises(
        EngineError, match=r"cubic.onnx: torch cannot run it \(operator Resize \(node up\) with mode cubic"
    ):
        build_artifact(file, BuildOptions("torch", batch=BatchProfile(2, 2, 2)))
