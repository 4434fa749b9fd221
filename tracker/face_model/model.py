"""The parametric face model and its evaluation on whole meshes.

``vertices_head = skin(template + identity_basis @ b + expression_basis @ e)``: linear shape and expression as in 3D morphable
models, then linear blend skinning of neck, jaw and eyes as in FLAME (Li 2017, equations 1-3). The root rotation is the head
pose and is applied last: ``vertices_camera = R vertices_head + translation``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.rotations import matrix_from_rotvec
from tracker.types import FaceParams

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

ROOT, NECK, JAW, EYE_LEFT, EYE_RIGHT = range(5)
JOINT_NAMES = ("root", "neck", "jaw", "eye_left", "eye_right")


@dataclass(frozen=True, slots=True)
class Embedding:
    """Where the points of a landmark set lie on the mesh."""

    faces: Int32
    """(L,) triangle index."""
    barycentric: Float32
    """(L, 3) weights of the triangle's corners."""
    weight: Float32
    """(L,) how far each point can be trusted to mark that place, 0..1."""


@dataclass(frozen=True, slots=True)
class FaceModel:
    """A face model in the neutral format (docs/models.md). All arrays are float32 in metres unless noted."""

    name: str
    version: str
    licence: str
    sha256: str
    template: Float32
    """(V, 3) in head axes."""
    faces: Int32
    """(F, 3) triangles, counter-clockwise from outside."""
    identity_basis: Float32
    """(V, 3, Ni), scaled so that N(0, 1) is the population."""
    expression_basis: Float32
    """(V, 3, Ne) per unit weight."""
    expression_names: tuple[str, ...]
    expression_bounds: Float32
    """(Ne, 2)."""
    joint_template: Float32
    """(J, 3) rest positions of ``JOINT_NAMES``."""
    joint_identity: Float32
    """(J, 3, Ni)."""
    skin_weights: Float32
    """(V, J), rows sum to 1."""
    joint_drive: Float32
    """(Ne, J, 3) axis-angle per unit of expression weight that joints turn with."""
    mirror: Int32
    """(V,) left-right partner of every vertex."""
    skin_mask: Float32
    """(V,) 1 where bare skin is."""
    uv: Float32
    """(T, 2)."""
    uv_faces: Int32
    """(F, 3)."""
    parts: NDArray[np.int8]
    """(V,) index into ``part_names``."""
    part_names: tuple[str, ...]
    regions: NDArray[np.bool_]
    """(V, R)."""
    region_names: tuple[str, ...]
    embeddings: dict[str, Embedding]
    pose_correctives: Float32 | None = None
    """(V, 3, 36): displacement per entry of R - I of neck, jaw and eyes."""
    attribution: str = ""
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def vertex_count(self) -> int:
        return int(self.template.shape[0])

    @property
    def identity_count(self) -> int:
        return int(self.identity_basis.shape[2])

    @property
    def expression_count(self) -> int:
        return int(self.expression_basis.shape[2])

    def embedding(self, set_name: str) -> Embedding:
        """The embedding of a landmark set. Raises ``FaceModelError`` when this model has none of that name."""
        try:
            return self.embeddings[set_name]
        except KeyError:
            known = ", ".join(sorted(self.embeddings)) or "none"
            raise FaceModelError(f"face model '{self.name}' has no embedding '{set_name}' (it has: {known})") from None

    def neutral_params(self) -> FaceParams:
        """A relaxed face half a metre in front of the camera, looking into it."""
        zeros3 = np.zeros(3, np.float32)
        return FaceParams(
            expression=np.zeros(self.expression_count, np.float32),
            rotation=np.array([np.pi, 0.0, 0.0], np.float32),
            translation=np.array([0.0, 0.0, 0.5], np.float32),
            neck=zeros3,
            jaw=zeros3,
            eyes=np.zeros(6, np.float32),
            eyelids=np.zeros(2, np.float32),
        )

    def driven_rotations(self, expression: NDArray[np.floating]) -> NDArray[np.float64]:
        """(J, 3) axis-angle that expression weights (Ne,) give to the joints."""
        drive: NDArray[np.float64] = np.tensordot(
            np.asarray(expression, np.float64), self.joint_drive.astype(np.float64), axes=1
        )
        return drive

    def neutral_vertices(self, identity: NDArray[np.floating]) -> Float32:
        """Vertices (V, 3) of the relaxed face of ``identity`` (Ni,) in head axes, metres."""
        vertices: Float32 = self.template + self.identity_basis @ np.asarray(identity, np.float32)
        return vertices

    def vertices_head(self, identity: NDArray[np.floating], params: FaceParams) -> Float32:
        """Vertices (V, 3) in head axes, metres. ``params.jaw`` and ``params.eyes`` are the joints' whole rotation."""
        identity = np.asarray(identity, np.float32)
        shaped = self.neutral_vertices(identity)
        rotations = {
            NECK: matrix_from_rotvec(params.neck),
            JAW: matrix_from_rotvec(params.jaw),
            EYE_LEFT: matrix_from_rotvec(params.eyes[:3]),
            EYE_RIGHT: matrix_from_rotvec(params.eyes[3:]),
        }
        posed = shaped + self.expression_basis @ np.asarray(params.expression, np.float32)
        if self.pose_correctives is not None:
            features = np.concatenate([(rotations[j] - np.eye(3)).ravel() for j in (NECK, JAW, EYE_LEFT, EYE_RIGHT)])
            posed = posed + self.pose_correctives @ features.astype(np.float32)
        joints = self.joint_template + self.joint_identity @ identity
        return self._skin(posed, joints, rotations)

    def _skin(self, vertices: Float32, joints: Float32, rotations: dict[int, NDArray[np.float64]]) -> Float32:
        neck = rotations[NECK].astype(np.float32)
        neck_moves = not np.array_equal(rotations[NECK], np.eye(3))
        out = vertices.copy()
        for joint in (JAW, EYE_LEFT, EYE_RIGHT):
            turn = (rotations[joint] - np.eye(3)).astype(np.float32)
            rows = np.flatnonzero(self.skin_weights[:, joint])
            moved = (vertices[rows] - joints[joint]) @ turn.T
            out[rows] += moved * self.skin_weights[rows, joint, None]
        if neck_moves:
            # Jaw and eyes hang on the neck, so everything that is not the root's turns with it.
            carried = 1.0 - self.skin_weights[:, ROOT, None]
            out += ((out - joints[NECK]) @ (neck - np.eye(3, dtype=np.float32)).T) * carried
        return out

    def vertices_camera(self, identity: NDArray[np.floating], params: FaceParams) -> Float32:
        """Vertices (V, 3) in the camera frame, metres."""
        rotation = matrix_from_rotvec(params.rotation).astype(np.float32)
        vertices: Float32 = self.vertices_head(identity, params) @ rotation.T + np.asarray(
            params.translation, np.float32
        )
        return vertices

    def landmarks(self, vertices: Float32, set_name: str) -> Float32:
        """Points (L, 3) of a landmark set on given vertices (V, 3)."""
        embedding = self.embedding(set_name)
        corners = vertices[self.faces[embedding.faces]]
        points: Float32 = np.einsum("lc,lcd->ld", embedding.barycentric, corners)
        return points

    def with_joint_rotations(self, params: FaceParams) -> FaceParams:
        """``params`` with jaw and eyes set to what the expression weights drive (for models whose joints are driven)."""
        driven = self.driven_rotations(params.expression).astype(np.float32)
        return FaceParams(
            expression=params.expression,
            rotation=params.rotation,
            translation=params.translation,
            neck=params.neck,
            jaw=driven[JAW],
            eyes=np.concatenate([driven[EYE_LEFT], driven[EYE_RIGHT]]),
            eyelids=params.eyelids,
        )
