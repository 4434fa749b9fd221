"""What a take says about itself: ``meta_json`` and the sizes that readers need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

import tracker
from tracker.arkit import ARKIT_NAMES
from tracker.face_model.model import ROOT, FaceModel
from tracker.types import Clock, Float32, FrameResult

FORMAT: Final = "face-take"
VERSION: Final = 1

_AXES: Final = {
    "camera": "opencv: x right, y down, z forward",
    "head": "flame: x to the subject's left, y up, z out of the face",
    "rotation, translation": "vhap world: opengl axes, camera at (0, 0, 1) looking along -z, rotation about the root joint",
    "rotation_camera, translation_camera, position, quaternion": "head axes to camera axes",
    "image": "pixels from the top left corner; pixel centres at integers + 0.5",
}
_UNITS: Final = {"length": "m", "angle": "rad", "time": "ns", "image": "px"}


@dataclass(frozen=True, slots=True)
class TakeHeader:
    """Everything about a take that is known when its first frame is."""

    meta: dict[str, Any]
    """JSON-able: what ends up as ``meta_json``, less ``frames`` and ``complete``."""
    joint_template: Float32
    """(3,) root joint of the mean head, metres."""
    joint_identity: Float32
    """(3, Ni) its displacement per identity coefficient."""
    joint_expression: Float32
    """(3, Ne) its displacement per expression weight, which FLAME has."""
    source_origin: Float32
    """(3,) metres, head axes: where the model's own file has its origin."""

    @classmethod
    def create(
        cls,
        model: FaceModel,
        meta: Mapping[str, Any],
        first: FrameResult | None,
        *,
        with_raw: bool,
        with_landmarks: bool,
        with_appearance: bool = False,
    ) -> TakeHeader:
        """The header of a take of ``model``; ``meta`` adds to what it says and cannot replace it."""
        rate = None if first is None else first.rate
        own: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "tool": f"tracker {tracker.__version__}",
            "clock": "media" if first is None else first.clock,
            "rate": None if rate is None else [rate.numerator, rate.denominator],
            "model": {
                "name": model.name,
                "version": model.version,
                "sha256": model.sha256,
                "licence": model.licence,
                "identity_count": model.identity_count,
                "expression_names": list(model.published_names),
            },
            "flame_release": _flame_release(model),
            "arkit_names": list(ARKIT_NAMES),
            "units": _UNITS,
            "axes": _AXES,
            "quaternion": "xyzw",
            "with_raw": with_raw,
            "with_landmarks": with_landmarks,
            "appearance": {"regions": list(model.region_names)} if with_appearance else None,
        }
        return cls(
            {**{str(key): value for key, value in meta.items()}, **own},
            np.asarray(model.joint_template[ROOT], np.float32),
            np.asarray(model.joint_identity[ROOT], np.float32),
            _published(model),
            np.asarray(model.source_origin, np.float32),
        )

    @property
    def is_flame(self) -> bool:
        return self.meta.get("flame_release") is not None

    @property
    def expression_names(self) -> tuple[str, ...]:
        return tuple(self.meta["model"]["expression_names"])

    @property
    def identity_count(self) -> int:
        return int(self.meta["model"]["identity_count"])

    @property
    def regions(self) -> tuple[str, ...] | None:
        """Names of the face regions of ``occlusion_regions``; None for takes without appearance."""
        appearance = self.meta.get("appearance")
        return None if appearance is None else tuple(str(name) for name in appearance["regions"])

    @property
    def clock(self) -> Clock:
        return cast(Clock, self.meta["clock"])

    @property
    def rate(self) -> Fraction | None:
        rate = self.meta["rate"]
        return None if rate is None else Fraction(rate[0], rate[1])

    def root_joint(
        self, identity: NDArray[np.floating], expression: NDArray[np.floating] | None = None
    ) -> NDArray[np.float64]:
        """Metres, head axes: the root joint of a person's head, (3,) relaxed or (T, 3) with expressions (T, Ne)."""
        joint: NDArray[np.float64] = self.joint_template.astype(np.float64) + self.joint_identity @ identity
        if expression is not None and self.joint_expression.any():
            joint = joint + expression @ self.joint_expression.T
        return joint

    def to_record(self) -> dict[str, Any]:
        """The first record of a journal or of a ``.jsonl`` take."""
        return {
            **self.meta,
            "root_joint": {
                "template": self.joint_template.tolist(),
                "identity": self.joint_identity.tolist(),
                "expression": self.joint_expression.tolist() if self.joint_expression.any() else None,
                "source_origin": self.source_origin.tolist(),
            },
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> TakeHeader:
        """The way back.

        Raises:
            ValueError, KeyError, TypeError: the record is not the header of a take of this version.
        """
        if record.get("format") != FORMAT:
            raise ValueError("it does not say that it is a take")
        if record["version"] != VERSION:
            raise ValueError(f"expected take version {VERSION}, found {record['version']}")
        meta = {key: value for key, value in record.items() if key != "root_joint"}
        joint = record["root_joint"]
        header = cls(
            meta,
            np.array(joint["template"], np.float32).reshape(3),
            np.array(joint["identity"], np.float32).reshape(3, int(meta["model"]["identity_count"])),
            _joint_expression(joint.get("expression"), len(meta["model"]["expression_names"])),
            np.array(joint.get("source_origin", (0.0, 0.0, 0.0)), np.float32).reshape(3),
        )
        if header.clock not in ("media", "CLOCK_MONOTONIC") or not header.expression_names:
            raise ValueError("its clock or its expression names are missing")
        _ = header.rate
        return header


def _flame_release(model: FaceModel) -> str | None:
    """What an imported FLAME says of itself, which outlives the name that its user gave it."""
    if not is_flame(model):
        return None
    return f"FLAME {model.version}" if "family" in model.meta else model.name


def _published(model: FaceModel) -> Float32:
    count = len(model.published_names)
    if model.joint_expression is None:
        return np.zeros((3, count), np.float32)
    return np.asarray(model.joint_expression[ROOT][:, :count], np.float32)


def _joint_expression(values: list[list[float]] | None, count: int) -> Float32:
    return np.zeros((3, count), np.float32) if values is None else np.array(values, np.float32).reshape(3, count)


def is_flame(model: FaceModel) -> bool:
    """Whether a face model is one of FLAME's releases, whose coefficients FLAME's own tools can read."""
    return model.meta.get("family", model.name).lower().startswith("flame")
