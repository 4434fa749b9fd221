"""TensorRT on this GPU: builds for every GPU and for this one, parity with ONNX Runtime, times."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.artifact import read_artifact
from engines.batch import BatchProfile
from engines.build import BuildOptions, build_artifact, load_artifact
from engines.cuda.device import open_device
from engines.cuda.gpu import require_gpu
from engines.engine import Array
from engines.errors import EngineError
from engines.precision import Precision
from engines.tensorrt_engine import TensorRtEngine
from engines.tensorrt_module import tensorrt_module
from engines.tflite.convert import convert
from tools.gpu.steps import Outcome
from tools.gpu.timing import wall_ms
from tracker.networks.store import locate

BATCHES = (1, 2, 4, 8, 16, 32, 64)
NETWORK = "face_landmarks_detector.tflite"


def build(outcome: Outcome) -> None:
    """Build the landmark network ahead of time: for every GPU, and for each generation the module names."""
    trt = tensorrt_module()
    model = convert(locate(NETWORK))
    rows: list[dict[str, Any]] = []
    wanted: list[tuple[Precision, tuple[str, ...]]] = [("fp32", ()), ("fp16", ()), ("fp16", trt.generations)]
    for precision, targets in wanted:
        begun = time.perf_counter()
        path = build_artifact(model, _options(precision, targets), force=True)
        taken = time.perf_counter() - begun
        size_mb = path.stat().st_size / 1e6
        rows.append({"for": ", ".join(targets) or "every GPU", "precision": precision, "s": taken, "MB": size_mb})
    outcome.tables["Landmark network, batch 1:1:64, built ahead of time"] = rows


def run(outcome: Outcome, precision: Precision, targets: tuple[str, ...]) -> None:
    """Build the landmark network, load it and run it; ``targets`` empty: for every GPU the module supports."""
    gpu = require_gpu()
    model = convert(locate(NETWORK))
    begun = time.perf_counter()
    path = build_artifact(model, _options(precision, targets), force=True)
    outcome.facts |= {"GPU": gpu.generation, "built, s": time.perf_counter() - begun, "MB": path.stat().st_size / 1e6}
    _verdict(outcome, read_artifact(path)[1])
    begun = time.perf_counter()
    engine = load_artifact(path)
    assert isinstance(engine, TensorRtEngine)
    engine.run(1)
    outcome.facts["loaded and run once, s"] = time.perf_counter() - begun
    outcome.facts["px off ONNX Runtime fp32, most"] = _off(engine, model)
    outcome.tables["Landmark network in TensorRT"] = _times(engine, precision)


def stripped(outcome: Outcome) -> None:
    """Build the landmark network without its weights; they are put back when it is loaded."""
    model = convert(locate(NETWORK))
    sizes = {}
    for without in (False, True):
        path = build_artifact(model, replace(_options("fp32", ()), strip_weights=without), force=True)
        sizes[without] = path.stat().st_size / 1e6
    outcome.facts |= {"MB with weights": sizes[False], "MB without": sizes[True]}
    begun = time.perf_counter()
    engine = load_artifact(path)
    assert isinstance(engine, TensorRtEngine)
    outcome.facts["loaded and weights put back, s"] = time.perf_counter() - begun
    outcome.facts["taken back by"] = str(read_artifact(path)[0].notes.get("refit"))
    off = outcome.facts["px off ONNX Runtime fp32, most"] = _off(engine, model)
    # A known fault of refitted engines: biases that are left out.
    if off > 0.05:
        raise EngineError(f"with its weights put back it is {off:.3g} px off ONNX Runtime")


def _options(precision: Precision, targets: tuple[str, ...]) -> BuildOptions:
    return BuildOptions("tensorrt", precision, BatchProfile(1, 1, BATCHES[-1]), targets)


def _verdict(outcome: Outcome, plan: bytes) -> None:
    """What the module itself says about running a plan on this GPU, whatever our own check makes of it."""
    trt = tensorrt_module()
    logger = trt.logger()
    with open_device().active():
        runtime = trt.module.Runtime(logger)
        if hasattr(runtime, "get_engine_validity"):
            outcome.facts["validity, diagnostics"] = str(runtime.get_engine_validity(plan))
        outcome.facts["deserialised"] = runtime.deserialize_cuda_engine(plan) is not None
    said = [text for severity, text in logger.lines if severity <= 2]
    outcome.facts["it says"] = " / ".join(said) or "nothing"


def _off(engine: TensorRtEngine, model: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (spec,) = engine.inputs
    crops = np.random.default_rng(0).random((4, *spec.shape[1:]), np.float32)
    ours: Array = next(iter(engine.infer(crops).values())).copy()
    theirs = session.run(None, {spec.name: crops})[0]
    if not np.isfinite(ours).all():
        raise EngineError("the network's output is not finite")
    return float(np.abs(ours.reshape(4, -1) - theirs.reshape(4, -1)).max())


def _times(engine: TensorRtEngine, precision: str) -> list[dict[str, Any]]:
    rows = []
    plain = engine.another()
    plain.graphs = False
    for buffer in (*engine.buffers.values(), *plain.buffers.values()):
        buffer[...] = np.random.default_rng(1).random(buffer.shape, np.float32)
    for batch in BATCHES:
        with_graph, p95 = wall_ms(lambda batch=batch: engine.run(batch), 60)
        without, _ = wall_ms(lambda batch=batch: plain.run(batch), 60)
        rows.append({
            "precision": precision, "batch": batch, "ms with graph": with_graph, "p95": p95, "ms without": without,
            "crops/s": batch / with_graph * 1e3,
        })  # fmt: skip
    return rows
