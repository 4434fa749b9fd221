"""What the machine has: GPU, driver, compiler, packages; pycuda built from source."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from engines.cuda.gpu import require_gpu
from engines.tensorrt_module import tensorrt_module
from tools.gpu.steps import Outcome, SkippedError

_CAUSE = re.compile(r": (fatal )?error: |cannot find -l|undefined reference|ModuleNotFoundError")
_PACKAGES = (
    "tensorrt-rtx-cu13", "tensorrt", "pycuda", "cuda-bindings", "nvidia-cuda-nvrtc", "torch", "onnx", "onnxruntime", "numpy",
)  # fmt: skip


def describe(outcome: Outcome) -> None:
    """GPU, driver, compiler and package versions."""
    outcome.facts["machine"] = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    for package in _PACKAGES:
        try:
            outcome.facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            outcome.facts[package] = "not installed"
    compiler = shutil.which("nvcc")
    if compiler:
        said = (
            subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60)
            .stdout.strip()
            .splitlines()
        )
        outcome.facts["nvcc"] = said[-2] if len(said) > 1 else "does not say"
    else:
        outcome.facts["nvcc"] = "not on the path"
    gpu = require_gpu()
    outcome.facts |= {
        "GPU": gpu.name,
        "generation": gpu.generation,
        "multiprocessors": gpu.multiprocessors,
        "memory, GB": gpu.memory_bytes / 1e9,
        "clock, GHz": gpu.clock_hz / 1e9,
        "L2, MB": gpu.l2_bytes / 1e6,
        "memory bandwidth by clock and bus, GB/s": 2 * gpu.memory_clock_hz * gpu.memory_bus_bits / 8 / 1e9,
        "driver's CUDA": ".".join(map(str, gpu.driver_cuda)),
    }


def build_pycuda(outcome: Outcome, source: Path | None, target: Path) -> None:
    """Build pycuda of its source archive into a folder, which the steps about it find."""
    if importlib.util.find_spec("pycuda"):
        outcome.facts["pycuda"] = "was installed already"
        return
    if source is None:
        raise SkippedError("pycuda is not installed, and no source archive was given (--pycuda)")
    toolkit = _toolkit()
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(source, folder)
        (root,) = (path for path in Path(folder).iterdir() if (path / "setup.py").is_file())
        # The linker wants a libcuda.so; what a machine has is often libcuda.so.1 alone, which is the one that is loaded.
        stub = root / "stub"
        stub.mkdir()
        (stub / "empty.c").touch()
        linked = ["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", "libcuda.so", "empty.c"]
        _run(linked, stub)
        options = [f"--cuda-root={toolkit}", "--no-cuda-enable-curand", f"--cudadrv-lib-dir={stub}"]
        _run([sys.executable, "configure.py", *options], root)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-build-isolation",
            "--no-deps",
            "--no-index",
            "--target",
        ]
        _run([*pip, str(target), "."], root)
    sys.path.insert(0, str(target))
    importlib.invalidate_caches()
    importlib.import_module("pycuda.driver")
    outcome.facts["pycuda"] = f"built of {source.name}"


def _toolkit() -> Path:
    """The folder of the CUDA toolkit: what pycuda needs of it are the headers."""
    compiler = shutil.which("nvcc")
    candidates = [os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"]
    candidates += [str(Path(compiler).resolve().parent.parent)] if compiler else []
    for folder in filter(None, candidates):
        # Toolkits from wheels lack the second one.
        if all((Path(folder) / "include" / header).is_file() for header in ("cuda.h", "cudaProfiler.h")):
            return Path(folder)
    raise SkippedError(
        "no CUDA toolkit here: cuda.h and cudaProfiler.h are neither in $CUDA_HOME/include nor in /usr/local/cuda/include"
    )


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400)
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        # A compiler's complaint stands far above the last line, which says that something failed.
        causes = [line for line in said if _CAUSE.search(line)]
        raise RuntimeError((causes or said or [f"{command[0]} ended with {done.returncode}"])[0 if causes else -1])


def tensorrt(outcome: Outcome) -> None:
    """Which module of TensorRT there is."""
    trt = tensorrt_module()
    outcome.facts |= {
        "module": trt.title,
        "builds ahead of time for": ", ".join(trt.generations) or "the GPU at hand only",
    }
