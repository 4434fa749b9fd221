"""What the forms of a network cost on this CPU: the .tflite file, as it is and as the tracker runs it (kernels chosen,
unread rows dropped), and its ONNX conversion.

    python tools/bench_networks.py                                    every network
    python tools/bench_networks.py face_landmarks_detector --runs 400
    python tools/bench_networks.py face_landmarks_detector --batch 4

All run on one thread, in turn within one process, so that whatever else the machine does meets all alike. Figures are
milliseconds of CPU time a run (10th percentile), and the median ratio to the first row. ``differs`` is the largest
difference of any output from the first row's on noise, relative to that output's largest value (at least one).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnxruntime
import openvino
from rich.console import Console
from rich.table import Table

from engines.openvino_kernels import choose_kernels
from engines.openvino_slimming import drop_unread
from engines.tflite import read_tflite
from engines.tflite.convert import convert
from tracker.networks import ASSETS, locate

Run = Callable[[], list[np.ndarray]]
_CONFIG = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    "INFERENCE_NUM_THREADS": 1,
    "INFERENCE_PRECISION_HINT": "f32",
}


def main() -> None:
    names = [Path(asset.file).stem for asset in ASSETS if asset.file.endswith(".tflite")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(names)}")
    parser.add_argument("--runs", type=int, default=200, help="of each form (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="rows a run (default: %(default)s)")
    args = parser.parse_args()
    unknown = set(args.networks) - set(names)
    if unknown:
        parser.error(f"unknown network {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    table = Table()
    for heading in ("network", "form", "ms", "ratio", "differs"):
        table.add_column(heading, no_wrap=True)
    for name in args.networks or names:
        for row in measure(locate(f"{name}.tflite"), args.batch, args.runs):
            table.add_row(*row)
        table.add_section()
    Console(width=120).print(table)


def measure(path: Path, batch: int, runs: int) -> Iterator[tuple[str, ...]]:
    forms = dict(all_forms(path, batch))
    first = next(iter(forms))
    expected = [array.copy() for array in forms[first]()]
    differs = {
        form: max(
            float(np.abs(got.ravel() - want.ravel()).max() / max(np.abs(want).max(), 1.0))
            for got, want in zip(run(), expected, strict=True)
        )
        for form, run in forms.items()
    }
    spent: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(runs):
        for form, run in forms.items():
            run()  # what ran before has filled the caches with its own
            start = time.thread_time()
            run()
            spent[form].append(time.thread_time() - start)
    for form, times in spent.items():
        ratio = statistics.median(own / other for own, other in zip(times, spent[first], strict=True))
        yield path.stem, form, f"{sorted(times)[len(times) // 10] * 1e3:.2f}", f"{ratio:.2f}", f"{differs[form]:.0e}"


def all_forms(path: Path, batch: int) -> Iterator[tuple[str, Run]]:
    """The name and a run of each form, all on the same noise."""
    graph = read_tflite(path)
    shape = graph.tensors[graph.inputs[0]].shape
    picture = len(shape) == 4
    noise = np.random.default_rng(0).random((batch, *shape[1:]), np.float32)
    if batch == 1 or picture:
        yield ".tflite, OpenVINO", with_openvino(path, noise)
        yield ".tflite, OpenVINO, as the tracker", with_openvino(path, noise, chosen=True)
    nhwc = convert(path)
    yield ".onnx NHWC, OpenVINO", with_openvino(nhwc, noise)
    yield ".onnx NHWC, ONNX Runtime", with_onnxruntime(nhwc, noise)
    if picture:
        moved = np.ascontiguousarray(noise.transpose(0, 3, 1, 2))
        nchw = convert(path, layout="NCHW")
        yield ".onnx NCHW, OpenVINO", with_openvino(nchw, moved)
        yield ".onnx NCHW, ONNX Runtime", with_onnxruntime(nchw, moved)


def with_openvino(path: Path, given: np.ndarray, *, chosen: bool = False) -> Run:
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({model.inputs[0].any_name: list(given.shape)})
    if chosen:
        drop_unread(openvino, model)
        choose_kernels(openvino, core, model, "fp32")
    request = core.compile_model(model, "CPU", _CONFIG).create_infer_request()
    tensor = openvino.Tensor(given, shared_memory=True)
    request.set_input_tensor(0, tensor)

    def run() -> list[np.ndarray]:
        request.infer()
        return [request.get_output_tensor(index).data for index in range(len(model.outputs))]

    return run


def with_onnxruntime(path: Path, given: np.ndarray) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: given}
    return lambda: list(session.run(None, feed))


if __name__ == "__main__":
    main()
