"""Any network whose header says what it takes and gives, as an encoder (``engines.header``).

What it needs: one crop as input and an output with the role ``points``. What it may have: ``sigma``, ``presence``,
``visible``, ``scores``, or ``expression`` of a face model with ARKit's names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines import Engine, EngineError, NetworkHeader, load_engine
from engines.header import OutputHeader
from tracker.arkit import ARKIT_NAMES
from tracker.cache import cache_dir
from tracker.config import EngineName, Precision
from tracker.errors import NetworkAssetError, TrackerError
from tracker.face_model.head_points import landmark_embedding
from tracker.face_model.store import load_face_model
from tracker.landmarks.crop import Roi
from tracker.landmarks.crop_network import crops_for
from tracker.landmarks.encoder import PRESENT, Encoded, sigmoid
from tracker.landmarks.mediapipe478 import OUTER_EYE_CORNERS, SET_NAME
from tracker.types import Float32, ImageRGB, Landmarks

_EYE_CORNERS: Final = {SET_NAME: OUTER_EYE_CORNERS, "ibug68": (36, 45)}
_UNSTATED_SIGMA: Final = 0.016
"""Of the crop's side, for a network that gives no sigma: the median of the default encoder's in front of the camera."""
_LEAST_VISIBLE: Final = 0.1
"""A point that is not seen at all has ten times its sigma: the fit all but leaves it out."""


class HeaderEncoder:
    """A network file with a header as a ``BatchEncoder``; crops are cut on the GPU where an ``.engine`` runs there.

    Args:
        path: an ``.onnx`` file, or an ``.engine`` that ``engines build`` made of one.
        threads: CPU threads.
        precision: ``auto`` is fp32 for ``.onnx`` files; an ``.engine`` has its own.
        engine: what runs an ``.onnx`` file; an ``.engine`` knows.

    Raises:
        NetworkAssetError: the file is missing, has no header, or is no encoder.
    """

    def __init__(
        self, path: Path, threads: int = 1, precision: Precision = "auto", engine: EngineName = "auto"
    ) -> None:
        if path.suffix == ".onnx" and engine not in ("auto", "openvino", "onnxruntime"):
            raise NetworkAssetError(
                f"{path} must be built for {engine}: engines build {path} --backend {engine}; give the .engine"
            )
        try:
            arithmetic = "f32" if precision == "auto" else precision
            self._engine: Engine = load_engine(
                path, engine, precision=arithmetic, threads=threads, cache_dir=cache_dir("engines")
            )
            header = self._engine.network or _stored_header(path)
        except EngineError as error:
            raise NetworkAssetError(str(error)) from error
        if header is None:
            raise NetworkAssetError(f"{path} has no header that says what it is; networks by `trainer export` have one")
        self._header = header
        self.set_name = header.landmark_set
        self._size = self._checked_input(path)
        self._outputs = {spec.name: index for index, spec in enumerate(self._engine.outputs)}
        self._points = self._output("points")
        if self._points is None or not self.set_name:
            raise NetworkAssetError(f"{path} gives no landmarks of a named set: no encoder, but '{header.task}'")
        scores = self._output("scores") or self._output("expression")
        self._hint = scores if scores is not None and self._width(scores) == len(ARKIT_NAMES) else None
        self.outer_eye_corners = _eye_corners(header, path)
        self._engine.network = header
        self._crops = crops_for(self._engine)
        self.last_timing: dict[str, float] = {}

    def encode(self, image: ImageRGB, roi: Roi, scores: bool = True) -> Encoded:
        """See ``LandmarkEncoder.encode``."""
        (encoded,) = self.encode_all(image, [roi], scores)
        return encoded

    def encode_all(self, image: ImageRGB, rois: Sequence[Roi], scores: bool = True) -> list[Encoded]:
        """See ``BatchEncoder.encode_all``."""
        self.last_timing = {}
        encoded: list[Encoded] = []
        # Outputs of networks that take one crop need not have an axis for it.
        step = self._engine.batch.maximum
        for first in range(0, len(rois), step):
            part = rois[first : first + step]
            start = perf_counter()
            outputs, _ = self._crops.run(image, part)
            found = perf_counter()
            for row, roi in enumerate(part):
                results = tuple(output[row : row + 1] for output in outputs) if step > 1 else outputs
                encoded.append(self._read(results, roi, scores))
            spent = {
                "crop": self._crops.last_crop_ms,
                "landmarks": (found - start) * 1e3 - self._crops.last_crop_ms,
                "reading": (perf_counter() - found) * 1e3,
            }
            self.last_timing = {stage: self.last_timing.get(stage, 0.0) + ms for stage, ms in spent.items()}
        return encoded

    def _read(self, results: tuple[NDArray[Any], ...], roi: Roi, scores: bool) -> Encoded:
        """What a network's outputs say about the face in ``roi``."""
        in_crop = self._in_crop(results)
        points = roi.to_image(in_crop, self._size)
        sigma = self._sigma(results, len(points)) * np.float32(roi.size)
        presence = self._presence(results)
        hint = None
        if scores and self._hint is not None and presence >= PRESENT:
            hint = np.clip(self._value(results, self._hint).reshape(-1), 0.0, 1.0).astype(np.float32)
        return Encoded(Landmarks(self.set_name, points, sigma), presence, hint)

    def _checked_input(self, path: Path) -> int:
        """The crop's side. Raises ``NetworkAssetError`` when it is not one crop that the network takes."""
        specs, given = self._engine.inputs, self._header.inputs
        if len(specs) != 1 or len(given) != 1 or given[0].kind != "crop" or given[0].name != specs[0].name:
            raise NetworkAssetError(f"{path} must take one crop, got {', '.join(map(str, specs))}")
        (crop,) = given
        expected = (3, crop.size, crop.size) if crop.layout == "NCHW" else (crop.size, crop.size, 3)
        if specs[0].shape[1:] != expected or crop.colour != "RGB":
            raise NetworkAssetError(f"{path} must take RGB crops of shape {expected}, got {specs[0]} {crop.colour}")
        return crop.size

    def _output(self, role: str) -> OutputHeader | None:
        output = self._header.output(role)
        return output if output is not None and output.name in self._outputs else None

    def _width(self, output: OutputHeader) -> int:
        shape = self._engine.outputs[self._outputs[output.name]].shape
        return int(np.prod(shape)) // self._engine.batch.maximum

    def _value(self, results: tuple[NDArray[Any], ...], output: OutputHeader) -> Float32:
        value: Float32 = results[self._outputs[output.name]].astype(np.float32)
        return value

    def _in_crop(self, results: tuple[NDArray[Any], ...]) -> Float32:
        """(N, 3) in pixels of the crop; depth 0 where the network gives none."""
        assert self._points is not None
        raw = self._value(results, self._points)
        width = raw.shape[-1] if raw.ndim == 3 else 3
        points = np.zeros((raw.size // width, 3), np.float32)
        points[:, :width] = raw.reshape(-1, width)
        return points * np.float32(self._size) if self._points.unit == "fraction" else points

    def _sigma(self, results: tuple[NDArray[Any], ...], count: int) -> Float32:
        """(N,) as a fraction of the crop's side."""
        output = self._output("sigma")
        sigma: NDArray[np.floating] = np.full(count, _UNSTATED_SIGMA, np.float32)
        if output is not None:
            raw = self._value(results, output).reshape(count, -1)
            raw = np.exp(raw) if output.unit.startswith("log_") else raw
            sigma = np.sqrt(np.mean(np.square(raw), axis=1))
            sigma = sigma / np.float32(self._size) if output.unit.endswith("px") else sigma
        seen = self._output("visible")
        if seen is not None:
            visible = _probability(self._value(results, seen).reshape(-1), seen)
            sigma = sigma / np.maximum(visible, np.float32(_LEAST_VISIBLE))
        return np.asarray(sigma, np.float32)

    def _presence(self, results: tuple[NDArray[Any], ...]) -> float:
        output = self._output("presence")
        if output is None:
            return 1.0
        raw = self._value(results, output).reshape(-1)[0].item()
        return sigmoid(raw) if output.unit == "logit" else float(raw)


def _probability(values: Float32, output: OutputHeader) -> Float32:
    if output.unit != "logit":
        return values
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -60.0, 60.0))), np.float32)


def _stored_header(path: Path) -> NetworkHeader | None:
    from engines.model import read_model

    return read_model(path).network


def _eye_corners(header: NetworkHeader, path: Path) -> tuple[int, int]:
    """Indices of the outer eye corners in a set: stated, known, or the points nearest to them on the built-in head."""
    stated: Any = header.extra.get("outer_eye_corners") if isinstance(header.extra, Mapping) else None
    if stated is not None:
        right, left = stated
        return int(right), int(left)
    if header.landmark_set in _EYE_CORNERS:
        return _EYE_CORNERS[header.landmark_set]
    try:
        model = load_face_model()
        places = [_places(model, landmark_embedding(model, name)) for name in (header.landmark_set, SET_NAME)]
    except TrackerError as error:
        raise NetworkAssetError(
            f"{path}: its landmark set '{header.landmark_set}' is not known here ({error})"
        ) from None
    right, left = (
        int(np.argmin(np.linalg.norm(places[0] - places[1][corner], axis=1))) for corner in OUTER_EYE_CORNERS
    )
    return right, left


def _places(model: Any, embedding: Any) -> NDArray[np.float32]:
    """(N, 3) of an embedding on the neutral mean face."""
    corners = model.template[model.faces[embedding.faces]]
    places: NDArray[np.float32] = np.einsum("nc,ncx->nx", embedding.barycentric, corners)
    return places
