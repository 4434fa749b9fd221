"""What stands between an engine of TensorRT and a GPU that cannot run it; and how engines without weights are built."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines import EngineError, tensorrt_build
from engines.batch import BatchProfile
from engines.tensorrt_build import REFITS, BuildRequest, build_plan
from engines.tensorrt_engine import _check
from engines.tensorrt_module import TensorRt, tensorrt_module
from tests.engines.networks import small_network

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (extra: tensorrt)")


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    return tensorrt_module("tensorrt_rtx")


DEVICE: Any = SimpleNamespace(gpu=SimpleNamespace(name="NVIDIA H200", generation="sm90"))


@pytest.mark.parametrize(
    ("diagnostic", "reason"),
    [
        ("VERSION_MISMATCH", r"another version than TensorRT-RTX \S+ built it; build it again"),
        ("UNSUPPORTED_CC", r"it was not built for NVIDIA H200 \(sm90\); build it again here"),
        ("OLD_CUDA_DRIVER", r"the NVIDIA driver is too old for TensorRT-RTX \S+; update it"),
        ("OLD_CUDA_RUNTIME", "the CUDA runtime is too old"),
        ("INSUFFICIENT_GPU_MEMORY", "too little free memory; close other programs or build with a smaller --batch"),
        ("MALFORMED_ENGINE", "it is damaged; build it again with --force"),
    ],
)
def test_an_engine_that_cannot_run_says_why(rtx: TensorRt, diagnostic: str, reason: str) -> None:
    kinds = rtx.module.EngineInvalidityDiagnostics
    assert hasattr(kinds, diagnostic), f"TensorRT for RTX does not know {diagnostic} any more"
    answer = (rtx.module.EngineValidity.INVALID, getattr(kinds, diagnostic))
    runtime = SimpleNamespace(get_engine_validity=lambda plan: answer)
    with pytest.raises(EngineError, match=rf"^engine face\.engine cannot run: .*{reason}") as error:
        _check(rtx, runtime, b"", "face.engine", DEVICE)
    assert "\n" not in str(error.value)


def test_one_that_can_run_is_let_through(rtx: TensorRt) -> None:
    for validity in ("VALID", "SUBOPTIMAL"):
        answer = (getattr(rtx.module.EngineValidity, validity), 0)
        _check(rtx, SimpleNamespace(get_engine_validity=lambda plan, a=answer: a), b"", "x", DEVICE)


class _Builder:
    """The module's own builder, but for the last step: that needs a GPU where the weights are left out."""

    def __init__(self, module: Any, logger: Any, takes: set[str], tried: list[set[str]]) -> None:
        self._own, self._flags, self._takes, self._tried = module.Builder(logger), module.BuilderFlag, takes, tried

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        known = ("STRIP_PLAN", "REFIT", "REFIT_IDENTICAL", "TF32", "REQUIRE_USER_ALLOCATION")
        self._tried.append({name for name in known if config.get_flag(getattr(self._flags, name))})
        return b"plan" if self._tried[-1] & self._takes else None


def built(rtx: TensorRt, network: Path, takes: set[str], stripped: bool = True) -> tuple[list[set[str]], Any]:
    tried: list[set[str]] = []
    own = rtx.module

    class Module:
        Builder = staticmethod(lambda logger: _Builder(own, logger, takes, tried))

        def __getattr__(self, name: str) -> Any:
            return getattr(own, name)

    request = BuildRequest("fp32", BatchProfile(1, 1, 4), stripped=stripped)
    plan = build_plan(network, "small.onnx", request, trt=TensorRt(Module(), rtx.name, rtx.version))
    return tried, plan


def test_engines_without_weights_can_take_them_back(
    rtx: TensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network(tmp_path / "small.onnx")
    monkeypatch.setattr(tensorrt_build, "find_gpu", lambda: None)
    tried, plan = built(rtx, network, {"REFIT"})
    assert tried == [{"STRIP_PLAN", "REFIT", "REQUIRE_USER_ALLOCATION"}]
    assert (plan.plan, plan.refit) == (b"plan", "REFIT")
    tried, plan = built(rtx, network, {"REFIT_IDENTICAL"})
    assert [flags & {"REFIT", "REFIT_IDENTICAL"} for flags in tried] == [{"REFIT"}, {"REFIT_IDENTICAL"}]
    assert plan.refit == "REFIT_IDENTICAL"
    tried, plan = built(rtx, network, {"REQUIRE_USER_ALLOCATION"}, stripped=False)
    assert tried == [{"REQUIRE_USER_ALLOCATION"}]
    assert plan.refit == ""
    assert set(REFITS["tensorrt"]) == set(REFITS["tensorrt_rtx"])
