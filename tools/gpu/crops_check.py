"""The preprocessing kernels on the GPU: right, and how fast against the memory's limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from engines.cuda.device import Device, Kind, Memory, open_device
from engines.cuda.gpu import require_gpu
from engines.preprocess import reference
from engines.preprocess.feeder import CropFeeder, upload_bytes
from engines.preprocess.regions import CropFormat, job, regions
from tools.gpu.steps import Outcome
from tools.gpu.timing import on_device_ms, wall_ms

SIZE = 256
MOST = 16


class _Sink:
    """An engine that hands back the crops it is fed."""

    def __init__(self, device: Device, graphs: bool) -> None:
        self.device, self._graphs, self._graph = device, graphs, dict[tuple[int, str], Any]()
        with device.active():
            self.stream = device.stream()
            self._memory = device.allocate(MOST * SIZE * SIZE * 3 * 4)
            self._out = device.page_locked((MOST, SIZE, SIZE, 3), np.float32)
        self.last_feed: Callable[[], None] = lambda: None

    def memory(self, name: str) -> Memory:
        return self._memory

    def forget(self, way: str) -> None:
        self._graph.clear()

    def run_fed(self, count: int, feed: Callable[[], None], way: str) -> tuple[np.ndarray[Any, Any], ...]:
        self.last_feed = feed
        if not self._graphs:
            feed()
        else:
            if (count, way) not in self._graph:
                self._graph[count, way] = self.device.record(self.stream, feed)
            self._graph[count, way].launch(self.stream)
        self.device.wait(self.stream)
        return (self._out[:count],)

    def read(self, count: int) -> np.ndarray[Any, Any]:
        with self.device.active():
            self.device.download(self._out[:count], self._memory.address, self.stream)
            self.device.wait(self.stream)
        return self._out[:count]


def check(outcome: Outcome, kind: Kind) -> None:
    """Run the kernels on pictures of three sizes and compare with the reference."""
    require_gpu()
    device = open_device(kind)
    begun = time.perf_counter()
    sink = _Sink(device, graphs=True)
    feeder = CropFeeder(sink, "crops", CropFormat(SIZE), MOST)
    outcome.facts["compiling and loading the kernels, s"] = time.perf_counter() - begun
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for width, height in ((1280, 720), (1920, 1080), (3840, 2160)):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for count in (1, 4, 16):
            squares = [
                SimpleNamespace(
                    cx=rng.uniform(0.3, 0.7) * width, cy=rng.uniform(0.3, 0.7) * height, size=s, rotation=0.2
                )
                for s in rng.uniform(200, 600, count)
            ]
            _, gains = feeder.run(image, squares)
            places = regions(squares, SIZE, width, height)
            expected = reference.crops(image, job(CropFormat(SIZE), image.strides[0]), places)
            off_levels = np.abs(sink.read(count) - expected) * 255
            if off_levels.max() > 2.01 or (off_levels > 0.01).mean() > 0.01 or not np.allclose(gains, places["gain"]):
                raise RuntimeError(f"crops differ from the reference by up to {off_levels.max():.2f} levels")
            with device.active():
                gpu_ms = on_device_ms(device, sink.stream, sink.last_feed)
            p50, p95 = wall_ms(lambda image=image, squares=squares: feeder.run(image, squares), 60)
            moved = count * SIZE * SIZE * 3 * (4 + 1)
            rows.append({
                "picture": f"{width}x{height}", "crops": count, "GPU ms (numbers, kernels, gains)": gpu_ms,
                "call ms p50": p50, "call ms p95": p95, "uploaded MB": upload_bytes(image, squares, SIZE) / 1e6,
                "kernel GB/s at least": moved / gpu_ms / 1e6, "levels off, most": float(off_levels.max()),
                "values off": float((off_levels > 0.01).mean()),
            })  # fmt: skip
    outcome.facts["access"] = device.kind
    outcome.tables["Crops of 256 px"] = rows
