"""A face in another model's parameters: what was fitted with an ARKit-named head, said in FLAME's coefficients.

Nothing is fitted again. Shape: ridge least squares of the target's identity on the landmark points that both models carry, with
the rigid motion between the two heads' axes solved in turn; what landmarks do not reach (the back of the head) stays the mean's.
Expression: the target's ARKit map. Gaze: the eyes' own turns. The two meshes agree as well as the residual says, in the picture
as in space; whoever wants FLAME's best fit tracks with FLAME itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.errors import FaceModelError
from tracker.face_model.model import EYELID_CONTROLS, FaceModel
from tracker.rotations import (
    head_rotvec_from_matrix,
    matrix_from_quaternion,
    matrix_from_rotvec,
    quaternion_from_matrix,
)  # fmt: skip
from tracker.types import Face, FaceParams

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_SETS: Final = ("mediapipe478", "ibug68")
_ROUNDS: Final = 4
_MOST_FACES: Final = 64
_RIDGE_M: Final = 0.0015
"""How far apart (RMS) corresponding landmarks of two models lie anyway: the weight of the population prior."""


class Retarget:
    """Faces of ``source`` in the parameters of ``target``. Keeps the shape of every identity it has met last per face."""

    def __init__(self, source: FaceModel, target: FaceModel) -> None:
        """Prepare.

        Raises:
            FaceModelError: the source's expressions are not ARKit's, the target has no ARKit map, or they share no landmarks.
        """
        if not set(source.expression_names) & set(ARKIT_NAMES):
            raise FaceModelError(f"'{source.name}' has expressions of its own; track with it directly, without --flame")
        if target.arkit_map is None:
            raise FaceModelError(
                f"'{target.name}' has no ARKit map; give an imported FLAME (tracker models import PATH)"
            )
        shared = [name for name in _SETS if name in source.embeddings and name in target.embeddings]
        if not shared:
            raise FaceModelError(
                f"'{source.name}' and '{target.name}' share no landmark set: expected {' or '.join(_SETS)}"
            )
        self.target = target
        self._source = source
        self._set = shared[0]
        weight = source.embedding(self._set).weight * target.embedding(self._set).weight
        self._weight = np.where(weight > 0.1, weight, 0.0).astype(np.float64)
        corners = target.faces[target.embedding(self._set).faces]
        barycentric = target.embedding(self._set).barycentric
        basis = np.einsum("lc,lcdk->ldk", barycentric, target.identity_basis[corners]).astype(np.float64)
        self._mean = target.landmarks(target.template, self._set).astype(np.float64)
        self._basis = basis
        flat = basis.reshape(-1, basis.shape[2])
        weighted = flat * np.repeat(self._weight, 3)[:, None]
        information = weighted.T @ flat + _RIDGE_M**2 * np.eye(flat.shape[1])
        self._gain: Float64 = np.linalg.solve(information, weighted.T)
        self._known: dict[int, tuple[int, Float32, Float64, Float64]] = {}
        self.residual_m = 0.0
        """RMS distance of the landmarks of the last shape that was solved for."""

    def __call__(self, face: Face) -> Face:
        """The same face with ``params``, ``raw`` and ``identity`` of the target; everything else stays."""
        identity, turn, shift = self._shape(face)
        raw_arkit = face.arkit if face.arkit_raw is None else face.arkit_raw
        params = self._params(face.params, face.arkit, turn, shift)
        moved = matrix_from_rotvec(params.rotation)
        # The head's origin and axes are the target's; a recentred pose keeps its own virtual camera.
        recentred = _recentred(face)
        return replace(
            face,
            params=params,
            raw=self._params(face.raw, raw_arkit, turn, shift),
            identity=identity,
            identity_state=None,
            position=(recentred[0] @ params.translation + recentred[1]).astype(np.float32),
            quaternion=quaternion_from_matrix(recentred[0] @ moved).astype(np.float32),
        )

    def _params(self, params: FaceParams, arkit: Float32, turn: Float64, shift: Float64) -> FaceParams:
        assert self.target.arkit_map is not None
        weights = np.clip(self.target.arkit_map @ arkit, *self.target.expression_bounds.T)
        # v_source = turn' (v_target - shift), so the head's pose takes the difference of axes up.
        rotation = matrix_from_rotvec(params.rotation) @ turn.T
        translation = np.asarray(params.translation, np.float64) - rotation @ shift
        made = self.target.params_of(weights, head_rotvec_from_matrix(rotation), translation)
        lids = made.eyelids if EYELID_CONTROLS[0] in self.target.expression_names else params.eyelids
        return replace(made, eyes=np.asarray(params.eyes, np.float32), eyelids=lids)

    def _shape(self, face: Face) -> tuple[Float32, Float64, Float64]:
        known = self._known.get(face.id)
        if known is None or known[0] != face.identity_version:
            solved = self._solve(face.identity)
            known = self._known[face.id] = (face.identity_version, *solved)
            if len(self._known) > _MOST_FACES:
                # Ids are never used again: the oldest has long gone.
                del self._known[min(self._known)]
        return known[1], known[2], known[3]

    def _solve(self, identity: Float32) -> tuple[Float32, Float64, Float64]:
        """Identity (Ni,) of the target, and the motion R (3, 3), t (3,) that takes the source's head axes to its."""
        points = self._source.landmarks(self._source.neutral_vertices(identity), self._set).astype(np.float64)
        coefficients = np.zeros(self._basis.shape[2])
        turn, shift = np.eye(3), np.zeros(3)
        for _ in range(_ROUNDS):
            found = self._mean + self._basis @ coefficients
            turn, shift = _rigid(points, found, self._weight)
            wanted = points @ turn.T + shift
            coefficients = self._gain @ (wanted - self._mean).ravel()
        apart = ((self._mean + self._basis @ coefficients - wanted) ** 2).sum(axis=1)
        self.residual_m = float(np.sqrt((self._weight * apart).sum() / self._weight.sum()))
        return coefficients.astype(np.float32), turn, shift


def _rigid(source: Float64, target: Float64, weight: Float64) -> tuple[Float64, Float64]:
    """Rotation and translation from (L, 3) to (L, 3) (Kabsch)."""
    share = weight / weight.sum()
    from_mean, to_mean = share @ source, share @ target
    u, _, vt = np.linalg.svd(((target - to_mean) * share[:, None]).T @ (source - from_mean))
    rotation: Float64 = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return rotation, to_mean - rotation @ from_mean


def _recentred(face: Face) -> tuple[Float64, Float64]:
    """What recentering did to the pose: R (3, 3), t (3,) from the real camera to the published one."""
    turn = matrix_from_quaternion(face.quaternion) @ matrix_from_rotvec(face.params.rotation).T
    return turn, np.asarray(face.position, np.float64) - turn @ face.params.translation
