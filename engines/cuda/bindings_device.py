"""A GPU through NVIDIA's own bindings (``cuda-bindings``), for machines where pycuda cannot be built."""

from __future__ import annotations

import atexit
import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.cuda.device import Device, Launch, Memory, contiguous
from engines.cuda.gpu import Gpu, bindings, checked


class _Allocation(Memory):
    def __init__(self, device: BindingsDevice, size_bytes: int) -> None:
        what = f"taking {size_bytes >> 20} MiB of the GPU's memory"
        self._device = device
        self.address = int(checked(bindings().cuMemAlloc(size_bytes), what))
        self.size_bytes = size_bytes

    def __del__(self) -> None:
        # At exit the driver may be gone already, and takes its memory along. After a failed allocation there is none.
        if self._device.is_open and hasattr(self, "address"):
            with self._device.active():
                bindings().cuMemFree(self.address)


class _PageLocked:
    """Page-locked memory as numpy takes it, given back when the last array over it goes."""

    def __init__(self, device: BindingsDevice, size_bytes: int) -> None:
        self._device = device
        self._address = int(checked(bindings().cuMemHostAlloc(size_bytes, 0), "taking page-locked memory"))
        self.__array_interface__ = {
            "data": (self._address, False),
            "shape": (size_bytes,),
            "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        # See ``_Allocation``.
        if self._device.is_open and hasattr(self, "_address"):
            with self._device.active():
                bindings().cuMemFreeHost(self._address)


class BindingsDevice(Device):
    """See ``Device``."""

    kind = "cuda-bindings"

    def __init__(self, gpu: Gpu) -> None:
        """Raises EngineError when the GPU cannot be opened."""
        super().__init__(gpu)
        driver = bindings()
        handle = checked(driver.cuDeviceGet(0), "opening the GPU")
        self._context = checked(driver.cuDevicePrimaryCtxRetain(handle), "opening the GPU")
        atexit.register(self._close)

    def _close(self) -> None:
        self.is_open = False

    @contextmanager
    def active(self) -> Iterator[None]:
        """See ``Device.active``."""
        driver = bindings()
        checked(driver.cuCtxPushCurrent(self._context), "switching to the GPU")
        try:
            yield
        finally:
            driver.cuCtxPopCurrent()

    def allocate(self, size_bytes: int) -> Memory:
        """See ``Device.allocate``."""
        return _Allocation(self, size_bytes)

    def page_locked(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """See ``Device.page_locked``."""
        kind = np.dtype(dtype)
        size_bytes = int(np.prod(shape)) * kind.itemsize
        # The array keeps what it was made of.
        plain = np.asarray(_PageLocked(self, max(1, size_bytes)))[:size_bytes]
        array: NDArray[Any] = plain.view(kind).reshape(shape)
        array[...] = np.zeros((), kind)
        return array

    def stream(self) -> int:
        """See ``Device.stream``."""
        driver = bindings()
        # Does not wait for work on the default stream, nor makes it wait.
        return int(checked(driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING), "making a stream"))

    def upload(self, address: int, array: NDArray[Any], stream: int) -> None:
        """See ``Device.upload``."""
        flat = contiguous(array)
        checked(bindings().cuMemcpyHtoDAsync(address, flat.ctypes.data, flat.nbytes, stream), "copying to the GPU")

    def download(self, array: NDArray[Any], address: int, stream: int) -> None:
        """See ``Device.download``."""
        flat = contiguous(array)
        checked(bindings().cuMemcpyDtoHAsync(flat.ctypes.data, address, flat.nbytes, stream), "copying from the GPU")

    def kernel(self, code: bytes, name: str) -> Launch:
        """See ``Device.kernel``."""
        driver = bindings()
        module = checked(driver.cuModuleLoadData(code), f"loading the kernel {name}")
        function = checked(driver.cuModuleGetFunction(module, name.encode()), f"loading the kernel {name}")

        def launch(
            grid: tuple[int, int, int], block: tuple[int, int, int], addresses: Sequence[int], stream: int
        ) -> None:
            arguments = (tuple(addresses), (ctypes.c_void_p,) * len(addresses))
            checked(
                driver.cuLaunchKernel(function, *grid, *block, 0, stream, arguments, 0), f"starting the kernel {name}"
            )

        return launch

    def wait(self, stream: int) -> None:
        """See ``Device.wait``."""
        checked(bindings().cuStreamSynchronize(stream), "running on the GPU")
