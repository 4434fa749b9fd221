"""Feeding an engine on the GPU with crops of pictures: one upload, one graph of kernels and network, one small download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.cuda.compile import compile_cuda
from engines.cuda.device import Device, Launch, Memory
from engines.engine import Array
from engines.errors import EngineError
from engines.preprocess import KERNELS
from engines.preprocess.regions import JOB, REGION, CropFormat, Square, job, regions, rows_needed

_CROPS: Final = "crops"
_BLOCK: Final = (32, 8, 1)
_LEVELS_THREADS: Final = 256


class Fed(Protocol):
    """An engine whose inputs can be written on the GPU."""

    device: Device
    stream: int

    def memory(self, name: str) -> Memory:
        """An input's memory."""

    def run_fed(self, count: int, feed: Callable[[], None], way: str) -> tuple[Array, ...]:
        """Run on what ``feed`` puts there."""

    def forget(self, way: str) -> None:
        """Record anew what was fed in this way."""


class CropFeeder:
    """Cuts crops out of pictures on the GPU and runs a network on them. For one thread, as the engine is."""

    def __init__(self, engine: Fed, input_name: str, form: CropFormat, most: int) -> None:
        """Compile and load the kernels.

        Args:
            engine: the network.
            input_name: its input that takes crops.
            form: what that input wants.
            most: crops at once, the engine's ``batch.maximum``.

        Raises:
            EngineError: the kernels cannot be compiled or loaded.
        """
        self._engine, self._form, self._most = engine, form, most
        self._crops = engine.memory(input_name)
        device = engine.device
        with device.active():
            self._levels, self._cut = _kernels(device)
            self._numbers = device.allocate(JOB.itemsize + most * REGION.itemsize)
            self._staged_numbers = device.page_locked((JOB.itemsize + most * REGION.itemsize,), np.uint8)
            self._read_back = device.page_locked((most,), REGION)
        self._picture: Memory | None = None
        self._staged_picture: NDArray[np.uint8] = np.empty(0, np.uint8)

    def run(
        self, image: NDArray[np.uint8], squares: Sequence[Square], mirrored: Sequence[bool] | None = None
    ) -> tuple[tuple[Array, ...], NDArray[np.float32]]:
        """Run the network on crops of a picture.

        Args:
            image: uint8 (H, W, 3), RGB.
            squares: 1 to ``most`` of them, in picture pixels.
            mirrored: whether each crop's left and right are exchanged; None: no crop's.

        Returns:
            The network's outputs with a row per square, overwritten by the next run, and the factor (N,) by which each crop was
            brightened.
        """
        count = len(squares)
        if not 1 <= count <= self._most:
            raise EngineError(f"1 to {self._most} crops at once, got {count}")
        height, width = image.shape[:2]
        places = regions(squares, self._form.size, width, height, mirrored)
        first, end = rows_needed(places)
        device, engine = self._engine.device, self._engine
        with device.active():
            self._upload(image[first:end])
            numbers = self._staged_numbers
            numbers[: JOB.itemsize] = job(self._form, 3 * width, first).view(np.uint8).reshape(-1)
            numbers[JOB.itemsize : JOB.itemsize + places.nbytes] = places.view(np.uint8).reshape(-1)
            outputs = engine.run_fed(count, lambda: self._feed(count), _CROPS)
        return outputs, self._read_back["gain"][:count].astype(np.float32)

    def _upload(self, rows: NDArray[np.uint8]) -> None:
        """Bring rows of a picture to the GPU, through page-locked memory that grows with need."""
        device, size_bytes = self._engine.device, rows.size
        if self._picture is None or size_bytes > self._picture.size_bytes:
            # Half as much again: crops that grow from frame to frame must not mean new memory every time.
            room = size_bytes + size_bytes // 2
            self._picture = device.allocate(room)
            self._staged_picture = device.page_locked((room,), np.uint8)
            self._engine.forget(_CROPS)
        staged = self._staged_picture[:size_bytes]
        np.copyto(staged.reshape(rows.shape), rows)
        device.upload(self._picture.address, staged, self._engine.stream)

    def _feed(self, count: int) -> None:
        """Begin the work between the picture's upload and the network: the same for every picture."""
        assert self._picture is not None
        device, stream, size = self._engine.device, self._engine.stream, self._form.size
        used = JOB.itemsize + count * REGION.itemsize
        device.upload(self._numbers.address, self._staged_numbers[:used], stream)
        job_at, regions_at = self._numbers.address, self._numbers.address + JOB.itemsize
        picture = self._picture.address
        self._levels((count, 1, 1), (_LEVELS_THREADS, 1, 1), (picture, job_at, regions_at), stream)
        grid = (-(-size // _BLOCK[0]), -(-size // _BLOCK[1]), count)
        self._cut(grid, _BLOCK, (picture, job_at, regions_at, self._crops.address), stream)
        device.download(self._read_back[:count], regions_at, stream)


_CODE: dict[str, bytes] = {}


def _kernels(device: Device) -> tuple[Launch, Launch]:
    architecture = device.gpu.architecture
    if architecture not in _CODE:
        _CODE[architecture] = compile_cuda(KERNELS.read_text(encoding="utf-8"), KERNELS.name, architecture)
    code = _CODE[architecture]
    return device.kernel(code, "levels"), device.kernel(code, "crops")


def upload_bytes(image: NDArray[Any], squares: Sequence[Square], size: int) -> int:
    """How many bytes of a picture (H, W, 3) its crops need on the GPU."""
    first, end = rows_needed(regions(squares, size, image.shape[1], image.shape[0]))
    return (end - first) * int(image.shape[1]) * 3
