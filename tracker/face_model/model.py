"""The parametric face model and its evaluation on whole meshes.

``vertices_head = skin(template + identity_basis @ b + expression_basis @ e)``: linear shape and expression as in 3D morphable
models, then linear blend skinning of neck, jaw and eyes as in FLAME (Li 2017, equations 1-3). The root rotation is the head
pose and is applied last: ``vertices_camera = R vertices_head + translation``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.rotations import matrix_from_rotvec
from tracker.types import FaceParams

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

ROOT, NECK, JAW, EYE_LEFT, EYE_RIGHT = range(5)
JOINT_NAMES = ("root", "neck", "jaw", "eye_left", "eye_right")
EYELID_CONTROLS = ("eyelid_left", "eyelid_right")
CONTROL_NAMES = (
    "jaw_pitch", "jaw_yaw", "jaw_roll", "eye_left_pitch", "eye_left_yaw", "eye_right_pitch", "eye_right_yaw", *EYELID_CONTROLS,
)  # fmt: skip
"""Reserved names of the last weights of a model whose joints and lids are free: a fit solves for them like for any
expression, and they are published as ``jaw``, ``eyes`` and ``eyelids``, not among the expression weights."""
_LIDS_OF_ARKIT = ("eyeBlinkLeft", "eyeBlinkRight")


@dataclass(frozen=True, slots=True)
class Embedding:
    """Where the points of a landmark set lie on the mesh."""

    faces: Int32
    """(L,) triangle index."""
    barycentric: Float32
    """(L, 3) weights of the triangle's corners."""
    weight: Float32
    """(L,) how far each point can be trusted to mark that place, 0..1."""
    uncertainty_m: float = 0.0
    """By how much points are likely to lie off the places that the network means, RMS, alike in every picture: what registering a
    foreign head left. 0 where they were placed by pictures of this very model.
    """


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
    """All weights that a fit solves for; those in ``CONTROL_NAMES`` come last."""
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
    joint_expression: Float32 | None = None
    """(J, 3, Ne): FLAME regresses its joints from the mesh with its expression."""
    pose_correctives: Float32 | None = None
    """(V, 3, 36): displacement per entry of R - I of neck, jaw and eyes."""
    arkit_map: Float32 | None = None
    """(Ne, 52) weights per unit of each ARKit weight, for models whose expressions are their own (``arkit_map``)."""
    arkit_explained: Float32 | None = None
    """(52,) share of each ARKit expression's motion that the model makes; 0 where it has no counterpart."""
    source_origin: Float32 = field(default_factory=lambda: np.zeros(3, np.float32))
    """(3,) metres: where the origin of the file that this was made from lies in head axes."""
    albedo_mean: Float32 | None = None
    """(V, 3) sRGB, 0..1."""
    albedo_basis: Float32 | None = None
    """(V, 3, Na), scaled so that N(0, 1) is the population."""
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

    @property
    def control_count(self) -> int:
        """How many of the last weights are controls of joints and lids (``CONTROL_NAMES``)."""
        count = 0
        while count < len(self.expression_names) and self.expression_names[-1 - count] in CONTROL_NAMES:
            count += 1
        return count

    @property
    def published_names(self) -> tuple[str, ...]:
        """Names of ``FaceParams.expression``: all weights but the controls."""
        return self.expression_names[: self.expression_count - self.control_count]

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
            expression=np.zeros(len(self.published_names), np.float32),
            rotation=np.array([np.pi, 0.0, 0.0], np.float32),
            translation=np.array([0.0, 0.0, 0.5], np.float32),
            neck=zeros3,
            jaw=zeros3,
            eyes=np.zeros(6, np.float32),
            eyelids=np.zeros(2, np.float32),
        )

    def params_of(
        self, weights: NDArray[np.floating], rotation: NDArray[np.floating], translation: NDArray[np.floating]
    ) -> FaceParams:
        """Parameters of a face with all weights (Ne,), controls included, and a head pose: axis-angle (3,), metres (3,)."""
        driven = self.driven_rotations(weights).astype(np.float32)
        names = EYELID_CONTROLS if EYELID_CONTROLS[0] in self.expression_names else _LIDS_OF_ARKIT
        lids = [weights[self.expression_names.index(name)] if name in self.expression_names else 0.0 for name in names]
        return FaceParams(
            expression=np.asarray(weights[: len(self.published_names)], np.float32),
            rotation=np.asarray(rotation, np.float32),
            translation=np.asarray(translation, np.float32),
            neck=np.zeros(3, np.float32),
            jaw=driven[JAW],
            eyes=np.concatenate([driven[EYE_LEFT], driven[EYE_RIGHT]]),
            eyelids=np.clip(np.array(lids, np.float32), 0.0, 1.0),
        )

    def weights_of(self, params: FaceParams) -> Float32:
        """All weights (Ne,) of a face: the way back from ``params_of``. Turns that no control can make are left out."""
        weights = np.zeros(self.expression_count, np.float32)
        count = len(self.published_names)
        weights[:count] = params.expression
        joints = np.stack([params.jaw, params.eyes[:3], params.eyes[3:]]).astype(np.float64)
        free = joints - self.driven_rotations(weights)[[JAW, EYE_LEFT, EYE_RIGHT]]
        for index, name in enumerate(self.expression_names[count:], count):
            if name in EYELID_CONTROLS:
                weights[index] = params.eyelids[EYELID_CONTROLS.index(name)]
            else:
                axes = self.joint_drive[index, [JAW, EYE_LEFT, EYE_RIGHT]].astype(np.float64)
                weights[index] = (axes * free).sum() / max(float((axes**2).sum()), 1e-12)
        return weights

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
        """Vertices (V, 3) in head axes, metres. ``params.jaw`` and ``params.eyes`` are the joints' whole rotation.

        ``params.eyelids`` move the mesh where the model has lids as controls of their own; elsewhere they repeat what the
        expression weights say.
        """
        identity = np.asarray(identity, np.float32)
        shaped = self.neutral_vertices(identity)
        rotations = {
            NECK: matrix_from_rotvec(params.neck),
            JAW: matrix_from_rotvec(params.jaw),
            EYE_LEFT: matrix_from_rotvec(params.eyes[:3]),
            EYE_RIGHT: matrix_from_rotvec(params.eyes[3:]),
        }
        count = len(self.published_names)
        weights = np.zeros(self.expression_count, np.float32)
        weights[:count] = params.expression
        for lid, name in zip(params.eyelids, EYELID_CONTROLS, strict=True):
            if name in self.expression_names[count:]:
                weights[self.expression_names.index(name)] = lid
        posed = shaped + self.expression_basis @ weights
        if self.pose_correctives is not None:
            features = np.concatenate([(rotations[j] - np.eye(3)).ravel() for j in (NECK, JAW, EYE_LEFT, EYE_RIGHT)])
            posed = posed + self.pose_correctives @ features.astype(np.float32)
        joints = self.joint_template + self.joint_identity @ identity
        if self.joint_expression is not None:
            joints = joints + self.joint_expression @ weights
        return self._skin(posed, joints, rotations)

    def _skin(self, vertices: Float32, joints: Float32, rotations: dict[int, NDArray[np.float64]]) -> Float32:
        neck = rotations[NECK].astype(np.float32)
        neck_moves = not np.array_equal(rotations[NECK], np.eye(3))
        moved = np.zeros_like(vertices)
        for joint in (JAW, EYE_LEFT, EYE_RIGHT):
            turn = (rotations[joint] - np.eye(3)).astype(np.float32)
            rows = np.flatnonzero(self.skin_weights[:, joint])
            moved[rows] += (vertices[rows] - joints[joint]) @ turn.T * self.skin_weights[rows, joint, None]
        if not neck_moves:
            return vertices + moved
        # Jaw and eyes hang on the neck, so what they moved turns with it, and so does everything that is not the root's.
        carried = 1.0 - self.skin_weights[:, ROOT, None]
        bent = (vertices - joints[NECK]) @ (neck - np.eye(3, dtype=np.float32)).T * carried
        posed: Float32 = vertices + bent + moved @ neck.T
        return posed

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
        """``params`` with jaw and eyes set to what the expression weights drive; unchanged where the joints are free."""
        if self.control_count:
            return params
        return replace(
            self.params_of(params.expression, params.rotation, params.translation),
            neck=params.neck,
            eyelids=params.eyelids,
        )
