"""Some of a network's outputs as another network's input, without leaving the GPU (``gather.cu``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.cuda.compile import compile_cuda
from engines.cuda.engine import DeviceEngine
from engines.errors import EngineError

SOURCE: Final = Path(__file__).with_name("gather.cu")
PICKING: Final = np.dtype([("width", "<i4"), ("count", "<i4"), ("shift", "<f4"), ("scale", "<f4")])
"""The layout of ``Picking`` in ``gather.cu``."""
_THREADS: Final = 128


class Gather:
    """A link between two engines, see ``DeviceEngine.follow_with``."""

    def __init__(
        self, source: DeviceEngine, output: int, target: DeviceEngine, picks: NDArray[Any], shift: float, scale: float
    ) -> None:
        """Compile the kernel and bring the picks to the GPU.

        Args:
            source: the network whose output is picked from.
            output: which of its outputs.
            target: the network that takes ``(value - shift) * scale``; it has one input.
            picks: indices into a row of the output, one for each value of a row of the input.
            shift: subtracted from each value.
            scale: then multiplied with.

        Raises:
            EngineError: the two do not fit, or the kernel does not load.
        """
        made, (taken,) = source.outputs[output], target.inputs
        width, count = (int(np.prod(spec.shape[1:])) for spec in (made, taken))
        if made.dtype != np.float32 or taken.dtype != np.float32:
            raise EngineError(f"{made} and {taken} must both be float32")
        if picks.size != count or picks.min() < 0 or picks.max() >= width:
            raise EngineError(f"{taken} takes {count} values of {width} a row, got {picks.size} picks")
        device = source.device
        numbers = np.array([(width, count, shift, scale)], PICKING).view(np.uint8)
        indices = np.ascontiguousarray(picks.reshape(-1), np.int32)
        with device.active():
            self._launch = device.kernel(_code(device.gpu.architecture), "gather")
            self._numbers, self._picks = device.allocate(numbers.nbytes), device.allocate(indices.nbytes)
            device.upload(self._numbers.address, numbers, source.stream)
            device.upload(self._picks.address, indices, source.stream)
            device.wait(source.stream)
        self._from, self._to = source.memory(made.name), target.memory(taken.name)
        self._blocks = -(-count // _THREADS)

    def __call__(self, rows: int, stream: int) -> None:
        """Begin it for the first ``rows`` rows."""
        addresses = (self._from.address, self._numbers.address, self._picks.address, self._to.address)
        self._launch((self._blocks, 1, rows), (_THREADS, 1, 1), addresses, stream)


_CODE: dict[str, bytes] = {}


def _code(architecture: str) -> bytes:
    if architecture not in _CODE:
        _CODE[architecture] = compile_cuda(SOURCE.read_text(encoding="utf-8"), SOURCE.name, architecture)
    return _CODE[architecture]
