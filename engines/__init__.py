"""Compiled networks behind one small interface: ``load_engine(path).infer(array)``.

=============  =====================  ==========================================
backend        reads                  use
=============  =====================  ==========================================
openvino       ``.tflite``, ``.onnx``  the default wherever OpenVINO has a wheel
litert         ``.tflite``            where it has none
onnxruntime    ``.onnx``              where it has none
=============  =====================  ==========================================

A backend's library is imported when an engine of that kind is made, never before.
"""

from __future__ import annotations

from engines.engine import Engine, EngineError, TensorSpec
from engines.load import load_engine

__all__ = ["Engine", "EngineError", "TensorSpec", "load_engine"]
