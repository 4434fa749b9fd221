"""The face model at its landmark points only, with analytic derivatives.

A fit touches a few hundred points, not the whole mesh. Linear blend skinning of a point inside a triangle is not the skinning of
its interpolated vertices, so per joint the weighted bases are kept: with w the skinning weight and b the barycentric
weight, sum_c b_c w_c (R - I)(v_c - J) = (R - I)(sum_c b_c w_c v_c - (sum_c b_c w_c) J), which is linear in the coefficients.
FLAME's pose correctives are linear in the entries of R - I of all joints and are one more basis (Li 2017, equation 3).

Arrays are stored axis first, (3, points, coefficients): projecting a Jacobian is then a handful of multiply-adds over
contiguous memory. The neck stays at rest: one view cannot tell it from the root.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, JAW, NECK, FaceModel
from tracker.fitting.identity_modes import IdentityModes
from tracker.fitting.landmark_choice import choose_points
from tracker.rotations import left_jacobian, matrix_from_rotvec

Float32 = NDArray[np.float32]
MOVING_JOINTS = (JAW, EYE_LEFT, EYE_RIGHT)
_IDENTITY = np.eye(3)
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class _JointPoints:
    """The points that one joint moves."""

    rows: slice | NDArray[np.intp]
    """Those M points: a slice where the order of the points allows it, which is much cheaper to address."""
    template: Float32
    """(3, M) weighted template."""
    expression: Float32
    """(3, M, Ne) weighted expression basis relative to the joint's own motion with expression."""
    identity: Float32
    """(3, M, Ni) weighted identity basis relative to the joint's own motion with identity."""
    correctives: Float32
    """(3, M, 27) weighted pose correctives of all moving joints; (3, M, 0) for models without."""
    drivers: NDArray[np.intp]
    """(D,) expressions that turn this joint."""
    drive: NDArray[np.float64]
    """(3, D) axis-angle per unit of each of them."""


class LandmarkModel:
    """``FaceModel`` compiled for the chosen points of one landmark set.

    Identity changes rarely: ``set_identity`` folds it into the constant part, ``evaluate`` then costs one small
    matrix-vector product. Points are in an order of its own, by the joint that moves them: ``order`` (L,) gives the index in the
    landmark set of each; L counts the chosen points here. ``response`` (Ne,) is how much of each expression the landmarks show:
    an encoder whose irises move half as far as the eyes shows half of a glance. Given ``modes``, identity is those (M,) here,
    not the model's coefficients.
    """

    def __init__(
        self, model: FaceModel, set_name: str, response: Float32 | None = None, modes: IdentityModes | None = None
    ) -> None:
        embedding = model.embedding(set_name)
        chosen = choose_points(set_name, embedding.weight)
        corners = model.faces[embedding.faces[chosen]]
        barycentric = embedding.barycentric[chosen].astype(np.float64)
        moved = (
            np.einsum("lc,lcj->lj", barycentric, model.skin_weights[corners][:, :, list(MOVING_JOINTS)]) > _LEAST_WEIGHT
        )
        by_joint = np.argsort(np.where(moved.any(axis=1), moved.argmax(axis=1), -1), kind="stable")
        corners, barycentric = corners[by_joint], barycentric[by_joint]
        self.order = chosen[by_joint]
        self.weight: Float32 = embedding.weight[self.order]
        self.count = int(corners.shape[0])
        self.expression_count = model.expression_count
        self._template = _interpolate(barycentric, model.template[corners])
        self.expression_basis = _interpolate(barycentric, model.expression_basis[corners])
        self.identity_basis = _interpolate(barycentric, model.identity_basis[corners])
        if modes is not None:
            self.identity_basis = modes.reduced(self.identity_basis)
        self.identity_count = int(self.identity_basis.shape[2])
        self._correctives = _interpolate(barycentric, _correctives(model)[corners])
        self._joints = {joint: _compile_joint(model, corners, barycentric, joint, modes) for joint in MOVING_JOINTS}
        if response is not None:
            self.expression_basis *= response
            for part in self._joints.values():
                part.expression[:] *= response
                part.drive[:] *= response[part.drivers]
        self._identity = np.zeros(self.identity_count, np.float32)
        self._shaped = self._template
        self._joint_shaped = {joint: points.template for joint, points in self._joints.items()}
        self._effective = self.expression_basis.copy()
        self._moved = {joint: np.empty_like(points.expression) for joint, points in self._joints.items()}

    @property
    def identity(self) -> Float32:
        """The identity (Ni,) currently folded in."""
        return self._identity

    def set_identity(self, identity: Float32) -> None:
        """Fold identity coefficients (Ni,) into the constant part."""
        self._identity = np.asarray(identity, np.float32).copy()
        self._shaped = self._template + self.identity_basis @ self._identity
        self._joint_shaped = {
            joint: points.template + points.identity @ self._identity for joint, points in self._joints.items()
        }

    def neutral_points(self) -> Float32:
        """(L, 3) points of the relaxed face in head axes, metres."""
        return np.ascontiguousarray(self._shaped.T)

    def evaluate(self, expression: Float32) -> Float32:
        """Points (3, L) in head axes, metres, for expression weights (Ne,)."""
        turns, features = self._turns(expression)
        points: Float32 = self._shaped + self.expression_basis @ expression
        if features.size:
            points += self._correctives @ features
        for joint, part in self._joints.items():
            points[:, part.rows] += turns[joint] @ self._arms(joint, expression, features)
        return points

    def expression_jacobian(self, expression: Float32) -> Float32:
        """d points / d expression, (3, L, Ne), in head axes. The array is reused by the next call."""
        turns, features = self._turns(expression)
        axes = {
            joint: left_jacobian(part.drive @ expression[part.drivers]) @ part.drive
            for joint, part in self._joints.items()
        }
        bent = self._feature_columns(turns, axes) if features.size else {}
        effective = self._effective
        if bent:
            # Correctives reach points that no joint moves.
            effective[:] = self.expression_basis
            for column, change in bent.items():
                effective[:, :, column] += self._correctives @ change
        else:
            for part in self._joints.values():
                effective[:, part.rows] = self.expression_basis[:, part.rows]
        for joint, part in self._joints.items():
            turn = turns[joint]
            moved = self._moved[joint]
            np.matmul(turn, part.expression.reshape(3, -1), out=moved.reshape(3, -1))
            for column, change in bent.items():
                moved[:, :, column] += turn @ (part.correctives @ change)
            # d(R arm) = dtheta x (R arm), with dtheta = left_jacobian @ drive de (here R arm = turn @ arm + arm).
            arms = self._arms(joint, expression, features)
            lever = turn @ arms + arms
            for column, axis in zip(part.drivers, axes[joint].T, strict=True):
                moved[:, :, column] += _skew(axis) @ lever
            effective[:, part.rows] += moved
        return effective

    def identity_jacobian(self, expression: Float32) -> Float32:
        """d points / d identity, (3, L, Ni), in head axes."""
        turns, _ = self._turns(expression)
        jacobian = self.identity_basis.copy()
        for joint, part in self._joints.items():
            jacobian[:, part.rows] += (turns[joint] @ part.identity.reshape(3, -1)).reshape(part.identity.shape)
        return jacobian

    def _turns(self, expression: Float32) -> tuple[dict[int, Float32], Float32]:
        """R - I (3, 3) per joint, and the features (27,) of the pose correctives: empty for models without."""
        turns = {
            joint: (matrix_from_rotvec(part.drive @ expression[part.drivers]) - _IDENTITY).astype(np.float32)
            for joint, part in self._joints.items()
        }
        if not self._correctives.shape[2]:
            return turns, np.zeros(0, np.float32)
        return turns, np.concatenate([turns[joint].ravel() for joint in MOVING_JOINTS])

    def _feature_columns(self, turns: dict[int, Float32], axes: dict[int, NDArray[np.float64]]) -> dict[int, Float32]:
        """d features (27,) / d weight, for every weight that turns a joint."""
        columns: dict[int, Float32] = {}
        for place, joint in enumerate(MOVING_JOINTS):
            rotation = turns[joint] + np.eye(3, dtype=np.float32)
            for column, axis in zip(self._joints[joint].drivers, axes[joint].T, strict=True):
                change = columns.setdefault(int(column), np.zeros(9 * len(MOVING_JOINTS), np.float32))
                change[9 * place : 9 * place + 9] += (_skew(axis) @ rotation).ravel()
        return columns

    def _arms(self, joint: int, expression: Float32, features: Float32) -> Float32:
        """The weighted arms (3, M) from the joint to its points."""
        part = self._joints[joint]
        arms: Float32 = self._joint_shaped[joint] + part.expression @ expression
        if features.size:
            arms += part.correctives @ features
        return arms


def _skew(axis: NDArray[np.float64]) -> Float32:
    """The matrix of ``axis x``."""
    x, y, z = axis
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], np.float32)


def _correctives(model: FaceModel) -> Float32:
    """(V, 3, 27) pose correctives of the moving joints, without those of the neck; (V, 3, 0) for models without."""
    if model.pose_correctives is None:
        return np.zeros((model.vertex_count, 3, 0), np.float32)
    # The features of neck, jaw and both eyes come in this order, nine each.
    columns = [9 * (joint - NECK) + entry for joint in MOVING_JOINTS for entry in range(9)]
    correctives: Float32 = model.pose_correctives[:, :, columns]
    return correctives


def _interpolate(barycentric: NDArray[np.float64], values: NDArray[np.floating]) -> Float32:
    """(L, 3) weights and (L, 3, 3, ...) corner values -> (3, L, ...) axis first, contiguous."""
    return np.ascontiguousarray(np.einsum("lc,lcd...->dl...", barycentric, values.astype(np.float64)), np.float32)


def _compile_joint(
    model: FaceModel,
    corners: NDArray[np.int32],
    barycentric: NDArray[np.float64],
    joint: int,
    modes: IdentityModes | None,
) -> _JointPoints:
    weighted = barycentric * model.skin_weights[corners, joint]
    share = weighted.sum(axis=1)
    found = np.flatnonzero(share > _LEAST_WEIGHT)
    weighted, corners, share = weighted[found], corners[found], share[found].astype(np.float32)
    is_run = found.size > 0 and found[-1] - found[0] + 1 == found.size
    rows = slice(int(found[0]), int(found[-1]) + 1) if is_run else found
    template = _interpolate(weighted, model.template[corners])
    identity = _interpolate(weighted, model.identity_basis[corners])
    # The arm is measured from the joint, which moves with identity too, and in FLAME with expression.
    template -= model.joint_template[joint][:, None] * share
    identity -= model.joint_identity[joint][:, None, :] * share[None, :, None]
    if modes is not None:
        identity = modes.reduced(identity)
    expression = _interpolate(weighted, model.expression_basis[corners])
    if model.joint_expression is not None:
        expression -= model.joint_expression[joint][:, None, :] * share[None, :, None]
    drive = model.joint_drive[:, joint].astype(np.float64)
    drivers = np.flatnonzero(np.abs(drive).sum(axis=1) > 0.0)
    return _JointPoints(
        rows=rows,
        template=template,
        expression=expression,
        identity=identity,
        correctives=_interpolate(weighted, _correctives(model)[corners]),
        drivers=drivers,
        drive=np.ascontiguousarray(drive[drivers].T),
    )
