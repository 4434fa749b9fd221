"""ONNX to a serialised TensorRT engine. Builds need no GPU with TensorRT for RTX.

Networks are strongly typed: the number format stands in the file. fp16 is therefore a conversion of the file, and int8 is a file
with QuantizeLinear and DequantizeLinear nodes, made by ``engines.quantise`` or any other tool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from engines.batch import BatchProfile
from engines.cuda.gpu import find_gpu
from engines.errors import EngineError
from engines.tensorrt_module import TensorRt, failure, tensorrt_module

BuildPrecision = Literal["fp32", "fp16", "int8"]
PRECISIONS: Final[tuple[str, ...]] = ("fp32", "fp16", "int8")
ANY_GPU: Final = "any"
"""Target of an engine that was built for no generation in particular."""
REFITS: Final[dict[str, tuple[str, ...]]] = {
    "tensorrt_rtx": ("REFIT", "REFIT_IDENTICAL"),
    "tensorrt": ("REFIT_IDENTICAL", "REFIT"),
}
"""How engines without weights may take them back, what the module's documentation recommends first. Ours always get the same
weights back, for which TensorRT has a flag of its own; TensorRT for RTX documents the general one only."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build and for whom."""

    precision: str = "fp32"
    """One of ``PRECISIONS``. fp32 is exact: TF32 stays off. For int8 the file must be quantised already."""
    batch: BatchProfile = field(default_factory=BatchProfile)
    """Least, usual and greatest batch. The network's first axis must be open unless all are what it says."""
    targets: tuple[str, ...] = ()
    """GPU generations such as ``sm86``; empty: every GPU that the module supports, or with ``tensorrt`` the one at hand."""
    stripped: bool = False
    """Leave the weights out; ``refit`` puts them back from the ONNX file."""
    timing_cache: Path | None = None
    """A file that makes later builds faster where kernels are timed (``tensorrt``); read and replaced."""


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """A serialised engine."""

    plan: bytes
    targets: tuple[str, ...]
    module: str
    version: str
    inputs: tuple[tuple[str, tuple[int, ...], str], ...]
    """Name, shape with -1 for open axes, and numpy type of each input."""
    outputs: tuple[tuple[str, tuple[int, ...], str], ...]
    refit: str = ""
    """Without weights: the flag that lets it take them back."""


def build_plan(
    onnx_file: Path | bytes,
    name: str,
    request: BuildRequest,
    *,
    trt: TensorRt | None = None,
    progress: Callable[[str, float | None], None] | None = None,
) -> BuiltPlan:
    """Compile an ONNX network.

    Args:
        onnx_file: the file or its content.
        name: how messages call it.
        request: see there.
        trt: which module; None: the one that is installed.
        progress: told the step and how far it is in 0..1.

    Raises:
        EngineError: not a network, an operator that TensorRT lacks, a generation it does not build for, a batch that the network
            does not take, or no GPU where one is needed.
    """
    trt = trt or tensorrt_module()
    if request.precision not in PRECISIONS:
        raise EngineError(f"{name}: TensorRT engines are {', '.join(PRECISIONS)}; got precision {request.precision!r}")
    targets = trt.check_generations(request.targets)
    tell = progress or (lambda step, done: None)
    tell("reading", None)
    content = onnx_file if isinstance(onnx_file, bytes) else _content(onnx_file)
    if request.precision == "fp16":
        content = half_precision(content, name)
    logger = trt.logger()
    builder = trt.module.Builder(logger)
    # The network's weights point into the parser: it has to outlive the build.
    network, parser = _parsed(trt, builder, logger, content, name)
    if request.precision == "int8":
        _check_quantised(trt, network, name)
    built = None
    for refit in _refits(trt, request, name):
        config = builder.create_builder_config()
        _configure(trt, builder, config, network, name, request, refit)
        _target(trt, config, targets)
        timing = _timing_cache(trt, config, request.timing_cache)
        if hasattr(config, "progress_monitor"):
            config.progress_monitor = _monitor(trt, tell)
        tell("compiling", 0.0)
        built = builder.build_serialized_network(network, config)
        if built is not None:
            break
    del parser
    if built is None:
        raise failure(f"{name} cannot be compiled", trt.title, logger.lines)
    if timing is not None and request.timing_cache is not None:
        _keep(config.get_timing_cache(), request.timing_cache)
    tell("compiling", 1.0)
    ports = [_ports(trt, network, kind) for kind in ("input", "output")]
    return BuiltPlan(bytes(built), targets or (ANY_GPU,), trt.name, trt.version, ports[0], ports[1], refit)


def half_precision(content: bytes, name: str) -> bytes:
    """An ONNX network with its weights and arithmetic in fp16; inputs and outputs keep their types.

    Raises:
        EngineError: onnx or onnxruntime is missing, or the network cannot be converted.
    """
    try:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise EngineError(
            f"{name}: fp16 needs onnx and onnxruntime ({error}); run: pip install 'facestream-tracker[engines]'"
        ) from None
    try:
        model = onnx.load_model_from_string(content)
        converted = convert_float_to_float16(
            model, keep_io_types=True, min_positive_val=6e-8, disable_shape_infer=False
        )
        half: bytes = converted.SerializeToString()
    except (ValueError, TypeError, RuntimeError, KeyError, IndexError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(f"{name} cannot be converted to fp16 ({reason}); use --precision fp32") from error
    return half


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError(f"network {path} cannot be read ({error.strerror})") from error


def _parsed(trt: TensorRt, builder: Any, logger: Any, content: bytes, name: str) -> tuple[Any, Any]:
    """The network definition and its parser. Raises EngineError with the operator at fault."""
    flags = trt.module.NetworkDefinitionCreationFlag
    strongly_typed = 1 << int(flags.STRONGLY_TYPED) if "STRONGLY_TYPED" in flags.__members__ else 0
    network = builder.create_network(strongly_typed)
    parser = trt.module.OnnxParser(network, logger)
    if parser.parse(content):
        return network, parser
    if parser.num_errors:
        error = parser.get_error(0)
        operator = error.node_operator()
        said = error.desc().strip().splitlines()[0]
        if operator and operator != "?":
            raise EngineError(
                f"{name}: {trt.title} cannot take operator {operator} (node {error.node_name() or error.node()}): {said}; "
                "use backend onnxruntime"
            )
        raise EngineError(f"{name} is not a network that {trt.title} can read: {said}")
    raise failure(f"{name} is not a network", trt.title, logger.lines)


def _check_quantised(trt: TensorRt, network: Any, name: str) -> None:
    quantise = trt.module.LayerType.QUANTIZE
    if not any(network.get_layer(i).type == quantise for i in range(network.num_layers)):
        raise EngineError(f"{name} has no quantised layers: calibrate it first: engines build {name} --precision int8")


def _refits(trt: TensorRt, request: BuildRequest, name: str) -> tuple[str, ...]:
    """The flags to try one after the other; a single empty one when the weights stay inside."""
    if not request.stripped:
        return ("",)
    known = trt.module.BuilderFlag.__members__
    found = tuple(flag for flag in REFITS[trt.name] if flag in known)
    if "STRIP_PLAN" not in known or not found:
        raise EngineError(f"{trt.title} builds no engines without weights; keep them inside")
    # Its compiler tries the driver then, and complains on the terminal where there is none (1.7, with each of these flags).
    if trt.generations and isinstance(find_gpu(), str):
        raise EngineError(
            f"{name}: {trt.title} compiles refittable engines on a GPU only; keep the weights inside, or build on the GPU"
        )
    return found


def _configure(
    trt: TensorRt, builder: Any, config: Any, network: Any, name: str, request: BuildRequest, refit: str
) -> None:
    flags = trt.module.BuilderFlag
    config.clear_flag(flags.TF32)
    if "REQUIRE_USER_ALLOCATION" in flags.__members__:
        # All memory is handed in at start-up: without that, runs cannot be captured as a CUDA graph.
        config.set_flag(flags.REQUIRE_USER_ALLOCATION)
    if refit:
        config.set_flag(flags.STRIP_PLAN)
        config.set_flag(getattr(flags, refit))
    profile = builder.create_optimization_profile()
    open_axes = False
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if -1 not in shape:
            if shape and request.batch != (shape[0],) * 3:
                raise EngineError(
                    f"{name}: input {tensor.name} has a fixed batch of {shape[0]}; use --batch {shape[0]}"
                )
            continue
        if shape[0] != -1 or -1 in shape[1:]:
            raise EngineError(
                f"{name}: input {tensor.name} is open in another axis than the batch: {list(shape)}; export it again"
            )
        open_axes = True
        profile.set_shape(tensor.name, *((size, *shape[1:]) for size in request.batch))
    if open_axes:
        config.add_optimization_profile(profile)


def _target(trt: TensorRt, config: Any, targets: Sequence[str]) -> None:
    if not targets:
        return
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        config.set_compute_capability(getattr(trt.module.ComputeCapability, target.upper()), index)


def _timing_cache(trt: TensorRt, config: Any, path: Path | None) -> Any:
    """The cache attached to ``config``; None where there is none. One that does not fit this machine starts empty."""
    # TensorRT for RTX times nothing; it keeps finished kernels instead, see ``engines.tensorrt_engine``.
    if path is None or trt.name == "tensorrt_rtx":
        return None
    kept = b""
    with suppress(OSError):
        kept = path.read_bytes()
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _keep(cache: Any, path: Path) -> None:
    """A cache that cannot be written costs time and nothing else."""
    partial = path.with_name(f".{path.name}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(bytes(cache.serialize()))
        partial.replace(path)


def _ports(trt: TensorRt, network: Any, kind: str) -> tuple[tuple[str, tuple[int, ...], str], ...]:
    count = getattr(network, f"num_{kind}s")
    tensors = [getattr(network, f"get_{kind}")(index) for index in range(count)]
    return tuple((t.name, tuple(t.shape), str(trt.module.nptype(t.dtype).__name__)) for t in tensors)


def _monitor(trt: TensorRt, tell: Callable[[str, float | None], None]) -> Any:
    class Monitor(trt.module.IProgressMonitor):  # type: ignore[misc, unused-ignore, name-defined]
        """Reports the outermost phase; Ctrl-C ends the build."""

        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self.steps[name] = steps

        def step_complete(self, name: str, step: int) -> bool:
            if self.steps.get(name):
                tell("compiling", min(1.0, (step + 1) / self.steps[name]))
            return True

        def phase_finish(self, name: str) -> None:
            self.steps.pop(name, None)

    return Monitor()
