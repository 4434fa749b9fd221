"""Received frames back to frame results, for those who record or process what they subscribe to."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from tracker.camera import Camera
from tracker.types import (
    Albedo,
    Face,
    FaceParams,
    FrameResult,
    IdentityState,
    Illumination,
    KnownIdentity,
    Landmarks,
    Occlusion,
)


def to_frame_result(
    frame: Mapping[str, Any], schema: Mapping[str, Any], identities: Mapping[int, KnownIdentity]
) -> FrameResult:
    """The frame result behind a decoded frame (see ``wire``).

    What is not on the wire is filled in: the depth of landmarks is 0, values before smoothing are the smoothed ones unless
    the stream holds ``raw``, and the shape of a face whose identity was not announced yet is the mean (version 0).

    Args:
        frame: as ``decode_frame`` returns it.
        schema: the schema message of its stream.
        identities: face id -> identity, as a ``Subscriber`` collects them.
    """
    intrinsics = frame["K"]
    width, height = frame["image"]
    pts_s, rate = _media_time(frame)
    return FrameResult(
        index=frame["frame"],
        t_capture_ns=frame["t_capture"],
        clock=frame["clock"],
        t_unix_ns=frame["t_unix"],
        camera=Camera(width, height, float(intrinsics[0, 0]), float(intrinsics[0, 2]), float(intrinsics[1, 2])),
        faces=tuple(_face(face, schema, identities) for face in frame["faces"]),
        pts_s=pts_s,
        rate=rate,
    )


def to_identity(face: Mapping[str, Any]) -> KnownIdentity:
    """One entry of a decoded identity message."""
    state = albedo = None
    if "sigma" in face:
        state = IdentityState(face["confidence"], face["frozen"], face["keyframes"], face["sigma"])
    if "albedo" in face:
        skin = face["albedo"]
        albedo = Albedo(skin["points"], skin["seen"], skin["coverage"], skin["version"])
    return KnownIdentity(face["version"], face["shape"], state, albedo)


def _light(face: Mapping[str, Any]) -> Illumination | None:
    if "light" not in face:
        return None
    light = face["light"]
    white = light.get("white_balance", np.ones(3, np.float32))
    return Illumination(np.ascontiguousarray(light["sh"].reshape(3, 9).T), light["exposure"], white)


def _occlusion(face: Mapping[str, Any]) -> Occlusion | None:
    if "occlusion" not in face:
        return None
    return Occlusion(
        face["occlusion"]["fraction"], face["occlusion"]["regions"], np.zeros(0, np.float32), np.zeros(0, np.bool_)
    )


def _media_time(frame: Mapping[str, Any]) -> tuple[Fraction | None, Fraction | None]:
    """Presentation time in seconds and frame rate, as exact as the wire has them."""
    if "timecode" in frame:
        number, subframe, numerator, denominator = frame["timecode"]
        rate = Fraction(numerator, denominator)
        if rate > 0:
            # The float stands for a ratio of small numbers: of a time base and a frame rate.
            return (number + Fraction(subframe).limit_denominator(1_000_000)) / rate, rate
    return (Fraction(frame["t_capture"], 10**9) if frame["clock"] == "media" else None), None


def _face(face: Mapping[str, Any], schema: Mapping[str, Any], identities: Mapping[int, KnownIdentity]) -> Face:
    params = FaceParams(**face["params"])
    raw = face.get("raw", {})
    mean = KnownIdentity(0, np.zeros(schema["model"]["identity_dim"], np.float32))
    version, shape, state, albedo = identities.get(face["id"], mean)
    points = face.get("landmarks", np.zeros((0, 2), np.float32))
    landmarks = np.concatenate([points, np.zeros((len(points), 1), np.float32)], axis=1)
    return Face(
        id=face["id"],
        tracked=face["tracked"],
        confidence=face["confidence"],
        age=face["age"],
        box=np.array(face["bbox"], np.float32),
        params=params,
        raw=FaceParams(**raw["params"]) if raw else params,
        identity=shape,
        identity_version=version,
        position=face["head"]["position"],
        quaternion=face["head"]["quaternion"],
        arkit=face["arkit"],
        gaze_left=face["gaze"]["left"],
        gaze_right=face["gaze"]["right"],
        landmarks=Landmarks(
            schema["landmarks"]["set"], landmarks, face.get("sigma", np.zeros(0, np.float32)), face.get("visibility")
        ),
        residual_px=face.get("residual_px", 0.0),
        arkit_raw=raw.get("arkit"),
        identity_state=state,
        light=_light(face),
        occlusion=_occlusion(face),
        albedo=albedo,
    )
