"""Which NVIDIA GPU this machine has, or why it has none that can be used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from engines.errors import EngineError, first_line

_INSTALL = "pip install 'facestream-tracker[tensorrt]'"
OLDEST = (7, 5)
"""Compute capability of the oldest GPUs that current CUDA and TensorRT run on (Turing)."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU of this machine."""

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int
    clock_hz: float
    memory_clock_hz: float
    memory_bus_bits: int
    l2_bytes: int
    driver_cuda: tuple[int, int]
    """The CUDA version that the driver brings."""

    @property
    def generation(self) -> str:
        """As targets of builds are named, such as ``sm86``."""
        return f"sm{self.capability[0]}{self.capability[1]}"

    @property
    def architecture(self) -> str:
        """As compilers want it, such as ``sm_86``."""
        return f"sm_{self.capability[0]}{self.capability[1]}"


@cache
def find_gpu() -> Gpu | str:
    """The GPU, or on one line why there is none that can be used. Asked once a process."""
    try:
        driver = bindings()
    except EngineError as error:
        return str(error)
    try:
        return _describe(driver)
    except EngineError as error:
        return str(error)
    except RuntimeError:
        # cuda-pathfinder's error for a library that is not there.
        return "no NVIDIA driver on this machine; install one, or use --engine openvino"


def require_gpu() -> Gpu:
    """The same. Raises EngineError when there is none."""
    found = find_gpu()
    if isinstance(found, str):
        raise EngineError(found)
    return found


def bindings() -> Any:
    """NVIDIA's bindings of the driver (``cuda.bindings.driver``). Raises EngineError when they are not installed."""
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise EngineError(
            f"GPUs need the Python package cuda-bindings ({first_line(error)}); run: {_INSTALL}"
        ) from None
    return driver


def checked(answer: tuple[Any, ...], what: str) -> Any:
    """The values of a call to the bindings. Raises EngineError with what to do when it failed."""
    status = answer[0]
    if int(status) != 0:
        raise EngineError(_explained(status.name, what))
    values = answer[1:]
    return values[0] if len(values) == 1 else values or None


def _explained(status: str, what: str) -> str:
    if status == "CUDA_ERROR_OUT_OF_MEMORY":
        return f"{what}: the GPU has too little free memory; close other programs, or build with a smaller --batch"
    if status in ("CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_INVALID_DEVICE"):
        return "no NVIDIA GPU in this machine; use --engine openvino"
    if status in (
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
    ):
        return f"{what}: the NVIDIA driver is too old ({status}); update it"
    if status == "CUDA_ERROR_NO_BINARY_FOR_GPU":
        return f"{what}: it was not built for this GPU; build it again on this machine"
    return f"{what}: CUDA answers {status}"


def _describe(driver: Any) -> Gpu:
    checked(driver.cuInit(0), "starting the GPU")
    version = checked(driver.cuDriverGetVersion(), "asking the driver's version")
    if checked(driver.cuDeviceGetCount(), "counting GPUs") == 0:
        raise EngineError("no NVIDIA GPU in this machine; use --engine openvino")
    device = checked(driver.cuDeviceGet(0), "opening the GPU")
    name = checked(driver.cuDeviceGetName(128, device), "asking the GPU's name").split(b"\0")[0].decode()
    kinds = driver.CUdevice_attribute

    def attribute(kind: str) -> int:
        return int(checked(driver.cuDeviceGetAttribute(getattr(kinds, f"CU_DEVICE_ATTRIBUTE_{kind}"), device), kind))

    capability = (attribute("COMPUTE_CAPABILITY_MAJOR"), attribute("COMPUTE_CAPABILITY_MINOR"))
    if capability < OLDEST:
        raise EngineError(
            f"{name} (sm{capability[0]}{capability[1]}) is older than sm75, the oldest supported; use --engine openvino"
        )
    return Gpu(
        name,
        capability,
        attribute("MULTIPROCESSOR_COUNT"),
        int(checked(driver.cuDeviceTotalMem(device), "asking the GPU's memory")),
        attribute("CLOCK_RATE") * 1e3,
        attribute("MEMORY_CLOCK_RATE") * 1e3,
        attribute("GLOBAL_MEMORY_BUS_WIDTH"),
        attribute("L2_CACHE_SIZE"),
        (version // 1000, version % 1000 // 10),
    )
