from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

openvino = pytest.importorskip("openvino")

from engines import openvino_kernels  # noqa: E402
from engines.openvino_backend import shared_core  # noqa: E402
from engines.openvino_kernels import choose_kernels  # noqa: E402


def read(path: Path, size: int) -> tuple[Any, Any]:
    core = shared_core()
    model = core.read_model(path)
    model.reshape({model.inputs[0].any_name: [1, size, size, 3]})
    return core, model


def kernels(compiled: Any) -> set[str]:
    """The kinds of kernels that the convolutions of a compiled network run on."""
    found = set()
    for node in compiled.get_runtime_model().get_ops():
        about = {
            key: value.astype(str) for key, value in node.get_rt_info().items() if key in ("layerType", "primitiveType")
        }
        if "Convolution" in about.get("layerType", ""):
            found.add(re.sub(r"_f32$", "", about["primitiveType"]))
    return found


def test_networks_with_prelus_run_on_the_kernels_asked_for(networks: Path) -> None:
    core, model = read(networks / "iris_landmark.tflite", 64)
    plain = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert choose_kernels(openvino, core, model, "fp32")
    chosen = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    image = np.random.default_rng(0).random((1, 64, 64, 3), dtype=np.float32)
    for ours, theirs in zip(chosen([image]).values(), plain([image]).values(), strict=True):
        assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()
    if not any("avx512" in name for name in kernels(plain)):
        pytest.skip("this CPU has no AVX-512: nothing to choose")
    assert all(name.startswith("jit_avx512") for name in kernels(chosen))
    # What the cache keeps must carry the choice along.
    again = core.import_model(io.BytesIO(chosen.export_model().getvalue()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert kernels(again) == kernels(chosen)


def test_others_are_left_alone(networks: Path) -> None:
    core, model = read(networks / "face_detector.tflite", 128)
    assert not choose_kernels(openvino, core, model, "fp32")
    core, model = read(networks / "iris_landmark.tflite", 64)
    assert not choose_kernels(openvino, core, model, "bf16")


def test_networks_fed_with_a_map_are_left_alone() -> None:
    from tracker.networks.shipped import BRANCH, shipped

    model = (core := shared_core()).read_model(shipped(BRANCH))
    model.reshape({"stem": [1, 32, 64, 64]})
    assert any(node.get_type_name() == "PRelu" for node in model.get_ops())
    assert not choose_kernels(openvino, core, model, "fp32")


def test_a_version_that_does_not_know_the_attribute(networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core, model = read(networks / "iris_landmark.tflite", 64)
    monkeypatch.setattr(openvino_kernels, "_TEMPLATE", "<net>")
    assert not choose_kernels(openvino, core, model, "fp32")
