"""Compiled networks behind one small interface: ``load_engine(path).infer(array)``.

=============  =======================  ====================================  =======================================
backend        loads                    builds artifacts of                   use
=============  =======================  ====================================  =======================================
openvino       ``.tflite``, ``.onnx``   ``.onnx``                             the default wherever it has a wheel
litert         ``.tflite``                                                    where OpenVINO has none
onnxruntime    ``.onnx``                ``.onnx``                             portable; CUDA, CoreML where present
tensorrt                                ``.onnx``                             NVIDIA GPUs
torch                                   ``.pt2``                              GPUs without TensorRT
=============  =======================  ====================================  =======================================

``build_artifact`` compiles into the cache, ``load_engine`` loads the result. A backend's library is imported when an
engine of that kind is made, never before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engines.batch import BatchProfile, parse_batch
    from engines.engine import Engine, EngineError, TensorSpec
    from engines.header import InputHeader, NetworkHeader, OutputHeader
    from engines.load import load_engine

__all__ = [
    "BatchProfile",
    "Engine",
    "EngineError",
    "InputHeader",
    "NetworkHeader",
    "OutputHeader",
    "TensorSpec",
    "load_engine",
    "parse_batch",
]

_HOME = {
    "batch": ("BatchProfile", "parse_batch"),
    "engine": ("Engine", "EngineError", "TensorSpec"),
    "header": ("InputHeader", "NetworkHeader", "OutputHeader"),
    "load": ("load_engine",),
}


def __getattr__(name: str) -> object:
    """Names above come with their modules: the commands import this package to print a help text, and wait for nothing."""
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"engines.{module}"), name)
    raise AttributeError(f"module 'engines' has no attribute {name!r}")
