"""Offers the tracker's networks to the ``engines`` command by name (entry point group ``engines.networks``).

The .tflite files say nothing about themselves; what stands here becomes the header of their ONNX form. Inputs and
outputs are in the files' order, their names are filled in by who converts them. The networks that come with the package
have headers of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines import EngineError, InputHeader, NetworkHeader, OutputHeader
from tracker.errors import TrackerError
from tracker.networks.assets import ASSETS
from tracker.networks.shipped import BRANCH, GLANCE, SHIPPED, shipped
from tracker.networks.store import locate
from tracker.wheels import FetchError

_LICENCE: Final = "Apache-2.0"
_ORIGIN: Final = "Google MediaPipe"
_HALF: Final = (0.5, 0.5, 0.5)


class TrackerNetworks:
    """See ``engines.catalogue.Catalogue``."""

    def names(self) -> tuple[str, ...]:
        return (*(asset.file for asset in ASSETS if asset.file.endswith(".tflite")), *SHIPPED)

    def locate(self, name: str) -> Path:
        if name in SHIPPED:
            return shipped(name)
        try:
            return locate(name)
        except TrackerError as error:
            raise EngineError(str(error)) from error

    def header(self, name: str) -> NetworkHeader | None:
        made = _HEADERS.get(name)
        return None if made is None else made(name)

    def samples(self, name: str, count: int) -> tuple[NDArray[Any], ...]:
        """See ``Catalogue.samples``."""
        from tracker.networks import crops

        header = self.header(name)
        size = header.inputs[0].size if header is not None else 0
        try:
            if name == "face_blendshapes.tflite":
                return (crops.score_points(count),)
            if name == BRANCH:
                return (crops.stems(count),)
            if name == GLANCE:
                return (crops.crops(256, count),)
            if name == "iris_landmark.tflite":
                return (crops.eye_crops(size, count),)
            if header is not None and header.task == "detector":
                return (crops.pictures(size, count),)
            return (crops.crops(size, count),)
        except (TrackerError, FetchError) as error:
            raise EngineError(f"no real pictures for {name}: {error}") from error

    def crops(self, size: int, count: int) -> NDArray[np.uint8]:
        """See ``Catalogue.crops``."""
        from tracker.networks.crops import crops

        try:
            return crops(size, count)
        except (TrackerError, FetchError) as error:
            raise EngineError(f"no real pictures of faces: {error}") from error


CATALOGUE: Final = TrackerNetworks()


def _detector(size: int) -> Callable[[str], NetworkHeader]:
    return lambda name: NetworkHeader(
        Path(name).stem,
        "detector",
        _LICENCE,
        _ORIGIN,
        inputs=(InputHeader("", "crop", "NHWC", size, mean=_HALF, std=_HALF),),
        outputs=(OutputHeader("", "boxes", "px"), OutputHeader("", "confidence", "logit")),
    )


def _landmarker(size: int, points: int, *more: OutputHeader) -> Callable[[str], NetworkHeader]:
    return lambda name: NetworkHeader(
        Path(name).stem,
        "encoder",
        _LICENCE,
        _ORIGIN,
        landmark_set=f"mediapipe{points}",
        inputs=(InputHeader("", "crop", "NHWC", size),),
        outputs=(OutputHeader("", "points", "px"), OutputHeader("", "presence", "logit"), *more),
        regions=regions(points),
    )


def _iris(name: str) -> NetworkHeader:
    return NetworkHeader(
        Path(name).stem,
        "encoder",
        _LICENCE,
        _ORIGIN,
        landmark_set="mediapipe_eye71",
        inputs=(InputHeader("", "crop", "NHWC", 64),),
        outputs=(OutputHeader("", "points", "px"), OutputHeader("", "other", "px")),
        regions={"lids": tuple(range(16)), "around the eye": tuple(range(16, 71))},
    )


def _scores(name: str) -> NetworkHeader:
    return NetworkHeader(
        Path(name).stem,
        "scores",
        _LICENCE,
        _ORIGIN,
        landmark_set="mediapipe478",
        inputs=(InputHeader("", "points"),),
        outputs=(OutputHeader("", "scores", "weight"),),
    )


def regions(points: int) -> dict[str, tuple[int, ...]]:
    """Parts of the face -> their landmarks among the first ``points`` of ``mediapipe478``; each landmark is in one."""
    from tracker.rendering.contours import CONTOURS, IRIS_LEFT, IRIS_RIGHT

    named = {"eye": "eyes", "brow": "brows", "lips": "mouth", "nose": "nose", "oval": "oval"}
    found: dict[str, tuple[int, ...]] = dict.fromkeys(named.values(), ())
    for contour in CONTOURS:
        found[named[contour.kind]] += tuple(index for index in contour.points if index < points)
    irises = tuple(index for index in (*IRIS_RIGHT, *IRIS_LEFT) if index < points)
    taken = set(irises).union(*found.values())
    found |= {"irises": irises} if irises else {}
    return {**found, "rest": tuple(index for index in range(points) if index not in taken)}


_HEADERS: Final[dict[str, Callable[[str], NetworkHeader]]] = {
    "face_detector.tflite": _detector(128),
    "face_detection_full_range_sparse.tflite": _detector(192),
    "face_landmarks_detector.tflite": _landmarker(256, 478, OutputHeader("", "other", "probability")),
    "face_landmark.tflite": _landmarker(192, 468),
    "iris_landmark.tflite": _iris,
    "face_blendshapes.tflite": _scores,
}
