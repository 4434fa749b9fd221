"""The one place that knows there are two Python modules of TensorRT, and how both say what went wrong.

``tensorrt_rtx`` (TensorRT for RTX) compiles in a second or two, on machines without a GPU too, and finishes the kernels on the
GPU that runs them; ``tensorrt`` times kernels on the GPU at hand. Their Python interfaces agree but for the few calls below.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from engines.errors import EngineError

MODULES: Final = ("tensorrt", "tensorrt_rtx")
"""The preferred one first: where someone has installed ``tensorrt``, they have done so on purpose."""
CURRENT: Final = "current"
"""Target of a build for the GPU at hand."""
INSTALL: Final = "pip install 'facestream-tracker[tensorrt]'"

_NO_DRIVER: Final = re.compile(
    r"driver version is insufficient|cudaError 35|no CUDA-capable device|cudaError 100|CUDA_ERROR_NO_DEVICE"
)
_NO_MEMORY: Final = re.compile(r"out of memory|OutOfMemory|cudaError 2\b", re.IGNORECASE)
_TURING: Final = re.compile(r"Turing|SM ?75.*not supported", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TensorRt:
    """One of the two modules."""

    module: Any
    """The imported Python module; its objects carry no type information."""
    name: str
    """``tensorrt`` or ``tensorrt_rtx``."""
    version: str

    @property
    def title(self) -> str:
        """Name and version for people."""
        return f"TensorRT{'-RTX' if self.name == 'tensorrt_rtx' else ''} {self.version}"

    @property
    def generations(self) -> tuple[str, ...]:
        """GPU generations that an engine can be built for ahead of time, such as ``sm86``; empty: for the GPU at hand only."""
        capabilities = getattr(self.module, "ComputeCapability", None)
        if capabilities is None:
            return ()
        return tuple(name.lower() for name in capabilities.__members__ if name.startswith("SM"))

    def check_generations(self, targets: Iterable[str]) -> tuple[str, ...]:
        """``targets`` in the module's order, each once.

        Raises:
            EngineError: this module builds for none of that name.
        """
        asked = {target.strip().lower().replace("_", "") for target in targets}
        known = self.generations
        if known and asked == {CURRENT}:
            return (CURRENT,)
        unknown = sorted(asked - set(known))
        if unknown and not known:
            raise EngineError(
                f"{self.title} builds for the GPU at hand only, not for {', '.join(unknown)}; "
                "for builds ahead of time run: pip install tensorrt-rtx-cu13"
            )
        if unknown:
            raise EngineError(
                f"{self.title} builds for {', '.join(known)}, not for {', '.join(unknown)}; "
                "without --for an engine runs on every GPU that it supports"
            )
        return tuple(name for name in known if name in asked)

    def logger(self) -> Any:
        """A logger that keeps what the library says: ``lines`` is a list of (severity, text), the most severe being 0."""
        return _logger_class(self.module)()


@cache
def tensorrt_module(name: str | None = None) -> TensorRt:
    """The module of TensorRT that is installed.

    Args:
        name: ``tensorrt`` or ``tensorrt_rtx``; None: the first one that loads.

    Raises:
        EngineError: neither is installed, or it does not load.
    """
    reasons = []
    for candidate in MODULES if name is None else (name,):
        try:
            module = importlib.import_module(candidate)
        except ModuleNotFoundError as error:
            if error.name not in (candidate, f"{candidate}_libs", f"{candidate}_bindings"):
                reasons.append(f"{candidate}: {error}")
            continue
        except (ImportError, OSError, RuntimeError) as error:
            reasons.append(f"{candidate}: {error}")
            continue
        if not hasattr(module, "Builder"):
            # The folder of an uninstalled package is still importable, as an empty one.
            continue
        return TensorRt(module, candidate, str(module.__version__))
    why = f" ({'; '.join(reasons)})" if reasons else ""
    raise EngineError(f"TensorRT is not installed{why}; run: {INSTALL}")


@cache
def _logger_class(module: Any) -> Any:
    class Collected(module.ILogger):  # type: ignore[misc, unused-ignore]
        """Keeps messages instead of printing them."""

        def __init__(self) -> None:
            super().__init__()
            self.lines: list[tuple[int, str]] = []

        def log(self, severity: Any, message: str) -> None:
            self.lines.append((int(severity), message))

    return Collected


def complaint(lines: Iterable[tuple[int, str]], otherwise: str) -> str:
    """The last error among a logger's lines, shortened to what it says; ``otherwise`` when there is none."""
    errors = [text for severity, text in lines if severity <= 1]
    if not errors:
        return otherwise
    said = errors[-1].splitlines()[0]
    inner = re.search(r"Error Code \d+: (.*)", said)
    said = inner.group(1) if inner else said
    said = re.sub(r"\s+In \w+ at /\S+", "", said)
    return said.strip(" ()")


def failure(what: str, title: str, lines: Iterable[tuple[int, str]]) -> EngineError:
    """The error for a step that failed, with what can be done about it.

    Args:
        what: the step, such as ``net.onnx cannot be compiled``.
        title: ``TensorRt.title``.
        lines: what its logger kept. All its errors go along as a note of the exception.
    """
    kept = list(lines)
    everything = "\n".join(text for severity, text in kept if severity <= 1)
    error = EngineError(_explained(what, title, complaint(kept, "it does not say why"), everything))
    error.add_note(everything)
    return error


def _explained(what: str, title: str, said: str, everything: str) -> str:
    if _TURING.search(everything):
        return f"{what}: sm75 (Turing) has no fp32 kernels in {title}; add --precision fp16 or leave sm75 out"
    if _NO_DRIVER.search(everything):
        return f"{what}: no NVIDIA GPU, or its driver is too old for {title}; update it or use --engine openvino"
    if _NO_MEMORY.search(everything):
        return f"{what}: the GPU has too little free memory; close other programs or build with a smaller --batch"
    return f"{what}: {title} says: {said}"
