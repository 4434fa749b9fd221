"""Expression scores from landmarks: MediaPipe's blendshape network, for every encoder that gives its points.

Follows MediaPipe's face_blendshapes graph (Apache-2.0), with two differences: the network sees the landmarks along the face's eye
line instead of the image's axes, since its scores depend on roll, and ``tongueOut`` is the landmark network's third output.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.config import EngineName, Precision
from tracker.landmarks.crop_network import MOST_CROPS, DeviceCrops
from tracker.networks import open_network
from tracker.types import Float32

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
_RANGE: Final = (CROP_SIZE / 2, 4 / CROP_SIZE)
_TONGUE_OUT: Final = ARKIT_INDEX["tongueOut"]
_JAW_OPEN: Final = ARKIT_INDEX["jawOpen"]
# Score of jawOpen from which on the mouth is open enough to show a tongue.
_TONGUE_JAW_OPEN: Final = 0.2


class ExpressionScorer:
    """Scores of faces whose 478 landmarks are known in a crop along the eye line."""

    def __init__(self, precision: Precision, threads: int, engine: EngineName) -> None:
        """Raises NetworkAssetError when the network has not been fetched."""
        self._network = open_network(
            "face_blendshapes.tflite", precision=precision, threads=threads, engine=engine, rows=MOST_CROPS
        )
        (self._input,) = self._network.buffers.values()

    def run_behind(self, landmarker: DeviceCrops, output: int) -> None:
        """Run on the GPU after a network whose output of that number is (N, 478 * 3) points in crop pixels."""
        picks = 3 * BLENDSHAPE_POINTS[:, None] + np.arange(2)
        landmarker.follow_with(self._network, output, picks, *_RANGE)

    def scores(self, in_crops: Float32) -> Float32:
        """The network's scores (N, 52), for ``hint``, of points (N, 478, 3) in pixels of a 256 px crop."""
        most, (shift, scale) = self._network.batch.maximum, _RANGE
        scores = np.empty((len(in_crops), 1 + len(_SCORED)), np.float32)
        for start in range(0, len(in_crops), most):
            part = in_crops[start : start + most, BLENDSHAPE_POINTS, :2]
            rows = self._input[: len(part)]
            np.subtract(part, np.float32(shift), out=rows)
            np.multiply(rows, np.float32(scale), out=rows)
            (found,) = self._network.run(None if self._network.batch.fixed else len(part))
            scores[start : start + len(part)] = found.reshape(len(part), -1)
        return scores


def hint(scores: Float32, tongue: float) -> Float32:
    """(52,) in ``ARKIT_NAMES`` order, of the network's scores of a face and how much of a tongue another one sees, 0..1."""
    weights = np.zeros(len(ARKIT_NAMES), dtype=np.float32)
    weights[_SCORE_TO_ARKIT] = scores[1:]
    # A hand before a closed mouth looks like a tongue to the network: believe it as far as the mouth is open.
    weights[_TONGUE_OUT] = tongue * min(float(weights[_JAW_OPEN]) / _TONGUE_JAW_OPEN, 1.0)
    return weights
