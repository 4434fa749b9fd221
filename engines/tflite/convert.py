"""The ONNX form of a .tflite file, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from engines.cache import cache_dir, sha256_of
from engines.errors import EngineError
from engines.header import InputHeader, NetworkHeader, OutputHeader
from engines.model import require_onnx, set_header
from engines.tflite.channels_first import Network, lower
from engines.tflite.onnx_emitter import OPSET, Layout, emit
from engines.tflite.reader import read_tflite

_LOGGER = logging.getLogger(__name__)

VERSION: Final = 2
"""Of the conversion: files that an older one made are not used any more."""


def convert(path: str | Path, network: NetworkHeader | None = None, layout: Layout = "NHWC") -> Path:
    """An .onnx file with the same inputs and outputs as a .tflite file, its batch open, with a header.

    Pictures go in as in the .tflite file (NHWC): crops are cut that way, and OpenVINO then needs no reordering.

    Args:
        path: the .tflite file.
        network: what is known about it; names of inputs and outputs, and the layout, are filled in here.
        layout: of pictures going in.

    Returns:
        A file of the cache, made now or before. One that was damaged since is made anew.

    Raises:
        EngineError: the file is damaged, holds an operator that cannot be converted (the message names it), or the
            package onnx is not installed.
    """
    path = Path(path)
    known = network.to_json() if network is not None else ""
    parts = (sha256_of(path), VERSION, OPSET, layout, known)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:20]
    target = cache_dir("converted", f"{path.stem}-{key}.onnx")
    if _intact(target):
        return target
    onnx = require_onnx()
    lowered = lower(read_tflite(path))
    model = emit(lowered, layout)
    set_header(model, _header(path, lowered, network, layout))
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(partial))
        digest = sha256_of(partial)
        partial.replace(target)
        partial.write_text(digest, encoding="utf-8")
        partial.replace(_digest_file(target))
    except OSError as error:
        raise EngineError(
            f"cannot write {target} ({error.strerror}); free some space or set TRACKER_CACHE to another folder"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return target


def _digest_file(target: Path) -> Path:
    return target.with_suffix(".sha256")


def _intact(target: Path) -> bool:
    """Whether the cache has it as it was written; that it is damaged is said."""
    if not target.is_file():
        return False
    try:
        whole = _digest_file(target).read_text(encoding="utf-8") == sha256_of(target)
    except (OSError, UnicodeDecodeError, EngineError):
        whole = False
    if not whole:
        _LOGGER.warning("%s is damaged or was not finished; it is made anew", target)
    return whole


def _header(path: Path, lowered: Network, known: NetworkHeader | None, layout: Layout) -> NetworkHeader:
    inputs = [
        InputHeader(name, "crop", layout, shape[2]) if len(shape) == 4 else InputHeader(name, "other")
        for name, shape in lowered.inputs.items()
    ]
    outputs = [OutputHeader(name) for name in lowered.outputs]
    if known is None:
        return NetworkHeader(path.stem, inputs=tuple(inputs), outputs=tuple(outputs))
    if len(known.inputs) != len(inputs) or len(known.outputs) != len(outputs):
        raise EngineError(
            f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs, "
            f"its header tells of {len(known.inputs)} and {len(known.outputs)}"
        )
    return replace(
        known,
        inputs=tuple(
            replace(told, name=found.name, layout=layout) for told, found in zip(known.inputs, inputs, strict=True)
        ),
        outputs=tuple(replace(told, name=found.name) for told, found in zip(known.outputs, outputs, strict=True)),
    )
