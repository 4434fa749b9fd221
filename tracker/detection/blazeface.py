"""BlazeFace, MediaPipe's single-shot face detector (Bazarevsky et al. 2019, arXiv:1907.05047).

Anchors, decoding and suppression follow MediaPipe's face_detection graphs (Apache-2.0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tracker.config import EngineName, Precision
from tracker.networks import open_network
from tracker.types import Detection, Float32, ImageRGB

KEYPOINTS: Final = 6
_SUPPRESSION_OVERLAP: Final = 0.3


@dataclass(frozen=True, slots=True)
class _Variant:
    file: str
    size: int
    grids: tuple[tuple[int, int], ...]
    """Per output layer: stride in pixels and anchors per cell."""


_VARIANTS: Final = {
    "short": _Variant("face_detector.tflite", 128, ((8, 2), (16, 6))),
    "full": _Variant("face_detection_full_range_sparse.tflite", 192, ((4, 1),)),
}


class BlazeFace:
    """One detector network on square inputs: ``short`` range (128 px) or ``full`` range (192 px)."""

    def __init__(
        self,
        variant: Literal["short", "full"],
        threads: int = 1,
        precision: Precision = "auto",
        engine: EngineName = "auto",
    ) -> None:
        """Load the network. Raises NetworkAssetError when it has not been fetched."""
        chosen = _VARIANTS[variant]
        self.size = chosen.size
        self._engine = open_network(chosen.file, precision=precision, threads=threads, engine=engine)
        (buffer,) = self._engine.buffers.values()
        self._input = buffer[0]
        self._anchors = anchors(chosen.size, chosen.grids)

    def detect(self, square: ImageRGB, min_score: float) -> list[Detection]:
        """Faces in an image, uint8 (size, size, 3), of this detector's size: best first, in its continuous pixels.

        ``min_score`` in 0..1 is the least score of the boxes that are merged into a face.
        """
        # 0..255 to -1..1
        np.multiply(square, np.float32(2 / 255), out=self._input)
        np.subtract(self._input, np.float32(1), out=self._input)
        boxes, logits = self._engine.run()
        least = math.log(min_score / (1 - min_score))
        chosen = np.flatnonzero(logits.ravel() >= least)
        if len(chosen) == 0:
            return []
        scores = 1 / (1 + np.exp(-np.minimum(logits.ravel()[chosen].astype(np.float64), 100.0)))
        # A box is centre, size, then keypoints, in pixels; centre and keypoints relative to the anchor.
        decoded = boxes.reshape(-1, 4 + 2 * KEYPOINTS)[chosen].reshape(len(chosen), -1, 2).astype(np.float64)
        decoded[:, 0] += self._anchors[chosen]
        decoded[:, 2:] += self._anchors[chosen, None]
        decoded[:, 0] -= decoded[:, 1] / 2
        return merge(decoded, scores)


def anchors(size: int, grids: tuple[tuple[int, int], ...]) -> NDArray[np.float64]:
    """Anchor centres (N, 2) in input pixels: per grid its cells row by row, each repeated per anchor."""
    layers = []
    for stride, per_cell in grids:
        centres = (np.arange(size // stride) + 0.5) * stride
        y, x = np.meshgrid(centres, centres, indexing="ij")
        layers.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0))
    return np.concatenate(layers)


def merge(boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> list[Detection]:
    """Blend overlapping boxes into one detection each, weighted by score (BlazeFace, section 3.4).

    Args:
        boxes: (N, 8, 2): corner, size, six keypoints.
        scores: (N,) in 0..1.
    """
    order = np.argsort(-scores, kind="stable")
    faces = []
    while len(order):
        best = order[0]
        together = overlap(boxes[best, :2], boxes[order, :2]) > _SUPPRESSION_OVERLAP
        # The best one overlaps itself unless its box is degenerate.
        together[0] = True
        group = order[together]
        blended = np.average(boxes[group], axis=0, weights=scores[group])
        faces.append(_detection(blended, float(scores[best])))
        order = order[~together]
    return faces


def _detection(box: NDArray[np.float64], score: float) -> Detection:
    values: Float32 = box.astype(np.float32)
    return Detection(box=values[:2].reshape(4), keypoints=values[2:], score=score)


def overlap(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of one box (2, 2: corner, size) with others (N, 2, 2), each in 0..1."""
    low = np.maximum(box[0], boxes[:, 0])
    high = np.minimum(box[0] + box[1], boxes[:, 0] + boxes[:, 1])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    union = np.prod(box[1]) + np.prod(boxes[:, 1], axis=1) - common
    shares: NDArray[np.float64] = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shares
