"""Frame results as plain maps, the form that journals and ``.jsonl`` takes share.

A record has the keys of the published frame (docs/wire.md) where both say the same thing; docs/takes.md lists all of them.
Every list inside a face stands for an array. A face carries ``identity`` only where it differs from the one before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.recording.appearance import SH_NUMBERS, AppearanceEncoder
from tracker.types import PARAM_SIZES, Face, FaceParams, Float32, FrameResult
from tracker.unit_codes import to_unit_codes

Record = dict[str, Any]


class RecordEncoder:
    """Frame results to records. Keeps track of which identities have been written."""

    def __init__(
        self,
        *,
        expression_count: int,
        identity_count: int,
        with_raw: bool,
        with_landmarks: bool,
        with_appearance: bool = False,
    ) -> None:
        self._expression_count = expression_count
        self._identity_count = identity_count
        self._with_raw = with_raw
        self._with_landmarks = with_landmarks
        self._appearance = AppearanceEncoder() if with_appearance else None
        self._identities: dict[int, int] = {}
        self._landmark_count: int | None = None

    def encode(self, result: FrameResult) -> Record:
        """The record of one frame, whose faces are finite (``finite.py``); its arrays are float32.

        Raises:
            ValueError: a face does not fit the face model of this take, or its landmarks are not those of the first.
        """
        camera, pts = result.camera, result.pts_s
        for face in result.faces:
            self._check(face)
        return {
            "frame": result.index,
            "t_capture": result.t_capture_ns,
            "t_unix": result.t_unix_ns,
            "pts": None if pts is None else [pts.numerator, pts.denominator],
            "image": [camera.width, camera.height],
            "camera": [camera.focal_px, camera.cx, camera.cy],
            "faces": [self._face(face) for face in result.faces],
        }

    def _face(self, face: Face) -> Record:
        record: Record = {
            "id": face.id,
            "tracked": bool(face.tracked),
            "confidence": float(face.confidence),
            "age": face.age,
            "bbox": _f32(face.box),
            "params": _params(face.params),
            "head": {"position": _f32(face.position), "quaternion": _f32(face.quaternion)},
            "arkit": _f32(face.arkit),
            "gaze": {"left": _f32(face.gaze_left), "right": _f32(face.gaze_right)},
            "residual_px": float(face.residual_px),
            "identity_version": face.identity_version,
            "landmark_set": face.landmarks.set_name,
        }
        if self._identities.get(face.id) != face.identity_version:
            self._identities[face.id] = face.identity_version
            record["identity"] = _f32(face.identity)
            if face.identity_state is not None:
                state = face.identity_state
                record["identity_state"] = {
                    "confidence": float(state.confidence),
                    "frozen": bool(state.frozen),
                    "keyframes": int(state.keyframes),
                    "sigma": _f32(state.sigma),
                }
        if self._with_raw:
            arkit = face.arkit if face.arkit_raw is None else face.arkit_raw
            record["raw"] = {"params": _params(face.raw), "arkit": _f32(arkit)}
        if self._with_landmarks:
            record["landmarks"] = _f32(face.landmarks.points)
            record["sigma"] = _f32(face.landmarks.sigma)
            if face.landmarks.visibility is not None:
                record["visibility"] = to_unit_codes(face.landmarks.visibility)
        if self._appearance is not None:
            self._appearance.add_to(record, face)
        return record

    def _check(self, face: Face) -> None:
        if face.params.expression.shape != (self._expression_count,) or face.identity.shape != (self._identity_count,):
            raise ValueError(
                f"face {face.id}: expected {self._expression_count} expression and {self._identity_count} identity "
                f"coefficients, got shapes {face.params.expression.shape} and {face.identity.shape}"
            )
        if self._with_landmarks:
            self._check_landmarks(face)

    def _check_landmarks(self, face: Face) -> None:
        landmarks = face.landmarks
        count = len(landmarks.points)
        if self._landmark_count is None:
            self._landmark_count = count
        if count != self._landmark_count or landmarks.sigma.shape != (count,):
            raise ValueError(
                f"a take holds one landmark set with a sigma each: it began with {self._landmark_count} points, face "
                f"{face.id} has {count} and {landmarks.sigma.size} sigmas"
            )
        if landmarks.visibility is not None and landmarks.visibility.shape != (count,):
            raise ValueError(
                f"face {face.id} has {count} landmarks and visibility of shape {landmarks.visibility.shape}"
            )


def with_arrays(record: Record, expression_count: int, identity_count: int) -> Record:
    """A record as read from disk with the blobs and lists of its faces turned into checked float32 arrays.

    Raises:
        ValueError, KeyError, TypeError: the record is not one that ``RecordEncoder`` wrote.
    """
    for key in ("frame", "t_capture", "t_unix"):
        if not isinstance(record[key], int):
            raise TypeError(f"{key} is not an integer")
    width, height = record["image"]
    focal, cx, cy = (float(value) for value in record["camera"])
    pts = record["pts"]
    return {
        "frame": record["frame"],
        "t_capture": record["t_capture"],
        "t_unix": record["t_unix"],
        "pts": None if pts is None else [int(pts[0]), int(pts[1])],
        "image": [int(width), int(height)],
        "camera": [focal, cx, cy],
        "faces": [_face_with_arrays(face, expression_count, identity_count) for face in record["faces"]],
    }


def _face_with_arrays(face: Record, expression_count: int, identity_count: int) -> Record:
    decoded: Record = {
        "id": int(face["id"]),
        "tracked": bool(face["tracked"]),
        "confidence": float(face["confidence"]),
        "age": int(face["age"]),
        "bbox": _array(face["bbox"], 4),
        "params": _params_with_arrays(face["params"], expression_count),
        "head": {"position": _array(face["head"]["position"], 3), "quaternion": _array(face["head"]["quaternion"], 4)},
        "arkit": _array(face["arkit"], len(ARKIT_NAMES)),
        "gaze": {side: _array(face["gaze"][side], 2) for side in ("left", "right")},
        "residual_px": float(face["residual_px"]),
        "identity_version": int(face["identity_version"]),
        "landmark_set": str(face["landmark_set"]),
    }
    if "identity" in face:
        decoded["identity"] = _array(face["identity"], identity_count)
        if "identity_state" in face:
            state = face["identity_state"]
            decoded["identity_state"] = {
                "confidence": float(state["confidence"]),
                "frozen": bool(state["frozen"]),
                "keyframes": int(state["keyframes"]),
                "sigma": _array(state["sigma"], identity_count),
            }
    if "raw" in face:
        raw = face["raw"]
        decoded["raw"] = {
            "params": _params_with_arrays(raw["params"], expression_count),
            "arkit": _array(raw["arkit"], len(ARKIT_NAMES)),
        }
    if "landmarks" in face:
        decoded["landmarks"] = _array(face["landmarks"], None).reshape(-1, 3)
        decoded["sigma"] = _array(face["sigma"], len(decoded["landmarks"]))
        if "visibility" in face:
            decoded["visibility"] = _codes(face["visibility"], len(decoded["landmarks"]))
    decoded |= _appearance_with_arrays(face)
    return decoded


def _appearance_with_arrays(face: Record) -> Record:
    decoded: Record = {}
    if "light" in face:
        light = face["light"]
        decoded["light"] = {
            "sh": _array(light["sh"], SH_NUMBERS),
            "exposure": float(light["exposure"]),
            "white_balance": _array(light["white_balance"], 3),
        }
    if "occlusion" in face:
        occlusion = face["occlusion"]
        decoded["occlusion"] = {"fraction": float(occlusion["fraction"]), "regions": _array(occlusion["regions"], None)}
    if "albedo" in face:
        albedo = face["albedo"]
        seen = _array(albedo["seen"], None)
        decoded["albedo"] = {
            "version": int(albedo["version"]),
            "coverage": float(albedo["coverage"]),
            "points": _array(albedo["points"], 3 * seen.size),
            "seen": seen,
        }
    return decoded


def _params_with_arrays(params: Record, expression_count: int) -> Record:
    return {
        name: _array(params[name], expression_count if size is None else size) for name, size in PARAM_SIZES.items()
    }


def _array(value: bytes | list[Any], size: int | None) -> Float32:
    array = np.frombuffer(value, "<f4") if isinstance(value, bytes) else np.array(value, np.float32)
    if size is not None and array.shape != (size,):
        raise ValueError(f"expected {size} numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("it holds NaN or infinity")
    return array


def _codes(value: bytes | list[Any], size: int) -> NDArray[np.uint8]:
    codes = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else np.array(value, np.uint8)
    if codes.shape != (size,):
        raise ValueError(f"expected {size} codes, got shape {codes.shape}")
    return codes


def _params(params: FaceParams) -> dict[str, Float32]:
    return {name: _f32(getattr(params, name)) for name in PARAM_SIZES}


def _f32(array: Float32) -> Float32:
    return np.ascontiguousarray(array, dtype="<f4")
