"""A trained network as ONNX, with a header that says what it is, checked against torch."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from tracker import __version__
from trainer.errors import ExportError
from trainer.method import Header

OPSET: Final = 18
HEADER_KEY: Final = "engine_header"
_INPUT: Final = "image"
_TOLERANCE: Final = 1e-3


def export_onnx(network: nn.Module, header: Header, path: Path, method: str) -> float:
    """Write a network and compare it, in ONNX Runtime, with torch's own result.

    Args:
        network: (1, 3, S, S) float32 RGB in 0..1 -> a tuple of tensors, as ``header.outputs`` names them.
        header: saved in the file's metadata under ``engine_header``, as JSON.
        path: where to; replaced only by a file that passed.
        method: the method's name, for the header.

    Returns:
        The largest difference between the two, relative to 1 + the output's size.

    Raises:
        ExportError: the number of outputs is wrong, the network cannot be translated, or computes something else.
    """
    import onnx

    network = network.eval().cpu()
    image = torch.rand(1, 3, header.crop_size, header.crop_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(image)
    if not isinstance(expected, tuple) or len(expected) != len(header.outputs):
        got = len(expected) if isinstance(expected, tuple) else type(expected).__name__
        raise ExportError(
            f"{method} names {len(header.outputs)} outputs ({', '.join(header.outputs)}), but gives {got}"
        )
    model = _translated(network, image, header)
    metadata = {"method": method, "trainer": __version__, "input": _INPUT, "scale": 1.0 / 255.0, "mean": [0.0] * 3}
    metadata |= {"std": [1.0] * 3, "layout": "NCHW", "colour": "RGB"} | dataclasses.asdict(header)
    onnx.helper.set_model_props(model, {HEADER_KEY: json.dumps(metadata, default=list)})
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        onnx.save(model, str(unfinished))
        difference = _difference(unfinished, image.numpy(), [tensor.numpy() for tensor in expected])
        if not difference <= _TOLERANCE:
            raise ExportError(
                f"{path} would differ from the network in torch by {difference:.2g} (at most {_TOLERANCE:g})"
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return difference


def _translated(network: nn.Module, image: torch.Tensor, header: Header) -> Any:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                network,
                (image,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[_INPUT],
                output_names=list(header.outputs),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ExportError(f"the network cannot be written as ONNX: {str(error).splitlines()[0]}") from error
    assert program is not None  # None only for the exporter of old
    return program.model_proto


def _difference(path: Path, image: Any, expected: list[Any]) -> float:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise ExportError(
            "checking an export needs the Python package onnxruntime: pip install 'facestream-tracker[engines]'"
        ) from None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {_INPUT: image})
    return max(
        float(np.max(np.abs(a - b)) / (1.0 + np.max(np.abs(b)))) if b.size else 0.0
        for a, b in zip(got, expected, strict=True)
    )
