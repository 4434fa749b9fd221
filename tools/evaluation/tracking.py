"""Run the tracker's stages one by one, so that one pass of the networks serves many settings of fit and smoothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.config import TrackerConfig
from tracker.detection import FaceDetector, FaceFollower
from tracker.face_model import FaceModel
from tracker.fitting.fitter import FitConfig
from tracker.fitting.stage import FitStage
from tracker.landmarks import create_encoder
from tracker.smoothing import SmoothingConfig
from tracker.types import Face, FaceObservation, FaceParams, Frame

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A frame without its pixels, and what the networks saw in it."""

    index: int
    t_capture_ns: int
    width: int
    height: int
    observations: list[FaceObservation]


class Follower:
    """Detection and landmarks; one per evaluation, since loading networks takes a while."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        config = config or TrackerConfig()
        encoder = create_encoder(config.encoder, config.threads, config.precision)
        self.set_name = encoder.set_name
        self._follower = FaceFollower(encoder, FaceDetector(config.threads, config.precision), config.max_faces)

    def encode(self, frames: Iterable[Frame]) -> list[Encoded]:
        """Follow the faces of a new stream."""
        self._follower.reset()
        return [
            Encoded(frame.index, frame.t_capture_ns, frame.width, frame.height, self._follower.process(frame))
            for frame in frames
        ]

    def encode_images(self, images: Iterable[NDArray[np.uint8]], fps: float = 30.0) -> list[Encoded]:
        """The same for bare pictures (H, W, 3)."""
        return self.encode(as_frames(images, fps))


def as_frames(images: Iterable[NDArray[np.uint8]], fps: float = 30.0) -> Iterable[Frame]:
    """Frames of a stream of pictures (H, W, 3)."""
    return (Frame(image, index, round(index * 1e9 / fps), "media", 0) for index, image in enumerate(images))


def fit(
    model: FaceModel,
    set_name: str,
    encoded: Sequence[Encoded],
    *,
    fit_config: FitConfig | None = None,
    smoothing: SmoothingConfig | None = None,
    focal_px: float | None = None,
) -> list[Face | None]:
    """Fit and smooth a stream; the first face of each frame, or None."""
    stage = FitStage(model, set_name, fit_config, smoothing)
    faces: list[Face | None] = []
    for seen in encoded:
        camera = Camera.for_image(seen.width, seen.height, focal_px)
        found = stage.process(seen.observations, camera, seen.t_capture_ns)
        faces.append(found[0] if found else None)
    return faces


def project(model: FaceModel, face: Face, params: FaceParams, camera: Camera, set_name: str) -> Float32:
    """Landmarks (L, 2) in pixels of a fitted face whose parameters are ``params`` (smoothed or raw)."""
    points = model.landmarks(model.vertices_camera(face.identity, params), set_name)
    return np.asarray(camera.project(points), np.float32)
