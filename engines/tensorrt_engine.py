"""Running TensorRT engines: device buffers, page-locked staging, one stream, a CUDA graph per batch size."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from engines.artifact import ArtifactHeader
from engines.cuda.device import Device, Graph, Memory
from engines.engine import Array, Engine, TensorSpec
from engines.errors import EngineError
from engines.tensorrt_module import TensorRt, failure

_LOGGER = logging.getLogger(__name__)
_UPLOADED: Final = "uploaded"


@dataclass(slots=True)
class Plan:
    """A deserialised engine; what runs it may be many."""

    trt: TensorRt
    logger: Any
    engine: Any
    runtime: Any
    device: Device
    kernel_cache: Path | None
    """Where kernels that were finished on this GPU are kept for the next start (TensorRT for RTX)."""


def deserialise(trt: TensorRt, plan: bytes, name: str, device: Device, kernel_cache: Path | None = None) -> Plan:
    """Load a serialised engine onto the GPU.

    Raises:
        EngineError: another version made it, it is for other GPUs, damaged, or too large for the GPU's memory.
    """
    logger = trt.logger()
    with device.active():
        runtime = trt.module.Runtime(logger)
        _check(trt, runtime, plan, name, device)
        engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise failure(f"engine {name} cannot be loaded", trt.title, logger.lines)
    return Plan(trt, logger, engine, runtime, device, kernel_cache)


def _check(trt: TensorRt, runtime: Any, plan: bytes, name: str, device: Device) -> None:
    """Raises EngineError with what the module finds wrong with a plan, where it can tell."""
    if not hasattr(runtime, "get_engine_validity"):
        return
    validity, diagnostics = runtime.get_engine_validity(plan)
    if validity != trt.module.EngineValidity.INVALID:
        return
    reasons = {
        "VERSION_MISMATCH": f"another version than {trt.title} built it; build it again",
        "UNSUPPORTED_CC": f"it was not built for {device.gpu.name} ({device.gpu.generation}); build it again here",
        "OLD_CUDA_DRIVER": f"the NVIDIA driver is too old for {trt.title}; update it",
        "OLD_CUDA_RUNTIME": f"the CUDA runtime is too old for {trt.title}; update it",
        "INSUFFICIENT_GPU_MEMORY": "the GPU has too little free memory; close other programs or build with a smaller --batch",
        "MALFORMED_ENGINE": "it is damaged; build it again with --force",
    }
    for flag, reason in reasons.items():
        bit = getattr(trt.module.EngineInvalidityDiagnostics, flag, None)
        if bit is not None and int(diagnostics) & int(bit):
            raise EngineError(f"engine {name} cannot run: {reason}")


def refit(plan: Plan, onnx_file: Path) -> None:
    """Put the weights of an ONNX file into an engine that was built without.

    Raises:
        EngineError: the file is another network's, or the module has no refitter.
    """
    module = plan.trt.module
    with plan.device.active():
        refitter = module.Refitter(plan.engine, plan.logger)
        parser = module.OnnxParserRefitter(refitter, plan.logger)
        if not parser.refit_from_file(str(onnx_file)) or not refitter.refit_cuda_engine():
            raise failure(f"the weights of {onnx_file.name} do not fit", plan.trt.title, plan.logger.lines)


@dataclass(slots=True)
class _Prepared:
    """One batch size, fed in one way. A context of its own: captured graphs refer to what the context holds."""

    context: Any
    graph: Graph | None = None


class TensorRtEngine(Engine):
    """An engine with its own buffers, stream and contexts on the GPU."""

    backend = "tensorrt"

    def __init__(self, path: Path, header: ArtifactHeader, plan: Plan) -> None:
        """Take memory for the largest batch. Raises EngineError when the GPU has not that much."""
        self._plan, self._header = plan, header
        self.device = device = plan.device
        with device.active():
            super().__init__(path, header.inputs, header.outputs, header.batch, header.network)
            self.precision = header.precision
            self.stream = device.stream()
            self.buffers = {spec.name: device.page_locked(spec.shape, spec.dtype) for spec in self.inputs}
            self._results = tuple(device.page_locked(spec.shape, spec.dtype) for spec in self.outputs)
            self._memory = {spec.name: device.allocate(_size_bytes(spec)) for spec in (*self.inputs, *self.outputs)}
            self._work = device.allocate(max(int(plan.engine.device_memory_size_v2), 256))
            self._config = self._runtime_config()
        self.graphs = True
        """Whether runs are recorded as CUDA graphs; ask for it before the first run."""
        self._prepared: dict[tuple[int, str], _Prepared] = {}

    def another(self) -> Self:
        """See ``Engine.another``."""
        return type(self)(self.path, self._header, self._plan)

    def memory(self, name: str) -> Memory:
        """An input's or output's memory on the GPU."""
        return self._memory[name]

    def run(self, count: int | None = None) -> tuple[Array, ...]:
        """See ``Engine.run``."""
        rows = self.batch.maximum if count is None else count

        def feed() -> None:
            for spec in self.inputs:
                self.device.upload(self._memory[spec.name].address, self.buffers[spec.name][:rows], self.stream)

        return self.run_fed(rows, feed, _UPLOADED)

    def run_fed(self, count: int, feed: Callable[[], None], way: str) -> tuple[Array, ...]:
        """Run on what ``feed`` puts into the inputs' memory.

        Args:
            count: rows, within ``batch``.
            feed: begins work on ``stream`` that fills the inputs. It is called once for each ``count`` and ``way`` when runs
                are recorded, so it must begin the same work every time.
            way: name of what ``feed`` does.

        Returns:
            As ``run``.
        """
        with self.device.active():
            prepared = self._prepared.get((count, way))
            if prepared is None:
                prepared = self._prepared[count, way] = self._prepare(count, feed)
            elif prepared.graph is not None:
                prepared.graph.launch(self.stream)
            else:
                self._begin(prepared.context, count, feed)
            self.device.wait(self.stream)
        return tuple(result[:count] for result in self._results)

    def forget(self, way: str) -> None:
        """Record anew what was fed in this way: its memory has moved."""
        self._prepared = {key: prepared for key, prepared in self._prepared.items() if key[1] != way}

    def _prepare(self, count: int, feed: Callable[[], None]) -> _Prepared:
        """Carry out one run, and record it for the following ones."""
        context = self._context(count)
        # The first run finishes kernels for this GPU, which cannot be recorded.
        self._begin(context, count, feed)
        self.device.wait(self.stream)
        self._keep_kernels()
        prepared = _Prepared(context)
        if self.graphs and getattr(context, "is_stream_capturable", lambda stream: True)(self.stream):
            try:
                prepared.graph = self.device.record(self.stream, lambda: self._begin(context, count, feed))
            except EngineError as error:
                _LOGGER.warning("%s runs without a CUDA graph: %s", self.path.name, error)
        return prepared

    def _begin(self, context: Any, count: int, feed: Callable[[], None]) -> None:
        feed()
        if not context.execute_async_v3(self.stream):
            raise failure(f"{self.path.name} does not run", self._plan.trt.title, self._plan.logger.lines)
        for spec, result in zip(self.outputs, self._results, strict=True):
            self.device.download(result[:count], self._memory[spec.name].address, self.stream)

    def _runtime_config(self) -> Any:
        """How contexts are made: their memory is ours, kernels are specialised at once and kept for the next start."""
        module, engine = self._plan.trt.module, self._plan.engine
        if not hasattr(engine, "create_runtime_config"):
            return None
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(module.ExecutionContextAllocationStrategy.USER_MANAGED)
        if hasattr(config, "dynamic_shapes_kernel_specialization_strategy"):
            # A graph would go on with the fallback kernels that lazy specialisation starts with.
            config.dynamic_shapes_kernel_specialization_strategy = (
                module.DynamicShapesKernelSpecializationStrategy.EAGER
            )
        if hasattr(config, "create_runtime_cache"):
            kernels = config.create_runtime_cache()
            with suppress(OSError):
                if self._plan.kernel_cache is not None:
                    # One that does not fit this GPU or driver is left aside by the module itself.
                    kernels.deserialize(self._plan.kernel_cache.read_bytes())
            config.set_runtime_cache(kernels)
        return config

    def _context(self, count: int) -> Any:
        module, engine = self._plan.trt.module, self._plan.engine
        if self._config is None:
            context = engine.create_execution_context(module.ExecutionContextAllocationStrategy.USER_MANAGED)
        else:
            context = engine.create_execution_context(runtime_config=self._config)
        if context is None:
            raise failure(f"{self.path.name} cannot be started", self._plan.trt.title, self._plan.logger.lines)
        context.set_device_memory(self._work.address, self._work.size_bytes)
        for spec in (*self.inputs, *self.outputs):
            context.set_tensor_address(spec.name, self._memory[spec.name].address)
        for spec in self.inputs:
            if -1 in tuple(engine.get_tensor_shape(spec.name)):
                context.set_input_shape(spec.name, (count, *spec.shape[1:]))
        return context

    def _keep_kernels(self) -> None:
        """Kernels that cannot be kept cost time at the next start and nothing else."""
        path = self._plan.kernel_cache
        if self._config is None or path is None or not hasattr(self._config, "get_runtime_cache"):
            return
        partial = path.with_name(f".{path.name}.part")
        with suppress(OSError):
            partial.write_bytes(bytes(self._config.get_runtime_cache().serialize()))
            partial.replace(path)


def _size_bytes(spec: TensorSpec) -> int:
    size = spec.dtype.itemsize
    for axis in spec.shape:
        size *= axis
    return max(size, 1)
