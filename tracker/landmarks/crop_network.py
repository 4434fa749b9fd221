"""Networks that look at crops: cut on the CPU into the network's own memory, or on the GPU where the network runs there."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.config import EngineName, Precision
from tracker.errors import NetworkAssetError
from tracker.landmarks.brightness import normalised
from tracker.landmarks.crop import Cropper, Roi
from tracker.networks import open_network
from tracker.types import Float32, ImageRGB

if TYPE_CHECKING:
    from engines import Engine
    from engines.cuda.engine import DeviceEngine

MOST_CROPS: Final = 16
"""As many faces as are followed at most are one batch, where the engine takes batches."""

Outputs = tuple[NDArray[Any], ...]


class CropNetwork(Protocol):
    """A network with one input, a crop. Keeps buffers: one per thread."""

    last_crop_ms: float
    """Milliseconds that the last ``run`` spent on cutting; 0 where that is part of the network's run."""

    def run(
        self, image: ImageRGB, rois: Sequence[Roi], mirrored: Sequence[bool] | None = None
    ) -> tuple[Outputs, Float32]:
        """Run on crops of a picture.

        Args:
            image: uint8 (H, W, 3).
            rois: at least one.
            mirrored: whether each crop's left and right are exchanged; None: no crop's.

        Returns:
            The outputs, each (N, ...), overwritten by the next run, and by how much each crop was brightened, (N,).
        """
        ...


def open_crop_network(
    file: str,
    *,
    precision: Precision = "auto",
    threads: int = 1,
    engine: EngineName = "auto",
    rows: int = MOST_CROPS,
) -> HostCrops | DeviceCrops:
    """A network of the store that takes crops with values in 0..1, up to ``rows`` of them at once on a GPU.

    Raises:
        NetworkAssetError: as ``open_network``, or the GPU cannot be used.
    """
    return crops_for(open_network(file, precision=precision, threads=threads, engine=engine, rows=rows))


def crops_for(engine: Engine) -> HostCrops | DeviceCrops:
    """Crops for an engine, cut where it runs. Raises NetworkAssetError when the kernels do not load."""
    if engine.backend not in ("tensorrt", "torch"):
        return HostCrops(engine)
    from engines import EngineError
    from engines.cuda.engine import DeviceEngine

    if not isinstance(engine, DeviceEngine):
        return HostCrops(engine)
    try:
        return DeviceCrops(engine)
    except EngineError as error:
        raise NetworkAssetError(str(error)) from error


class HostCrops:
    """Cuts crops on the CPU. A batch where the engine takes one, else one crop after the other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        ((name, self._buffer),) = engine.buffers.items()
        self._told = None if engine.network is None else engine.network.input(name)
        self._planar = self._buffer.shape[1] == 3
        size = self._buffer.shape[2]
        self._cropper = Cropper(size)
        self._levels = np.empty((size, size, 3), np.float32)
        self.last_crop_ms = 0.0

    def run(
        self, image: ImageRGB, rois: Sequence[Roi], mirrored: Sequence[bool] | None = None
    ) -> tuple[Outputs, Float32]:
        """See ``CropNetwork.run``."""
        flips = mirrored or [False] * len(rois)
        gains = np.empty(len(rois), np.float32)
        self.last_crop_ms = 0.0
        most = self._engine.batch.maximum
        runs: list[Outputs] = []
        for start in range(0, len(rois), most):
            rows = range(start, min(start + most, len(rois)))
            begun = perf_counter()
            for row in rows:
                gains[row] = self._cut(self._buffer[row - start], image, rois[row], flips[row])
            self.last_crop_ms += (perf_counter() - begun) * 1e3
            outputs = self._engine.run(None if self._engine.batch.fixed else len(rows))
            if len(rows) == len(rois):
                return outputs, gains
            runs.append(tuple(output.copy() for output in outputs))
        return tuple(np.concatenate(parts) for parts in zip(*runs, strict=True)), gains

    def _cut(self, row: NDArray[Any], image: ImageRGB, roi: Roi, flip: bool) -> float:
        crop = self._cropper.cut(image, roi)
        place = row.transpose(1, 2, 0) if self._planar else row
        direct = place.dtype == np.float32
        values = place if direct else self._levels
        gain = normalised(crop[:, ::-1] if flip else crop, values)
        if self._told is not None and not self._told_nothing:
            np.subtract(values, np.asarray(self._told.mean, np.float32), out=values)
            np.divide(values, np.asarray(self._told.std, np.float32), out=values)
        if not direct:
            place[...] = values
        return gain

    @property
    def _told_nothing(self) -> bool:
        """Whether the network takes values in 0..1 as they are."""
        return self._told is None or (not any(self._told.mean) and set(self._told.std) == {1.0})


class DeviceCrops:
    """Cuts crops on the GPU, all of a frame as one batch."""

    last_crop_ms = 0.0

    def __init__(self, engine: DeviceEngine) -> None:
        """Raises EngineError when the kernels do not load."""
        from engines.preprocess.feeder import CropFeeder
        from engines.preprocess.regions import CropFormat

        (spec,) = engine.inputs
        told = None if engine.network is None else engine.network.input(spec.name)
        planar = spec.shape[1] == 3
        mean, std = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)) if told is None else (told.mean, told.std)
        form = CropFormat(spec.shape[2], planar, spec.dtype == np.float16, mean, std)
        self._engine = engine
        self._feeder = CropFeeder(engine, spec.name, form, engine.batch.maximum)

    def run(
        self, image: ImageRGB, rois: Sequence[Roi], mirrored: Sequence[bool] | None = None
    ) -> tuple[Outputs, Float32]:
        """See ``CropNetwork.run``."""
        return self._feeder.run(image, rois, mirrored)

    def follow_with(self, engine: Engine, output: int, picks: NDArray[Any], shift: float, scale: float) -> None:
        """Let another network run behind this one, on the GPU, on ``(value - shift) * scale`` of some values of an output.

        Args:
            engine: the other one, of the same backend; ``run`` returns its outputs behind this one's.
            output: which output of this one.
            picks: indices into a row of that output, in the order of the other's input.
            shift: subtracted from each value.
            scale: then multiplied with.

        Raises:
            NetworkAssetError: the two do not fit, or the kernel does not load.
        """
        from engines import EngineError
        from engines.cuda.engine import DeviceEngine
        from engines.preprocess.gather import Gather

        assert isinstance(engine, DeviceEngine)
        try:
            self._engine.follow_with(engine, Gather(self._engine, output, engine, picks, shift, scale))
        except EngineError as error:
            raise NetworkAssetError(str(error)) from error
