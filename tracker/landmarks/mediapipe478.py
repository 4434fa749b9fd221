"""The default encoder: MediaPipe's 478-landmark network and its expression scores.

Follows MediaPipe's face_landmarks_detector and face_blendshapes graphs (Apache-2.0): a 256 px crop in 0..1, landmarks
in crop pixels with depth on the same scale, presence as a logit, expression scores from the image positions of 146
landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Final

from tracker.config import EngineName, Precision
from tracker.landmarks.crop import Roi
from tracker.landmarks.crop_network import DeviceCrops, open_crop_network
from tracker.landmarks.encoder import PRESENT, Encoded, sigmoid
from tracker.landmarks.scores import ExpressionScorer, hint
from tracker.landmarks.sigma import SigmaModel
from tracker.types import ImageRGB, Landmarks

SET_NAME: Final = "mediapipe478"
POINTS: Final = 478
OUTER_EYE_CORNERS: Final = (33, 263)

CROP_SIZE: Final = 256


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
        self._scorer = ExpressionScorer(precision, threads, engine)
        if isinstance(self._landmarker, DeviceCrops):
            self._scorer.run_behind(self._landmarker, 0)
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
        values = scored_too[0].reshape(len(rois), -1)[shown] if scored_too else self._scorer.scores(in_crops[shown])
        hints = {row: hint(found, float(tongues.flat[row])) for row, found in zip(shown, values, strict=True)}
        scored = perf_counter()
        self.last_timing = {
            "crop": self._landmarker.last_crop_ms,
            "landmarks": (landmarked - start) * 1e3 - self._landmarker.last_crop_ms,
            "sigma": (finished - landmarked) * 1e3,
            "blendshapes": (scored - finished) * 1e3,
        }
        return [Encoded(found, presences[row], hints.get(row)) for row, found in enumerate(landmarks)]
