"""Real inputs for a network: from a file, from the catalogue that knows it, or from any that has faces."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from engines import catalogue as catalogues
from engines.engine import Array
from engines.errors import EngineError
from engines.header import InputHeader
from engines.model import Model
from engines.resolve import Resolved

CROPS_KEY: Final = "crops"
"""Array of a calibration file that holds pictures instead of ready inputs: RGB uint8 (N, S, S, 3)."""


def real_inputs(resolved: Resolved, model: Model, count: int, file: Path | None = None) -> dict[str, Array]:
    """Up to ``count`` rows of every input, ready for the network, in rows of the first axis.

    Args:
        resolved: which network.
        model: its inputs.
        count: how many at most.
        file: an .npz with an array per input name, or ``crops``; None: what the catalogues have.

    Raises:
        EngineError: the file does not fit, or nobody has pictures of what this network looks at.
    """
    if file is not None:
        return _from_file(model, file, count)
    if resolved.catalogue is not None:
        samples = resolved.catalogue.samples(resolved.known_as, count)
        return {
            port.name: _arranged(model, port.name, array) for port, array in zip(model.inputs, samples, strict=True)
        }
    given = _only_crop(model)
    for catalogue in catalogues.catalogues():
        return {given.name: _arranged(model, given.name, catalogue.crops(given.size, count))}
    raise EngineError(f"{model.path.name}: nobody here has pictures of faces; give --calibrate FILE.npz")


def _only_crop(model: Model) -> InputHeader:
    given = model.network.inputs if model.network is not None else ()
    if len(model.inputs) != 1 or len(given) != 1 or given[0].kind != "crop" or given[0].size < 1:
        raise EngineError(
            f"{model.path.name}: its header names no single crop as input, so no pictures can be cut for it; "
            f"give --calibrate FILE.npz with the arrays {', '.join(port.name for port in model.inputs)}"
        )
    return given[0]


def _from_file(model: Model, file: Path, count: int) -> dict[str, Array]:
    names = [port.name for port in model.inputs]
    try:
        with np.load(file, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
    except FileNotFoundError:
        raise EngineError(f"calibration file {file} does not exist") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise EngineError(f"{file} is no .npz file of plain arrays ({error})") from None
    if CROPS_KEY in arrays and CROPS_KEY not in names:
        return {names[0]: _arranged(model, names[0], arrays[CROPS_KEY][:count])}
    if set(names) - set(arrays):
        raise EngineError(f"{file} must hold the arrays {', '.join(names)} or {CROPS_KEY}, got {', '.join(arrays)}")
    return {name: _arranged(model, name, arrays[name][:count]) for name in names}


def _arranged(model: Model, name: str, array: Any) -> Array:
    """Pictures normalised and laid out as the header says; anything else as it is, after a check of its shape."""
    port = next(port for port in model.inputs if port.name == name)
    if array.dtype == np.uint8 and array.ndim == 4 and port.dtype != np.uint8:
        header = model.network.input(name) if model.network is not None else None
        header = header or InputHeader(name)
        mean, std = (np.array(three, np.float32) for three in (header.mean, header.std))
        values = (array.astype(np.float32) / 255.0 - mean) / std
        array = values.transpose(0, 3, 1, 2) if header.layout == "NCHW" else values
    expected = port.dimensions[1:]
    if not len(array) or array.shape[1:] != expected:
        raise EngineError(
            f"{model.path.name}: input {name} takes rows of shape {expected}, got {array.shape[1:]} ({len(array)} rows)"
        )
    ready: Array = np.ascontiguousarray(array, dtype=port.dtype)
    return ready
