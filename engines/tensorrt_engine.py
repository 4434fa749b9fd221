"""Running TensorRT engines between the memory, streams and graphs of ``engines.cuda.engine``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from engines.artifact import ArtifactHeader
from engines.cuda.device import Device
from engines.cuda.engine import DeviceEngine, Recorded
from engines.errors import EngineError
from engines.tensorrt_module import TensorRt, failure


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


def refit(plan: Plan, network: bytes, name: str) -> None:
    """Put the weights of an ONNX network into an engine that was built without.

    Args:
        plan: the engine.
        network: the .onnx file's content, in the precision that the engine was built in.
        name: the file's name, for messages.

    Raises:
        EngineError: the weights are another network's, or the module has no refitter.
    """
    module = plan.trt.module
    with plan.device.active():
        refitter = module.Refitter(plan.engine, plan.logger)
        parser = module.OnnxParserRefitter(refitter, plan.logger)
        if not parser.refit_from_bytes(network) or not refitter.refit_cuda_engine():
            raise failure(f"the weights of {name} do not fit", plan.trt.title, plan.logger.lines)


class TensorRtEngine(DeviceEngine):
    """See ``DeviceEngine``. One context for each number of rows: graphs refer to what it holds."""

    backend = "tensorrt"

    def __init__(self, path: Path, header: ArtifactHeader, plan: Plan) -> None:
        """Take memory for the largest batch. Raises EngineError when the GPU has not that much."""
        super().__init__(path, header, plan.device)
        self._plan, self._header = plan, header
        with self.device.active():
            self._work = self.device.allocate(max(int(plan.engine.device_memory_size_v2), 256))
            self._config = self._runtime_config()
        self._contexts: dict[int, Any] = {}

    def another(self) -> Self:
        """See ``Engine.another``."""
        return type(self)(self.path, self._header, self._plan)

    def begin(self, count: int, stream: int) -> None:
        """See ``DeviceEngine.begin``."""
        if count not in self._contexts:
            self._contexts[count] = self._context(count)
        if not self._contexts[count].execute_async_v3(stream):
            raise failure(f"{self.path.name} does not run", self._plan.trt.title, self._plan.logger.lines)

    def record(self, work: Callable[[], None]) -> Recorded:
        """See ``DeviceEngine.record``."""
        for context in self._contexts.values():
            if not getattr(context, "is_stream_capturable", lambda stream: True)(self.stream):
                raise EngineError(f"{self._plan.trt.title} cannot record it")
        return super().record(work)

    def warmed(self) -> None:
        """Keep the kernels that were finished for this GPU. What cannot be kept costs time at the next start and nothing else."""
        path = self._plan.kernel_cache
        if self._config is None or path is None or not hasattr(self._config, "get_runtime_cache"):
            return
        partial = path.with_name(f".{path.name}.part")
        with suppress(OSError):
            partial.write_bytes(bytes(self._config.get_runtime_cache().serialize()))
            partial.replace(path)

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
