"""The stored landmark embeddings: where MediaPipe's 478 points lie on the head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.build_head import mediapipe_points as mp

STORED: Final = Path(__file__).parent / "data" / "mediapipe478.npz"
"""Made by ``tools.build_head.embed_canonical`` and refined by ``tools.build_head.refine_landmarks``."""


@dataclass(frozen=True)
class Embedding:
    """L points on the mesh."""

    faces: NDArray[np.int32]
    """(L,) triangle of each point."""
    barycentric: NDArray[np.float32]
    """(L, 3)."""
    weight: NDArray[np.float32]
    """(L,) 0..1; 0 = do not use."""


def load_mediapipe478() -> Embedding:
    """The stored embedding."""
    with np.load(STORED) as stored:
        return Embedding(stored["faces"], stored["barycentric"], stored["weight"])


def ibug68(points: Embedding) -> Embedding:
    """The iBUG 68 points by their usual MediaPipe counterparts; the jaw line slides with the view, hence weight 0.1."""
    chosen = np.array(mp.IBUG_JAW + mp.IBUG_INNER)
    weight = np.ones(len(chosen), np.float32)
    weight[: len(mp.IBUG_JAW)] = 0.1
    return Embedding(points.faces[chosen], points.barycentric[chosen], weight)


def points_on(embedding: Embedding, vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """(L, 3) positions of the embedded points."""
    result: NDArray[np.float64] = np.einsum(
        "lk,lki->li", embedding.barycentric.astype(np.float64), vertices[faces[embedding.faces]]
    )
    return result
