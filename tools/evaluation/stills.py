"""(b) Photographs with 68 points (dlib's examples, in the development data; the lists say that its own predictor placed them).

Each face is cut out with a margin and shown three times, so that the crop has settled. Errors are mean distances over the
outer-eye distance; over the 51 inner points and over all 68, whose jaw line MediaPipe's mesh defines differently.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.evaluation.clips import SHARED
from tools.evaluation.tracking import Follower, fit, project
from tools.peers.client import SubjectProcess
from tracker.camera import Camera
from tracker.face_model import FaceModel

Float32 = NDArray[np.float32]

FOLDER: Final = SHARED / "stills" / "dlib_faces"
INNER: Final = slice(17, 68)
# The mesh vertices commonly taken for the 68 points: jaw, brows, nose, eyes, lips.
MESH_TO_68: Final = np.array([
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
])  # fmt: skip
_FACE_PX: Final = 160
_MARGIN: Final = 0.8
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Still:
    """A face cut out of a photograph."""

    name: str
    image: NDArray[np.uint8]
    points: Float32
    """(68, 2) points of dlib's predictor in pixels of ``image``."""

    @property
    def eye_distance(self) -> float:
        return float(np.linalg.norm(self.points[36] - self.points[45]))


def available() -> bool:
    """Whether the development data is there."""
    return FOLDER.is_dir()


def load() -> Iterator[Still]:
    """All faces of both lists."""
    for file in sorted(FOLDER.glob("*.xml")):
        for entry in ElementTree.parse(file).getroot().iter("image"):
            picture = cv2.cvtColor(cv2.imread(str(FOLDER / entry.attrib["file"])), cv2.COLOR_BGR2RGB)
            for number, box in enumerate(entry.iter("box")):
                parts = sorted(box.iter("part"), key=lambda part: int(part.attrib["name"]))
                if len(parts) == 68:
                    points = np.array([(float(p.attrib["x"]), float(p.attrib["y"])) for p in parts], np.float32) + 0.5
                    yield _cut(f"{entry.attrib['file']}#{number}", picture.astype(np.uint8), points)


def _cut(name: str, picture: NDArray[np.uint8], points: Float32) -> Still:
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max())
    centre = (low + high) / 2
    scale = _FACE_PX / side
    size = round(_FACE_PX * (1 + 2 * _MARGIN))
    # Pixel centres are at .5 in our coordinates and integers in OpenCV's.
    start = centre * scale - size / 2
    matrix = np.array([[scale, 0, 0.5 * scale - 0.5 - start[0]], [0, scale, 0.5 * scale - 0.5 - start[1]]])
    how = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_CUBIC
    image = cv2.warpAffine(picture, matrix, (size, size), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return Still(name, image.astype(np.uint8), (points * scale - start).astype(np.float32))


def evaluate(model: FaceModel, follower: Follower, peer: SubjectProcess | None) -> dict[str, Any]:
    """Mean error over faces, per method, in % of the outer-eye distance."""
    errors: dict[str, list[tuple[float, float]]] = {"network": [], "fitted": [], "mediapipe": []}
    faces = list(load())
    for still in faces:
        encoded = follower.encode_images([still.image] * _SHOWN)
        fitted = fit(model, follower.set_name, encoded)
        face = fitted[-1]
        if face is not None:
            camera = Camera.for_image(still.image.shape[1], still.image.shape[0])
            errors["network"].append(_errors(still, face.landmarks.points[MESH_TO_68, :2]))
            errors["fitted"].append(_errors(still, project(model, face, face.raw, camera, "ibug68")))
        if peer is not None:
            landmarks = _peer_landmarks(peer, still.image)
            if np.isfinite(landmarks).all():
                errors["mediapipe"].append(_errors(still, landmarks[MESH_TO_68, :2]))
    result: dict[str, Any] = {"faces": len(faces)}
    for name, pairs in errors.items():
        if pairs:
            inner, every = np.array(pairs).T * 100
            result[name] = {
                "found": len(pairs),
                "inner51_percent": round(float(inner.mean()), 3),
                "inner51_median_percent": round(float(np.median(inner)), 3),
                "all68_percent": round(float(every.mean()), 3),
            }
    return result


def _errors(still: Still, points: Float32) -> tuple[float, float]:
    distances = np.linalg.norm(points - still.points, axis=1) / still.eye_distance
    return float(distances[INNER].mean()), float(distances.mean())


def _peer_landmarks(peer: SubjectProcess, image: NDArray[np.uint8]) -> Float32:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.npy"
        np.save(path, np.stack([image] * _SHOWN))
        return peer.see(0, peer.load(path, 30.0))["landmarks"][-1]
