"""The ``face/schema/`` message: what the numbers in a frame mean, said once a second so that late joiners can decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import tracker
from tracker.arkit import ARKIT_NAMES
from tracker.types import Float32

WIRE_VERSION: Final = 1
"""``v`` of every message; it grows only when old clients can no longer read new messages."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What subscribers need to know about a face model; independent of how the model is stored or evaluated."""

    name: str
    """For example ``builtin-head`` or ``flame2023-open``."""
    sha256: str
    """Hexadecimal digest of the model file."""
    identity_dim: int
    """Number of identity coefficients, Ni."""
    expression_names: tuple[str, ...]
    """Names of the Ne entries of ``params.expression``, in order."""
    joint_names: tuple[str, ...] = ()
    """Names of the joints of the model, root first."""
    landmark_set: str = "mediapipe478"
    """Name of the landmark set in ``landmarks`` and ``sigma``."""
    landmark_count: int = 478
    """Number of points N in that set."""


def build_schema(
    model: ModelDescription,
    *,
    regions: tuple[str, ...] = (),
    skin_uv: Float32 | None = None,
    with_raw: bool = False,
    with_landmarks: bool = False,
    revision: int = 1,
    stream: str = "",
    tracker_version: str | None = None,
) -> dict[str, Any]:
    """The schema message as a map ready for msgpack or JSON.

    Args:
        model: the face model behind ``params``.
        regions: names of the face regions in ``occlusion.regions``, in order; empty when occlusion is not estimated.
        skin_uv: (P, 2) texture coordinates in 0..1 of the points of ``albedo``; None when appearance is not estimated.
        with_raw: frames hold ``raw``.
        with_landmarks: frames hold ``landmarks`` and ``sigma``, and ``visibility`` where it is known.
        revision: the number that frames repeat as ``schema``; grows whenever anything in here changes within a stream.
        stream: the uuid of the publishing process.
        tracker_version: defaults to the version of this package.
    """
    schema: dict[str, Any] = {
        "v": WIRE_VERSION,
        "schema": revision,
        "stream": stream,
        "arkit_names": list(ARKIT_NAMES),
        "model": {
            "name": model.name,
            "sha256": model.sha256,
            "identity_dim": model.identity_dim,
            "expression_names": list(model.expression_names),
            "joint_names": list(model.joint_names),
        },
        "landmarks": {"set": model.landmark_set, "count": model.landmark_count},
        "contents": {"raw": with_raw, "landmarks": with_landmarks},
        "regions": list(regions),
        "units": {"length": "m", "angle": "rad", "time": "ns", "image": "px"},
        "axes": {
            "camera": "opencv: x right, y down, z forward",
            "head": "subject-left positive: x to the subject's left, y up, z out of the face",
        },
        "quaternion": "xyzw",
        "sh_order": 2,
        "tracker": tracker.__version__ if tracker_version is None else tracker_version,
    }
    if skin_uv is not None:
        codes = np.round(np.clip(skin_uv, 0.0, 1.0) * 65535.0).astype("<u2")
        schema["albedo"] = {"points": len(codes), "uv": codes.tobytes()}
    return schema
