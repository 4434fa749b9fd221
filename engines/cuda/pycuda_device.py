"""A GPU through pycuda."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.cuda.device import Device, Launch, Memory, contiguous, one_line
from engines.cuda.gpu import Gpu
from engines.errors import EngineError, first_line

_NON_BLOCKING: Final = 1
"""Flag of a stream that does not wait for work on the default stream, nor makes it wait."""


class _Allocation(Memory):
    def __init__(self, handle: Any, size_bytes: int) -> None:
        # The handle frees the memory when it goes.
        self._handle = handle
        self.address = int(handle)
        self.size_bytes = size_bytes


class PycudaDevice(Device):
    """See ``Device``."""

    kind = "pycuda"

    def __init__(self, gpu: Gpu) -> None:
        """Raises EngineError when pycuda does not load."""
        super().__init__(gpu)
        try:
            import pycuda.driver as driver
        except (ImportError, RuntimeError) as error:
            raise EngineError(
                f"pycuda does not load ({first_line(error)}); build it again for this CUDA (docs/gpu.md) or uninstall it"
            ) from error
        self._driver = driver
        with self._explained("opening the GPU"):
            driver.init()
            self._context = driver.Device(0).retain_primary_context()
        self._streams: dict[int, Any] = {}
        atexit.register(self._close)

    def _explained(self, what: str) -> Any:
        return one_line(what, (self._driver.Error,))

    def _close(self) -> None:
        self.is_open = False
        self._streams.clear()
        self._context.detach()

    @contextmanager
    def active(self) -> Iterator[None]:
        """See ``Device.active``."""
        self._context.push()
        try:
            yield
        finally:
            self._driver.Context.pop()

    def allocate(self, size_bytes: int) -> Memory:
        """See ``Device.allocate``."""
        with self._explained(f"taking {size_bytes >> 20} MiB of the GPU's memory"):
            return _Allocation(self._driver.mem_alloc(size_bytes), size_bytes)

    def page_locked(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """See ``Device.page_locked``."""
        with self._explained("taking page-locked memory"):
            array: NDArray[Any] = self._driver.pagelocked_zeros(shape, np.dtype(dtype))
        return array

    def stream(self) -> int:
        """See ``Device.stream``."""
        with self._explained("making a stream"):
            stream = self._driver.Stream(_NON_BLOCKING)
        self._streams[int(stream.handle)] = stream
        return int(stream.handle)

    def upload(self, address: int, array: NDArray[Any], stream: int) -> None:
        """See ``Device.upload``."""
        with self._explained("copying to the GPU"):
            self._driver.memcpy_htod_async(address, contiguous(array), self._streams[stream])

    def download(self, array: NDArray[Any], address: int, stream: int) -> None:
        """See ``Device.download``."""
        with self._explained("copying from the GPU"):
            self._driver.memcpy_dtoh_async(contiguous(array), address, self._streams[stream])

    def kernel(self, code: bytes, name: str) -> Launch:
        """See ``Device.kernel``."""
        with self._explained(f"loading the kernel {name}"):
            function = self._driver.module_from_buffer(code).get_function(name)

        def launch(
            grid: tuple[int, int, int], block: tuple[int, int, int], addresses: Sequence[int], stream: int
        ) -> None:
            with self._explained(f"starting the kernel {name}"):
                if getattr(function, "arg_format", None) is None:
                    function.prepare("P" * len(addresses))
                function.prepared_async_call(grid, block, self._streams[stream], *addresses)

        return launch

    def wait(self, stream: int) -> None:
        """See ``Device.wait``."""
        with self._explained("running on the GPU"):
            self._streams[stream].synchronize()
