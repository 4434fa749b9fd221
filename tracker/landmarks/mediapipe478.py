"""The default encoder: MediaPipe's 478-landmark network and its expression scores.

Follows MediaPipe's face_landmarks_detector and face_blendshapes graphs (Apache-2.0): a 256 px crop in 0..1, landmarks
in crop pixels with depth on the same scale, presence as a logit, expression scores from the image positions of 146
landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Final

import numpy as np

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.config import EngineName, Precision
from tracker.landmarks.crop import Roi
from tracker.landmarks.crop_network import MOST_CROPS, DeviceCrops, open_crop_network
from tracker.landmarks.encoder import PRESENT, Encoded, sigmoid
from tracker.landmarks.sigma import SigmaModel
from tracker.networks import open_network
from tracker.types import Float32, ImageRGB, Landmarks

SET_NAME: Final = "mediapipe478"
POINTS: Final = 478
OUTER_EYE_CORNERS: Final = (33, 263)

CROP_SIZE: Final = 256

# The expression network's input, in its order: contours of face, brows, eyes, nose and lips, and all iris points.
BLENDSHAPE_POINTS: Final = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
])  # fmt: skip

# Its output is alphabetical after a score for the neutral face; tongueOut is not among it.
_SCORED: Final = tuple(sorted(set(ARKIT_NAMES) - {"tongueOut"}))
_SCORE_TO_ARKIT: Final = np.array([ARKIT_INDEX[name] for name in _SCORED])
# Subtracted from points in crop pixels, and multiplied with: centred and small, so that bf16 keeps their differences; the
# network itself takes out position and scale.
_SCORER_RANGE: Final = (CROP_SIZE / 2, 4 / CROP_SIZE)
_TONGUE_OUT: Final = ARKIT_INDEX["tongueOut"]
_JAW_OPEN: Final = ARKIT_INDEX["jawOpen"]
# Score of jawOpen from which on the mouth is open enough to show a tongue.
_TONGUE_JAW_OPEN: Final = 0.2


class MediaPipeEncoder:
    """478 landmarks (468 of the face mesh, 5 per iris) and 52 expression scores.

    Two things differ from MediaPipe's own graph. The expression network sees the landmarks along the face's eye line
    instead of the image's axes: its scores depend on roll (half a radian moves them by 0.06 at the median of the
    largest change). And ``tongueOut`` comes from the landmark network's third output, which MediaPipe leaves unread.
    """

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
        # bf16 saves 15 % and moves points by 0.3 px of the crop (median over 378 frames), several times the noise of
        # a still face.
        precision = "f32" if precision == "auto" else precision
        self._landmarker = open_crop_network(
            "face_landmarks_detector.tflite", precision=precision, threads=threads, engine=engine
        )
        self._scorer = open_network(
            "face_blendshapes.tflite", precision=precision, threads=threads, engine=engine, rows=MOST_CROPS
        )
        (self._scorer_input,) = self._scorer.buffers.values()
        if isinstance(self._landmarker, DeviceCrops):
            picks = 3 * BLENDSHAPE_POINTS[:, None] + np.arange(2)
            self._landmarker.follow_with(self._scorer, 0, picks, *_SCORER_RANGE)
        self._sigma = sigma or SigmaModel.load("mediapipe")
        self.last_timing: dict[str, float] = {}

    def encode(self, image: ImageRGB, roi: Roi, scores: bool = True) -> Encoded:
        """See ``LandmarkEncoder.encode``."""
        (encoded,) = self.encode_all(image, [roi], scores)
        return encoded

    def encode_all(self, image: ImageRGB, rois: Sequence[Roi], scores: bool = True) -> list[Encoded]:
        """See ``BatchEncoder.encode_all``."""
        if not rois:
            self.last_timing = {}
            return []
        start = perf_counter()
        (raw, logits, tongues, *scored_too), gains = self._landmarker.run(image, rois)
        in_crops = raw.reshape(len(rois), POINTS, 3)
        presences = [sigmoid(float(logit)) for logit in logits.reshape(-1)]
        landmarked = perf_counter()
        landmarks = []
        for roi, in_crop, presence, gain in zip(rois, in_crops, presences, gains, strict=True):
            points = roi.to_image(in_crop, CROP_SIZE)
            landmarks.append(Landmarks(SET_NAME, points, self._sigma.predict(points, roi, presence, float(gain))))
        finished = perf_counter()
        shown = [row for row, presence in enumerate(presences) if scores and presence >= PRESENT]
        values = scored_too[0].reshape(len(rois), -1)[shown] if scored_too else self._scores(in_crops[shown])
        hints = {row: _hint(found, float(tongues.flat[row])) for row, found in zip(shown, values, strict=True)}
        scored = perf_counter()
        self.last_timing = {
            "crop": self._landmarker.last_crop_ms,
            "landmarks": (landmarked - start) * 1e3 - self._landmarker.last_crop_ms,
            "sigma": (finished - landmarked) * 1e3,
            "blendshapes": (scored - finished) * 1e3,
        }
        return [Encoded(found, presences[row], hints.get(row)) for row, found in enumerate(landmarks)]

    def _scores(self, in_crops: Float32) -> Float32:
        """The expression network's scores (N, 52) of points (N, 478, 3) in the crop."""
        most, (shift, scale) = self._scorer.batch.maximum, _SCORER_RANGE
        scores = np.empty((len(in_crops), 1 + len(_SCORED)), np.float32)
        for start in range(0, len(in_crops), most):
            part = in_crops[start : start + most, BLENDSHAPE_POINTS, :2]
            rows = self._scorer_input[: len(part)]
            np.subtract(part, np.float32(shift), out=rows)
            np.multiply(rows, np.float32(scale), out=rows)
            (found,) = self._scorer.run(None if self._scorer.batch.fixed else len(part))
            scores[start : start + len(part)] = found.reshape(len(part), -1)
        return scores


def _hint(scores: Float32, tongue: float) -> Float32:
    hint = np.zeros(len(ARKIT_NAMES), dtype=np.float32)
    hint[_SCORE_TO_ARKIT] = scores[1:]
    # A hand before a closed mouth looks like a tongue to the network: believe it as far as the mouth is open.
    hint[_TONGUE_OUT] = tongue * min(float(hint[_JAW_OPEN]) / _TONGUE_JAW_OPEN, 1.0)
    return hint
