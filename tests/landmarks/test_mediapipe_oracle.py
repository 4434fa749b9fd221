"""Our encoder against MediaPipe's own FaceLandmarker on the same crops.

tools/record_mediapipe_oracle.py recorded the answers. MediaPipe's CPU crop samples half a pixel off (it takes pixel centres for
integers); the comparison shows our encoder the crop that MediaPipe saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pictures import picture
from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.landmarks import LandmarkEncoder, Roi

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "mediapipe_oracle.npz"
# Beyond a roll of this, the scores differ by intent: ours are read along the eye line.
UPRIGHT_RAD = 0.1


@pytest.fixture(scope="module")
def oracle() -> Any:
    with np.load(GOLDEN) as stored:
        return dict(stored)


def compared(oracle: Any, index: int, encoder: LandmarkEncoder, folder: Callable[[str], Path]) -> tuple[Any, Any]:
    """Point distances in crop pixels (478,) and score differences (51,) or None."""
    image = picture(folder(str(oracle["name"][index])), int(oracle["frame"][index]))
    cx, cy, size, rotation = map(float, oracle["roi"][index])
    half = size / 512
    off_x = 0.5 - half * (math.cos(rotation) - math.sin(rotation))
    off_y = 0.5 - half * (math.sin(rotation) + math.cos(rotation))
    encoded = encoder.encode(image, Roi(cx + off_x, cy + off_y, size, rotation))
    assert encoded.presence > 0.99
    difference = encoded.landmarks.points[:, :2] - [off_x, off_y] - oracle["landmarks"][index][:, :2]
    distance = np.linalg.norm(difference, axis=1) * 256 / size
    if encoded.arkit_hint is None:
        return distance, None
    names = sorted(set(ARKIT_NAMES) - {"tongueOut"})
    ours = encoded.arkit_hint[[ARKIT_INDEX[name] for name in names]]
    return distance, np.abs(ours - oracle["scores"][index][1:])


@pytest.mark.parametrize("index", range(12))
def test_default_encoder(index: int, oracle: Any, encoder: LandmarkEncoder, samples: Callable[[str], Path]) -> None:
    distance, scores = compared(oracle, index, encoder, samples)
    # Measured: 0.003 to 0.07 and 0.01 to 0.20 px of the 256 px crop, scores 0.002 to 0.013.
    assert np.median(distance) < 0.1
    assert np.percentile(distance, 95) < 0.3
    if abs(oracle["roi"][index][3]) < UPRIGHT_RAD:
        assert scores.mean() < 0.003
        assert scores.max() < 0.025


@pytest.mark.parametrize("index", [0, 1, 5, 7])
def test_light_encoder_sees_the_same_face(
    index: int, oracle: Any, light_encoder: LandmarkEncoder, samples: Callable[[str], Path]
) -> None:
    distance, scores = compared(oracle, index, light_encoder, samples)
    assert scores is None
    assert np.median(distance) < 3
    assert distance[468:].max() < 3, "irises, in the 478-point layout"
