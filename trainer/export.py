"""A trained network as ONNX, with a header that says what it is, checked against torch."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from engines.header import METADATA_KEY, NetworkHeader
from trainer.errors import ExportError

OPSET: Final = 18
_TOLERANCE: Final = 1e-3


def export_onnx(network: nn.Module, header: NetworkHeader, path: Path) -> float:
    """Write a network with an open batch and compare it, in ONNX Runtime, with torch's own result for one and three rows.

    Args:
        network: (B, 3, S, S) float32 to a tuple of tensors, as ``header.outputs`` names them.
        header: with one input, which is a crop; saved in the file's metadata.
        path: where to; replaced only by a file that passed.

    Returns:
        The largest difference between the two, relative to 1 + the output's size.

    Raises:
        ExportError: the number of outputs is wrong, the network cannot be translated, or computes something else.
    """
    import onnx

    network = network.eval().cpu()
    size = header.inputs[0].size
    crops = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(crops)
    names = [output.name for output in header.outputs]
    if not isinstance(expected, tuple) or len(expected) != len(names):
        got = len(expected) if isinstance(expected, tuple) else type(expected).__name__
        raise ExportError(f"{header.name} names {len(names)} outputs ({', '.join(names)}), but gives {got}")
    model = _translated(network, crops[:2], header)
    strip_origins(model)
    onnx.helper.set_model_props(model, {METADATA_KEY: header.to_json()})
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        onnx.save(model, str(unfinished))
        difference = _difference(unfinished, header.inputs[0].name, crops.numpy(), [t.numpy() for t in expected])
        if not difference <= _TOLERANCE:
            raise ExportError(
                f"{path} would differ from the network in torch by {difference:.2g} (at most {_TOLERANCE:g})"
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return difference


def strip_origins(model: Any) -> None:
    """Take from an ONNX model what torch's exporter notes about the machine it ran on: source paths and stack traces."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")


def _translated(network: nn.Module, crops: torch.Tensor, header: NetworkHeader) -> Any:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                network,
                (crops,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[header.inputs[0].name],
                output_names=[output.name for output in header.outputs],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ExportError(f"the network cannot be written as ONNX: {str(error).splitlines()[0]}") from error
    assert program is not None  # None only for the exporter of old
    return program.model_proto


def _difference(path: Path, name: str, crops: Any, expected: list[Any]) -> float:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise ExportError(
            "checking an export needs the Python package onnxruntime: pip install 'facestream-tracker[engines]'"
        ) from None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for rows in (1, len(crops)):
        for got, whole in zip(session.run(None, {name: crops[:rows]}), expected, strict=True):
            wanted = whole[:rows]
            if got.shape != wanted.shape:
                raise ExportError(f"an output would have shape {got.shape} for {rows} crops instead of {wanted.shape}")
            if wanted.size:
                worst = max(worst, float(np.max(np.abs(got - wanted)) / (1.0 + np.max(np.abs(wanted)))))
    return worst
