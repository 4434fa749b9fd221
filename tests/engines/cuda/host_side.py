"""Run with the driver of ``driver.cpp`` in LD_LIBRARY_PATH: frames through ``CropFeeder``, compared with its reference."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from engines.cuda.device import Device, Graph, Memory, open_device
from engines.cuda.gpu import find_gpu
from engines.errors import EngineError
from engines.preprocess import feeder as feeders
from engines.preprocess import reference
from engines.preprocess.feeder import CropFeeder
from engines.preprocess.regions import CropFormat, job, regions

SIZE, MOST = 32, 4


class Crops:
    """An engine whose output is its input."""

    def __init__(self, device: Device) -> None:
        self.device, self.recorded = device, 0
        with device.active():
            self.stream = device.stream()
            self._memory = device.allocate(MOST * SIZE * SIZE * 3 * 4)
            self._out = device.page_locked((MOST, SIZE, SIZE, 3), np.float32)
        self._graphs: dict[tuple[int, str], Graph] = {}

    def memory(self, name: str) -> Memory:
        return self._memory

    def forget(self, way: str) -> None:
        self._graphs.clear()

    def run_fed(self, count: int, feed: Callable[[], None], way: str) -> tuple[np.ndarray[Any, Any], ...]:
        def work() -> None:
            feed()
            self.device.download(self._out[:count], self._memory.address, self.stream)

        if (count, way) not in self._graphs:
            self._graphs[count, way] = self.device.record(self.stream, work)
            self.recorded += 1
        self._graphs[count, way].launch(self.stream)
        self.device.wait(self.stream)
        return (self._out[:count],)


def main(kind: Any) -> None:
    gpu = find_gpu()
    assert not isinstance(gpu, str), gpu
    assert (gpu.name, gpu.generation, gpu.multiprocessors, gpu.driver_cuda) == ("Host GPU", "sm86", 84, (13, 0))
    device = open_device(kind)
    assert device.kind == kind
    assert open_device(kind) is device
    # The kernels are in the driver already; NVRTC, which would ask it for more than it has, is left out.
    feeders._CODE[gpu.architecture] = b"\x7fELF"
    engine = Crops(device)
    form = CropFormat(SIZE)
    feeder = CropFeeder(engine, "image", form, MOST)
    rng = np.random.default_rng(0)
    for height, width, count in ((60, 80, 1), (60, 80, 3), (60, 80, 1), (200, 300, 3), (60, 80, 4)):
        image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        squares = [
            SimpleNamespace(
                cx=width * rng.uniform(0.2, 0.8), cy=height * rng.uniform(0.2, 0.8), size=40 * 3**i, rotation=0.3 * i
            )
            for i in range(count)
        ]
        mirrored = [bool(i % 2) for i in range(count)]
        (crops,), gains = feeder.run(image, squares, mirrored)
        places = regions(squares, SIZE, width, height, mirrored)
        expected = reference.crops(image, job(form, image.strides[0]), places)
        assert gains.tolist() == places["gain"].tolist()
        assert np.isclose(crops, expected, atol=1e-5).mean() > 0.999, (height, width, count)
    # Per number of crops one graph, and anew when a larger picture needed more memory.
    assert engine.recorded == 4, engine.recorded
    with device.active():
        try:
            device.allocate(2 << 30)
        except EngineError as error:
            assert "too little free memory" in str(error)
        start, end = device.events()
        device.mark(start, engine.stream)
        device.mark(end, engine.stream)
        assert device.elapsed_ms(start, end) == 0.25
        try:
            device.kernel(b"no code", "crops")
        except EngineError as error:
            print(error)
        else:
            raise AssertionError("a module without code was loaded")
    try:
        feeder.run(image, squares * 2)
    except EngineError as error:
        assert str(error) == "1 to 4 crops at once, got 8"
    print("done")


if __name__ == "__main__":
    # pycuda refers to more functions of the driver than are asked for here.
    sys.setdlopenflags(os.RTLD_LAZY)
    main(sys.argv[1])
