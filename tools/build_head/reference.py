"""A plain evaluator of the head under construction, for the scripts here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.build_head import rig
from tools.build_head.population_head import HeadGeometry
from tracker.arkit import ARKIT_INDEX

Array = NDArray[np.float64]


def pose(geometry: HeadGeometry, expression: dict[str, float], identity: Array | None = None) -> Array:
    """(V, 3) vertices in head axes of an identity (k,) with an expression; see the format's evaluation rule."""
    shape = geometry.template.copy()
    joints = geometry.joint_template.copy()
    if identity is not None:
        shape += geometry.identity_basis[:, :, : len(identity)] @ identity
        joints += geometry.joint_identity[:, :, : len(identity)] @ identity
    turns = np.zeros((len(rig.JOINT_NAMES), 3))
    for name, weight in expression.items():
        shape += weight * geometry.expressions.basis[:, :, ARKIT_INDEX[name]]
        turns += weight * geometry.expressions.joint_drive[ARKIT_INDEX[name]]
    moved = shape.copy()
    for j, turn in enumerate(turns):
        # Only leaf joints are driven, so that their turns do not compound.
        rotation = rig.rotation_matrix(turn) - np.eye(3)
        moved += geometry.expressions.weights[:, j, None] * ((shape - joints[j]) @ rotation.T)
    return moved
