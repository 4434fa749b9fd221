"""Reads .tflite files without TensorFlow and makes other things of them.

``read_tflite`` gives the graph as the file has it, ``lower`` the same in ONNX's vocabulary, channels first, and
``engines.tflite.convert.convert`` an .onnx file (which needs the package onnx; reading and lowering need numpy only).
"""

from __future__ import annotations

from engines.tflite.channels_first import Network, Node, lower
from engines.tflite.graph import Graph, Operator, Tensor
from engines.tflite.reader import read_tflite

__all__ = ["Graph", "Network", "Node", "Operator", "Tensor", "lower", "read_tflite"]
