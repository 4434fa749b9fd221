"""What needs a GPU to run: the steps of tools/gpu_check.py that compare results, as tests."""

from __future__ import annotations

import pytest

from engines.cuda.device import Kind
from engines.cuda.gpu import find_gpu
from tools.gpu import crops_check, tensorrt_check, torch_check
from tools.gpu.steps import Outcome, carry_out

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu() -> None:
    found = find_gpu()
    if isinstance(found, str):
        pytest.skip(found)


def done(outcome: Outcome) -> Outcome:
    assert outcome.state == "done", outcome.reason
    return outcome


@pytest.mark.parametrize("kind", ["cuda-bindings", "pycuda"])
def test_crops_are_those_of_the_reference(kind: Kind) -> None:
    if kind == "pycuda":
        pytest.importorskip("pycuda", reason="pycuda is not installed (extra: pycuda)")
    done(carry_out("crops", lambda outcome: crops_check.check(outcome, kind)))


def test_tensorrt_agrees_with_onnx_runtime() -> None:
    pytest.importorskip("onnxruntime", reason="not installed (extra: onnxruntime)")
    outcome = done(carry_out("TensorRT", lambda outcome: tensorrt_check.run(outcome, "fp32", ())))
    assert outcome.facts["px off ONNX Runtime fp32, most"] < 0.05


def test_torch_agrees_with_onnx_runtime() -> None:
    for module in ("onnxruntime", "torch"):
        pytest.importorskip(module, reason="not installed (extras: engines, torch)")
    outcome = done(carry_out("torch", torch_check.engines))
    rows = [row for table in outcome.tables.values() for row in table]
    assert rows and all(row["px off ONNX Runtime fp32, most"] < 0.05 for row in rows)
