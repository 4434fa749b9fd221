"""The default encoder: MediaPipe's 478-landmark network and its expression scores.

Follows MediaPipe's face_landmarks_detector and face_blendshapes graphs (Apache-2.0): a 256 px crop in 0..1, landmarks in crop
pixels with depth on the same scale, presence as a logit, expression scores from the image positions of 146 landmarks.
"""

from __future__ import annotations

from time import perf_counter
from typing import Final

import numpy as np

from tracker.arkit import ARKIT_NAMES
from tracker.landmarks.crop import Cropper, Roi
from tracker.landmarks.encoder import PRESENT, Encoded, Precision
from tracker.networks import open_network
from tracker.types import Float32, ImageRGB, Landmarks

SET_NAME: Final = "mediapipe478"
POINTS: Final = 478
OUTER_EYE_CORNERS: Final = (33, 263)

CROP_SIZE: Final = 256

# The expression network's input, in its order: contours of face, brows, eyes, nose and lips, and all iris points.
BLENDSHAPE_POINTS: Final = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80, 81, 82, 84, 87,
    88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161,
    162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288,
    291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374,
    375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470,
    471, 472, 473, 474, 475, 476, 477,
])  # fmt: skip

# Its output is alphabetical after a score for the neutral face; tongueOut is not among it.
_SCORED: Final = tuple(sorted(set(ARKIT_NAMES) - {"tongueOut"}))
_SCORE_TO_ARKIT: Final = np.array([ARKIT_NAMES.index(name) for name in _SCORED])


class MediaPipeEncoder:
    """478 landmarks (468 of the face mesh, 5 per iris) and 51 expression scores."""

    set_name = SET_NAME
    outer_eye_corners = OUTER_EYE_CORNERS

    def __init__(self, threads: int = 1, precision: Precision = "auto") -> None:
        """Load the networks. Raises NetworkAssetError when they have not been fetched."""
        self._landmarker = open_network("face_landmarks_detector.tflite", precision=precision, threads=threads)
        self._scorer = open_network("face_blendshapes.tflite", precision=precision, threads=threads)
        self._cropper = Cropper(CROP_SIZE)
        (crop_input,) = self._landmarker.buffers.values()
        self._crop_input = crop_input[0]
        (scorer_input,) = self._scorer.buffers.values()
        self._scorer_input = scorer_input[0]
        self.last_timing: dict[str, float] = {}

    def encode(self, image: ImageRGB, roi: Roi) -> Encoded:
        """See ``LandmarkEncoder.encode``."""
        start = perf_counter()
        np.multiply(self._cropper.cut(image, roi), np.float32(1 / 255), out=self._crop_input)
        cropped = perf_counter()
        raw, presence_logit, _ = self._landmarker.run()
        in_crop = raw.reshape(POINTS, 3)
        presence = float(1.0 / (1.0 + np.exp(-presence_logit.item())))
        landmarked = perf_counter()
        points = roi.to_image(in_crop, CROP_SIZE)
        sigma = np.full(POINTS, 1.0, np.float32)
        finished = perf_counter()
        hint = self._scores(in_crop) if presence >= PRESENT else None
        scored = perf_counter()
        self.last_timing = {
            "crop": (cropped - start) * 1e3,
            "landmarks": (landmarked - cropped) * 1e3,
            "sigma": (finished - landmarked) * 1e3,
            "blendshapes": (scored - finished) * 1e3,
        }
        return Encoded(Landmarks(SET_NAME, points, sigma), presence, hint)

    def _scores(self, in_crop: Float32) -> Float32:
        np.copyto(self._scorer_input, in_crop[BLENDSHAPE_POINTS, :2])
        (scores,) = self._scorer.run()
        hint = np.zeros(len(ARKIT_NAMES), dtype=np.float32)
        hint[_SCORE_TO_ARKIT] = scores[1:]
        return hint
