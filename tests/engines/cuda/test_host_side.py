"""The code around the GPU, run for real over a driver library that does a GPU's work on the CPU."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.cuda.gpu import bindings, checked, find_gpu
from engines.errors import EngineError
from engines.preprocess import KERNELS

pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed (extra: tensorrt)")
HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a libcuda.so.1 without a GPU."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C++ compiler, on Linux")
    folder = tmp_path_factory.mktemp("driver")
    options = ["-O1", "-std=c++20", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", f"-I{KERNELS.parent}"]
    built = str(folder / "libcuda.so.1")
    subprocess.run([compiler, *options, "-o", built, str(HERE / "driver.cpp"), "-ldl"], check=True)
    return folder


def run(driver: Path, arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(driver), **variables}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("kind", ["cuda-bindings", "pycuda"])
def test_frames_through_memory_kernels_and_graphs(driver: Path, kind: str) -> None:
    if kind == "pycuda" and importlib.util.find_spec("pycuda") is None:
        pytest.skip("pycuda is not installed (extra: pycuda)")
    done = run(driver, [str(HERE / "host_side.py"), kind])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "done"
    assert "loading the kernel crops:" in done.stdout
    assert "takes 50 values of 3072 a row, got 49 picks" in done.stdout
    assert "torch too" in done.stdout
    assert "engine greedy: the GPU's memory is full at 2 rows; build it with a smaller --batch" in done.stdout
    assert (
        "engine mixed up: torch cannot run it (" in done.stdout and "cannot be multiplied (2x6 and 4x5)" in done.stdout
    )


def test_a_machine_whose_driver_finds_no_gpu(driver: Path) -> None:
    code = "from engines.cuda.gpu import find_gpu; print(find_gpu())"
    done = run(driver, ["-c", code], NO_GPUS="1")
    assert done.stdout.strip() == "no NVIDIA GPU in this machine; use --engine openvino", done.stderr


def test_a_gpu_that_is_too_old(driver: Path) -> None:
    done = run(driver, ["-c", "from engines.cuda.gpu import find_gpu; print(find_gpu())"], OLD_GPU="1")
    assert done.stdout.strip() == "Host GPU (sm66) is older than sm75, the oldest supported; use --engine openvino", (
        done.stderr
    )


def test_a_machine_without_a_driver() -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        find_gpu.cache_clear()
        assert find_gpu() == "no NVIDIA driver on this machine; install one, or use --engine openvino"
    else:
        pytest.skip("there is a driver")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            "CUDA_ERROR_OUT_OF_MEMORY",
            "copying: the GPU has too little free memory; close other programs, or build with a",
        ),
        ("CUDA_ERROR_NO_DEVICE", "no NVIDIA GPU in this machine; use --engine openvino"),
        ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", r"copying: the NVIDIA driver is too old \(CUDA_ERROR_SYSTEM"),
        ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", r"copying: the NVIDIA driver is too old \(CUDA_ERROR_UNSUPPORTED"),
        ("CUDA_ERROR_NO_BINARY_FOR_GPU", "copying: it was not built for this GPU; build it again on this machine"),
        ("CUDA_ERROR_ILLEGAL_ADDRESS", "copying: CUDA answers CUDA_ERROR_ILLEGAL_ADDRESS"),
    ],
)
def test_what_the_driver_answers_becomes_one_line(status: str, said: str) -> None:
    results = bindings().CUresult
    assert checked((results.CUDA_SUCCESS, 3), "copying") == 3
    with pytest.raises(EngineError, match=f"^{said}") as error:
        checked((getattr(results, status),), "copying")
    assert "\n" not in str(error.value)


def test_access_of_an_unknown_kind(driver: Path) -> None:
    code = "from engines.cuda.device import open_device\ntry: open_device('opencl')\nexcept Exception as error: print(error)"
    done = run(driver, ["-c", code])
    assert done.stdout.strip() == "GPU access must be auto, pycuda, cuda-bindings, got 'opencl'", done.stderr
