"""NVIDIA GPUs through TensorRT, from either of its Python modules.

Engines are built ahead of time without a GPU (``tensorrt_rtx``) and run on Turing and later. Without ``--for`` such an engine
runs on every GPU that the module supports.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.artifact import ArtifactHeader
from engines.backend import BuildJob, Built, Capability
from engines.cache import scratch_dir, sha256_of
from engines.cuda.gpu import Gpu, find_gpu, require_gpu
from engines.engine import Engine, TensorSpec
from engines.errors import EngineError
from engines.tensorrt_build import ANY_GPU, PRECISIONS, BuildRequest, build_plan, half_precision
from engines.tensorrt_module import CURRENT, tensorrt_module


def describe() -> Capability:
    """See ``Backend.describe``."""
    trt = tensorrt_module()
    gpu = find_gpu()
    version = f"{trt.name} {trt.version}"
    if isinstance(gpu, Gpu):
        return Capability(version, gpu.generation, gpu.name, PRECISIONS, True)
    return Capability(version, "no-gpu", "a machine without a GPU", PRECISIONS, False, gpu)


def device_for(targets: tuple[str, ...]) -> str:
    """See ``Backend.device_for``."""
    trt = tensorrt_module()
    chosen = trt.check_generations(targets)
    if chosen == (CURRENT,):
        return require_gpu().generation
    if chosen:
        return ",".join(chosen)
    if trt.generations:
        return ANY_GPU
    gpu = find_gpu()
    if isinstance(gpu, str):
        raise EngineError(
            f"{trt.title} builds on a GPU only ({gpu}); for builds without one: pip install tensorrt-rtx-cu13"
        )
    return gpu.generation


def build(job: BuildJob) -> Built:
    """See ``Backend.build``."""
    trt = tensorrt_module()
    device = device_for(job.targets)
    request = BuildRequest(
        job.precision,
        job.batch,
        job.targets,
        job.strip_weights,
        timing_cache=job.scratch / f"{trt.name}-{trt.version}-timing.cache",
    )
    built = build_plan(job.model, job.name, request, trt=trt, progress=job.progress)
    rows = job.batch.maximum

    def specs(ports: tuple[tuple[str, tuple[int, ...], str], ...]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(name, tuple(rows if size < 0 else size for size in shape), np.dtype(kind))
            for name, shape, kind in ports
        )

    notes = {"builder": trt.title} | ({"refit": built.refit} if built.refit else {})
    return Built(built.plan, device, specs(built.inputs), specs(built.outputs), notes)


def load(path: Path, header: ArtifactHeader, payload: bytes, threads: int) -> Engine:
    """See ``Backend.load``; ``threads`` means nothing to a GPU."""
    from engines.cuda.device import open_device
    from engines.tensorrt_engine import TensorRtEngine, deserialise, refit

    trt = tensorrt_module()
    weights = weights_of(path, header) if header.weights else b""
    kernels = scratch_dir() / f"{header.payload_sha256[:20]}-{trt.version}.kernels"
    plan = deserialise(trt, payload, path.name, open_device(), kernels)
    if header.weights:
        refit(plan, weights, Path(header.weights).name)
    return TensorRtEngine(path, header, plan)


def weights_of(path: Path, header: ArtifactHeader) -> bytes:
    """The network that the weights of an engine without them are put back from, in the engine's precision.

    Raises:
        EngineError: its file is not there any more, or another one.
    """
    file = Path(header.weights)
    if not file.is_file():
        raise EngineError(
            f"engine {path.name} was built without weights, and {file} that has them is not there; "
            f"put it back, or run: {header.command.removesuffix(' --strip-weights')}"
        )
    if sha256_of(file) != header.model_sha256:
        raise EngineError(
            f"engine {path.name} was built without weights, and {file} is not the file any more that it was built of; "
            f"run: {header.command}"
        )
    content = file.read_bytes()
    return half_precision(content, file.name) if header.precision == "fp16" else content
