"""NVRTC compiles the kernels for every generation; it needs no GPU."""

from __future__ import annotations

import pytest

from engines import EngineError
from engines.cuda.compile import compile_cuda
from engines.preprocess import KERNELS
from engines.preprocess.gather import SOURCE

try:
    compile_cuda("", "empty.cu", "sm_86")
except EngineError as error:
    pytest.skip(f"{error}", allow_module_level=True)


def test_the_kernels_as_ptx() -> None:
    ptx = compile_cuda(KERNELS.read_text(), KERNELS.name, "sm_75", machine_code=False).decode()
    assert ".visible .entry levels(" in ptx
    assert ".visible .entry crops(" in ptx
    assert ".target sm_75" in ptx
    assert "cvt.rn.f16.f32" in ptx
    assert (
        ".visible .entry gather(" in compile_cuda(SOURCE.read_text(), SOURCE.name, "sm_75", machine_code=False).decode()
    )


BETWEEN = ("sm_80", "sm_86", "sm_89", "sm_100")


@pytest.mark.parametrize(
    "architecture", ["sm_75", "sm_90", "sm_120", *(pytest.param(name, marks=pytest.mark.slow) for name in BETWEEN)]
)
def test_the_kernels_compile_for_every_generation(architecture: str) -> None:
    both = KERNELS.read_text() + SOURCE.read_text()
    code = compile_cuda(both, "kernels.cu", architecture)
    assert code[:4] == b"\x7fELF"
    assert all(name in code for name in (b"levels", b"crops", b"gather"))


def test_errors_are_one_line() -> None:
    with pytest.raises(EngineError, match=r"^bad\.cu does not compile for sm_86: bad\.cu\(1\): error: .*$") as raised:
        compile_cuda("__global__ void f() { oops }", "bad.cu", "sm_86")
    assert "\n" not in str(raised.value)
    with pytest.raises(EngineError, match="does not compile for sm_10"):
        compile_cuda("", "empty.cu", "sm_10")
