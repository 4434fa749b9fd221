"""The code around the GPU, run for real over a driver library that does a GPU's work on the CPU."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_a_machine_whose_driver_finds_no_gpu(driver: Path) -> None:
    code = "from engines.cuda.gpu import find_gpu; print(find_gpu())"
    done = run(driver, ["-c", code], NO_GPUS="1")
    assert done.stdout.strip() == "no NVIDIA GPU in this machine; use --engine openvino", done.stderr


def test_access_of_an_unknown_kind(driver: Path) -> None:
    code = "from engines.cuda.device import open_device\ntry: open_device('opencl')\nexcept Exception as error: print(error)"
    done = run(driver, ["-c", code])
    assert done.stdout.strip() == "GPU access must be auto, pycuda, cuda-bindings, got 'opencl'", done.stderr
