"""Run with the driver of ``driver.cpp`` in LD_LIBRARY_PATH: frames through ``CropFeeder`` and networks, compared with what
they must give.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from engines.artifact import ArtifactHeader
from engines.batch import BatchProfile
from engines.cuda.device import Device, open_device
from engines.cuda.engine import DeviceEngine, Recorded
from engines.cuda.gpu import find_gpu
from engines.engine import TensorSpec
from engines.errors import EngineError
from engines.preprocess import feeder as feeders
from engines.preprocess import gather as gathers
from engines.preprocess import reference
from engines.preprocess.feeder import CropFeeder
from engines.preprocess.gather import Gather
from engines.preprocess.regions import CropFormat, job, regions

SIZE, MOST = 32, 4
VALUES = 3 * SIZE * SIZE


def header(made_of: tuple[int, ...], makes: tuple[int, ...]) -> ArtifactHeader:
    """Of a network with one input and one output."""
    shapes = {"taken": made_of, "made": makes}
    taken, made = (TensorSpec(name, (MOST, *shape), np.dtype(np.float32)) for name, shape in shapes.items())
    return ArtifactHeader("net", "", "test", "1", "fp32", BatchProfile(1, 1, MOST), "sm86", (taken,), (made,))


class Picker(DeviceEngine):
    """A network that picks some of its input's values, in graphs as any other's kernels."""

    backend = "test"
    recorded = 0

    def __init__(self, device: Device, made_of: tuple[int, ...], picks: np.ndarray[Any, Any], scale: float) -> None:
        super().__init__(Path("picker"), header(made_of, picks.shape), device)
        ends = SimpleNamespace(outputs=self.inputs, device=device, stream=self.stream, memory=self.memory)
        to = SimpleNamespace(inputs=self.outputs, memory=self.memory)
        self._work = Gather(ends, 0, to, picks, 0.0, scale)  # type: ignore[arg-type]

    def another(self) -> Any:
        raise NotImplementedError

    def begin(self, count: int, stream: int) -> None:
        self._work(count, stream)

    def record(self, work: Callable[[], None]) -> Recorded:
        self.recorded += 1
        return super().record(work)


def pictures() -> Any:
    """Pictures of several sizes with several squares each."""
    rng = np.random.default_rng(0)
    for height, width, count in ((60, 80, 1), (60, 80, 3), (60, 80, 1), (200, 300, 3), (60, 80, 4)):
        image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        squares = [
            SimpleNamespace(
                cx=width * rng.uniform(0.2, 0.8), cy=height * rng.uniform(0.2, 0.8), size=40 * 3**i, rotation=0.3 * i
            )
            for i in range(count)
        ]
        yield image, squares, [bool(i % 2) for i in range(count)]


def expected(image: Any, squares: Any, mirrored: Any, form: CropFormat) -> tuple[Any, Any]:
    places = regions(squares, SIZE, image.shape[1], image.shape[0], mirrored)
    return reference.crops(image, job(form, image.strides[0]), places), places["gain"]


def two_networks(device: Device) -> None:
    """Crops, a network, and another behind it that takes some of its values: a graph for each number of rows."""
    locked = ctypes.CDLL("libcuda.so.1").locked_allocations
    rng = np.random.default_rng(1)
    some = rng.permutation(VALUES)[:50]
    first = Picker(device, (SIZE, SIZE, 3), np.arange(VALUES), 1.0)
    second = Picker(device, (50,), np.arange(50)[::-1], 2.0)
    first.follow_with(second, Gather(first, 0, second, some, 0.25, 4.0))
    feeder = CropFeeder(first, "taken", CropFormat(SIZE), MOST)
    before = locked()
    for image, squares, mirrored in pictures():
        (crops, picked), gains = feeder.run(image, squares, mirrored)
        right, raised = expected(image, squares, mirrored, CropFormat(SIZE))
        assert gains.tolist() == raised.tolist()
        assert np.isclose(crops, right.reshape(len(squares), -1), atol=1e-5).mean() > 0.999
        assert np.array_equal(picked, 2 * ((crops[:, some] - np.float32(0.25)) * np.float32(4))[:, ::-1])
        del crops, picked
        # The staging of the smaller pictures is given back.
        assert locked() == before + 1, (locked(), before)
    # Per number of crops one graph, and anew when a larger picture needed more memory.
    assert first.recorded == 4, first.recorded
    try:
        feeder.run(image, squares * 2)
    except EngineError as error:
        assert str(error) == "1 to 4 crops at once, got 8"
    (alone,) = second.run(2)[:1]
    assert alone.shape == (2, 50)
    first.graphs = False
    first.forget("crops")
    (crops, _), _ = feeder.run(image, squares, mirrored)
    assert np.isclose(crops, right.reshape(len(squares), -1), atol=1e-5).mean() > 0.999
    assert first.recorded == 4
    try:
        Gather(first, 0, second, some[:49], 0.0, 1.0)
    except EngineError as error:
        print(error)


def in_torch(device: Device) -> None:
    """The same with torch's networks, whose tensors lie in this GPU's memory: the host's."""
    import torch

    from engines.torch_device import TorchDeviceEngine

    torch.manual_seed(0)
    mixing = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(VALUES, 20)).eval()
    scoring = torch.nn.Linear(6, 5).eval()
    first = TorchDeviceEngine(Path("mixing"), header((3, SIZE, SIZE), (20,)), mixing, device, "cpu")
    second = TorchDeviceEngine(Path("scoring"), header((6,), (5,)), scoring, device, "cpu")
    # Graphs of torch's need a GPU of torch's.
    first.graphs = False
    picks = np.array([[3, 1, 4], [15, 9, 2]])
    first.follow_with(second, Gather(first, 0, second, picks, 1.0, 0.5))
    form = CropFormat(SIZE, planar=True)
    feeder = CropFeeder(first, "taken", form, MOST)
    for image, squares, mirrored in pictures():
        (mixed, scores), _ = feeder.run(image, squares, mirrored)
        right, _ = expected(image, squares, mirrored, form)
        crops: Any = first.memory("taken").tensor[: len(squares)]  # type: ignore[attr-defined]
        assert np.isclose(crops, right, atol=1e-5).mean() > 0.999
        with torch.inference_mode():
            wanted = mixing(crops)
            then = scoring((wanted[:, picks.reshape(-1)] - 1.0) * 0.5)
        assert np.allclose(mixed, wanted.numpy(), atol=1e-5)
        assert np.allclose(scores, then.numpy(), atol=1e-5)
    crops = np.random.default_rng(2).random((2, 3, SIZE, SIZE), np.float32)
    with torch.inference_mode():
        wanted = mixing(torch.from_numpy(crops))
    other = first.another()
    other.graphs = False
    assert np.allclose(other.infer(crops)["made"], wanted.numpy(), atol=1e-5)
    print("torch too")

    class Greedy(torch.nn.Module):
        def forward(self, taken: torch.Tensor) -> torch.Tensor:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 EiB.\nSee the documentation")

    for name, network in (("greedy", Greedy()), ("mixed up", torch.nn.Linear(4, 5))):
        refused = TorchDeviceEngine(Path(name), header((6,), (5,)), network.eval(), device, "cpu")
        try:
            refused.run(2)
        except EngineError as error:
            assert "\n" not in str(error)
            print(error)


def main(kind: Any) -> None:
    gpu = find_gpu()
    assert not isinstance(gpu, str), gpu
    assert (gpu.name, gpu.generation, gpu.multiprocessors, gpu.driver_cuda) == ("Host GPU", "sm86", 84, (13, 0))
    device = open_device(kind)
    assert device.kind == kind
    assert open_device(kind) is device
    # The kernels are in the driver already; NVRTC, which would ask it for more than it has, is left out.
    feeders._CODE[gpu.architecture] = gathers._CODE[gpu.architecture] = b"\x7fELF"
    two_networks(device)
    gc.collect()
    assert ctypes.CDLL("libcuda.so.1").locked_allocations() == 0
    assert ctypes.CDLL("libcuda.so.1").live_allocations() == 0
    in_torch(device)
    with device.active():
        try:
            device.allocate(2 << 30)
        except EngineError as error:
            assert "too little free memory" in str(error)
        start, end, stream = *device.events(), device.stream()
        device.mark(start, stream)
        device.mark(end, stream)
        assert device.elapsed_ms(start, end) == 0.25
        try:
            device.kernel(b"no code", "crops")
        except EngineError as error:
            print(error)
        else:
            raise AssertionError("a module without code was loaded")
    print("done")


if __name__ == "__main__":
    # pycuda refers to more functions of the driver than are asked for here.
    sys.setdlopenflags(os.RTLD_LAZY)
    main(sys.argv[1])
