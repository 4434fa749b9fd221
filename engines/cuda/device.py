"""What the rest of the program asks of a GPU: memory, page-locked staging, copies, kernels and graphs on a stream.

Memory, staging, streams and kernels come from pycuda where it is installed, else from NVIDIA's own bindings; graphs from the
bindings in any case, since pycuda has none. Both work in the GPU's primary context, the one TensorRT and torch use too.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.cuda.gpu import Gpu, bindings, checked, require_gpu
from engines.errors import EngineError

Kind = Literal["auto", "pycuda", "cuda-bindings"]
KINDS: Final = ("auto", "pycuda", "cuda-bindings")

Launch = Callable[[tuple[int, int, int], tuple[int, int, int], Sequence[int], int], None]
"""Start a kernel whose arguments are all addresses: grid, block, addresses, stream."""


class Memory(ABC):
    """Memory of the GPU, given back when this object goes."""

    address: int
    size_bytes: int


class Graph:
    """Work recorded from a stream, started again by one call."""

    def __init__(self, executable: Any, device: Device) -> None:
        self._executable = executable
        self._device = device

    def launch(self, stream: int) -> None:
        """Start it on ``stream``."""
        driver = bindings()
        checked(driver.cuGraphLaunch(self._executable, stream), "starting a CUDA graph")

    def __del__(self) -> None:
        # At exit the driver may be gone already.
        if self._device.is_open:
            with self._device.active():
                bindings().cuGraphExecDestroy(self._executable)


class Device(ABC):
    """One GPU. Calls other than ``active`` want to be made inside ``with device.active():``, on any thread."""

    kind: str
    """``pycuda`` or ``cuda-bindings``."""
    is_open = True

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu

    @abstractmethod
    def active(self) -> AbstractContextManager[None]:
        """Makes this GPU the one that calls of this thread mean."""

    @abstractmethod
    def allocate(self, size_bytes: int) -> Memory:
        """Raises EngineError when the GPU has not that much."""

    @abstractmethod
    def page_locked(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of zeros in memory that the GPU copies from and to without a detour; given back with the last view of it."""

    @abstractmethod
    def stream(self) -> int:
        """The handle of a new stream; it lives as long as the device."""

    @abstractmethod
    def upload(self, address: int, array: NDArray[Any], stream: int) -> None:
        """Begin to copy a contiguous array to the GPU."""

    @abstractmethod
    def download(self, array: NDArray[Any], address: int, stream: int) -> None:
        """Begin to copy from the GPU into a contiguous array."""

    @abstractmethod
    def kernel(self, code: bytes, name: str) -> Launch:
        """A kernel of a module (cubin or PTX). Raises EngineError when the GPU or its driver cannot load it."""

    @abstractmethod
    def wait(self, stream: int) -> None:
        """Until all that was begun on ``stream`` is done. Raises EngineError when some of it failed."""

    def record(self, stream: int, work: Callable[[], None]) -> Graph:
        """What ``work`` begins on ``stream``, as a graph; nothing of it is carried out.

        Raises:
            EngineError: it contains something that cannot be recorded.
        """
        driver = bindings()
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        checked(driver.cuStreamBeginCapture(stream, mode), "recording a CUDA graph")
        try:
            work()
        finally:
            # Also after a failure: a stream that goes on recording is of no use.
            answer = driver.cuStreamEndCapture(stream)
        graph = checked(answer, "recording a CUDA graph")
        executable = checked(driver.cuGraphInstantiate(graph, 0), "preparing a CUDA graph")
        driver.cuGraphDestroy(graph)
        return Graph(executable, self)

    def events(self) -> tuple[Any, Any]:
        """Two events for ``elapsed_ms``."""
        driver = bindings()
        return checked(driver.cuEventCreate(0), "making an event"), checked(driver.cuEventCreate(0), "making an event")

    def mark(self, event: Any, stream: int) -> None:
        """Note the time when the work before is done."""
        checked(bindings().cuEventRecord(event, stream), "timing")

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds between two marks, once ``end`` has come to pass."""
        driver = bindings()
        checked(driver.cuEventSynchronize(end), "timing")
        return float(checked(driver.cuEventElapsedTime(start, end), "timing"))


_DEVICES: dict[str, Device] = {}


def open_device(kind: Kind = "auto") -> Device:
    """This machine's GPU; the same object every time.

    Args:
        kind: ``auto`` takes pycuda where it is installed.

    Raises:
        EngineError: there is no GPU that can be used, or the package of that kind is not installed.
    """
    if kind not in KINDS:
        raise EngineError(f"GPU access must be {', '.join(KINDS)}, got {kind!r}")
    gpu = require_gpu()
    chosen = kind
    if kind == "auto":
        chosen = "pycuda" if importlib.util.find_spec("pycuda") else "cuda-bindings"
    if chosen not in _DEVICES:
        if chosen == "pycuda":
            from engines.cuda.pycuda_device import PycudaDevice

            _DEVICES[chosen] = PycudaDevice(gpu)
        else:
            from engines.cuda.bindings_device import BindingsDevice

            _DEVICES[chosen] = BindingsDevice(gpu)
    return _DEVICES[chosen]


@contextmanager
def one_line(what: str, failures: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Turn a library's exceptions into EngineError."""
    try:
        yield
    except failures as error:
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if type(error).__name__ == "MemoryError":
            text = "the GPU has too little free memory; close other programs, or build with a smaller --batch"
        raise EngineError(f"{what}: {text}") from error


def contiguous(array: NDArray[Any]) -> NDArray[Any]:
    """``array`` itself. Raises EngineError when it has gaps: copies go by bytes."""
    if not array.flags.c_contiguous:
        raise EngineError(f"arrays for the GPU must be contiguous, got strides {array.strides} for shape {array.shape}")
    return np.asarray(array)
