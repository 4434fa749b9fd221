"""The light encoder: MediaPipe's older 468-landmark network, with eyes and irises from its iris network.

Follows MediaPipe's face_landmark and iris_landmark graphs (Apache-2.0). Same 478-point layout as the default encoder,
no expression scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Final

import numpy as np

from tracker.config import EngineName, Precision
from tracker.landmarks.crop import Roi, eye_roi
from tracker.landmarks.crop_network import MOST_CROPS, open_crop_network
from tracker.landmarks.encoder import Encoded, sigmoid
from tracker.landmarks.mediapipe478 import OUTER_EYE_CORNERS, POINTS, SET_NAME
from tracker.landmarks.sigma import SigmaModel
from tracker.types import Float32, ImageRGB, Landmarks

FACE_CROP: Final = 192
EYE_CROP: Final = 64
MESH_POINTS: Final = 468

# Mesh points that the iris network's eye contours replace, in its order, for the subject's right and left eye.
RIGHT_EYE: Final = np.array([
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22, 26, 112,
    243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
])  # fmt: skip
LEFT_EYE: Final = np.array([
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254, 253, 252, 256,
    341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442,
    441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336,
    285, 417,
])  # fmt: skip
# Of these, the lid contour itself: its depth is the iris's.
_LID_POINTS: Final = 16


class LightEncoder:
    """468 mesh landmarks with refined eyes and 5 points per iris."""

    set_name = SET_NAME
    outer_eye_corners = OUTER_EYE_CORNERS

    def __init__(
        self,
        threads: int = 1,
        precision: Precision = "auto",
        sigma: SigmaModel | None = None,
        engine: EngineName = "auto",
    ) -> None:
        """Load the networks. ``sigma`` stands in for the shipped uncertainty model (to calibrate one).

        Raises NetworkAssetError when the networks have not been fetched.
        """
        # bf16 moves points by about 0.1 % of the crop: too much for the face's crop, little for an eye's.
        exact = "f32" if precision == "auto" else precision
        self._mesh = open_crop_network("face_landmark.tflite", precision=exact, threads=threads, engine=engine)
        self._iris = open_crop_network(
            "iris_landmark.tflite", precision=precision, threads=threads, engine=engine, rows=2 * MOST_CROPS
        )
        self._sigma = sigma or SigmaModel.load("light")
        self.last_timing: dict[str, float] = {}

    def encode(self, image: ImageRGB, roi: Roi, scores: bool = True) -> Encoded:
        """See ``LandmarkEncoder.encode``."""
        (encoded,) = self.encode_all(image, [roi], scores)
        return encoded

    def encode_all(self, image: ImageRGB, rois: Sequence[Roi], scores: bool = True) -> list[Encoded]:
        """See ``BatchEncoder.encode_all``: one run for the faces, one for all their eyes."""
        if not rois:
            self.last_timing = {}
            return []
        start = perf_counter()
        (raw, logits), gains = self._mesh.run(image, rois)
        presences = [sigmoid(float(logit)) for logit in logits.reshape(-1)]
        faces = np.empty((len(rois), POINTS, 3), dtype=np.float32)
        for points, roi, mesh in zip(faces, rois, raw.reshape(len(rois), MESH_POINTS, 3), strict=True):
            points[:MESH_POINTS] = roi.to_image(mesh, FACE_CROP)
        landmarked = perf_counter()
        self._refine(image, faces)
        refined = perf_counter()
        encoded = [
            Encoded(
                Landmarks(SET_NAME, points, self._sigma.predict(points, roi, presence, float(gain))), presence, None
            )
            for points, roi, presence, gain in zip(faces, rois, presences, gains, strict=True)
        ]
        finished = perf_counter()
        self.last_timing = {
            "crop": self._mesh.last_crop_ms,
            "landmarks": (landmarked - start) * 1e3 - self._mesh.last_crop_ms,
            "irises": (refined - landmarked) * 1e3,
            "sigma": (finished - refined) * 1e3,
        }
        return encoded

    def _refine(self, image: ImageRGB, faces: Float32) -> None:
        """Replace the eyes' contours and write the irises of ``faces``, (N, 478, 3). The network knows right eyes; left ones
        are shown to it mirrored.
        """
        eyes = [
            (points, contour, iris, flip)
            for points in faces
            for contour, iris, flip in ((RIGHT_EYE, slice(468, 473), False), (LEFT_EYE, slice(473, 478), True))
        ]
        rois = [eye_roi(points[contour[0], :2], points[contour[8], :2], flip) for points, contour, _, flip in eyes]
        seen, _ = self._iris.run(image, rois, [flip for *_, flip in eyes])
        for row, ((points, contour, iris, flip), roi) in enumerate(zip(eyes, rois, strict=True)):
            eye, centre_and_edge = (output[row].reshape(-1, 3) for output in seen)
            if flip:
                eye = _mirrored(eye)
                # Mirroring swaps the iris's right edge with its left one.
                centre_and_edge = _mirrored(centre_and_edge)[[0, 3, 2, 1, 4]]
            points[contour, :2] = roi.to_image(eye, EYE_CROP)[:, :2]
            points[iris, :2] = roi.to_image(centre_and_edge, EYE_CROP)[:, :2]
            points[iris, 2] = points[contour[:_LID_POINTS], 2].mean()


def _mirrored(points: Float32) -> Float32:
    flipped = points.copy()
    flipped[:, 0] = EYE_CROP - flipped[:, 0]
    return flipped
