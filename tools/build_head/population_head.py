"""Puts the geometry together: mean head, identity basis, joints, expressions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.build_head import eyeball, identity, rig
from tools.build_head.expressions import Expressions, build_expressions
from tools.build_head.makehuman import MakeHuman
from tools.build_head.selection import HeadMesh, select_head

METRES = 0.1
"""MakeHuman's unit is the decimetre."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeadGeometry:
    """The parametric head without its annotations."""

    mesh: HeadMesh
    template: Array
    """(V, 3) metres, origin between the eyes."""
    identity_basis: Array
    """(V, 3, Ni)."""
    explained: Array
    """(Ni,) share of the weighted variance."""
    joint_template: Array
    """(J, 3)."""
    joint_identity: Array
    """(J, 3, Ni)."""
    expressions: Expressions


def vertex_areas(vertices: Array, faces: NDArray[np.int32]) -> Array:
    """(V,) a third of the area of the triangles around each vertex."""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    return np.asarray(np.bincount(faces.ravel(), np.repeat(area / 3, 3), len(vertices)), np.float64)


def face_importance(vertices: Array) -> Array:
    """(V,) 1 on the front of the face, falling to 0.1 behind and on the neck; ``vertices`` in head axes, metres."""
    # Centre and half-axes of an ellipsoid around the face, metres; 30 mm below and 10 mm behind the eyes.
    reach = (vertices - np.array([0.0, -0.03, -0.01])) / np.array([0.075, 0.095, 0.075])
    distance = np.linalg.norm(reach, axis=1)
    result: Array = 0.1 + 0.9 * np.clip((1.5 - distance) / 0.5, 0.0, 1.0)
    return result


def build_geometry(data: MakeHuman) -> HeadGeometry:
    """Sample the population and reduce it."""
    mesh = select_head(data)
    joint_sets = rig.joint_vertices(data)
    keep = np.concatenate([mesh.source, *joint_sets.values()])
    count = len(mesh.source)
    ends = np.cumsum([count] + [len(s) for s in joint_sets.values()])
    joint_rows = {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(joint_sets)}
    eyes = (joint_rows["eye_left"], joint_rows["eye_right"])
    to_centre = np.array([0.0, 0.0, eyeball.CENTRE_DEPTH_M])

    base = data.mesh.vertices[keep] * METRES
    base -= (base[eyes[0]].mean(0) + base[eyes[1]].mean(0)) / 2 - to_centre
    skin = mesh.faces[(mesh.faces < count).all(axis=1)]
    importance = np.zeros(len(keep))
    importance[:count] = vertex_areas(base[:count], skin) * face_importance(base[:count])
    importance[:count][mesh.groups[:count] != "body"] *= 0.25

    rng = np.random.default_rng(identity.SEED)
    shapes = identity.sample_shapes(data, keep, rng, identity.SAMPLES) * METRES
    shapes = identity.align(shapes, importance, eyes) + to_centre
    population = identity.build_population(shapes, _extended_mirror(data, mesh, keep))
    components, explained = identity.principal_components(population, importance)
    mean = population.mean
    turn = rig.best_rotation(base, mean, importance)
    base = base @ turn.T

    def joints_of(points: Array, eye_offset: Array) -> Array:
        found = {
            name: points[rows].mean(0) - (eye_offset if name.startswith("eye") else 0)
            for name, rows in joint_rows.items()
        }
        return np.stack([found.get(name, np.zeros_like(points[0])) for name in rig.JOINT_NAMES])

    def with_eyeballs(points: Array, joints: Array, pattern: Array) -> Array:
        balls = [joints[rig.JOINT_NAMES.index(name)] + pattern for name in rig.EYE_GROUPS]
        return np.concatenate([points[:count], *balls])

    pattern = eyeball.eyeball_vertices()
    joint_template = joints_of(mean, to_centre)
    joint_identity = joints_of(components, np.zeros((3, 1)))
    rest_joints = joints_of(base, to_centre)
    rest = with_eyeballs(base, rest_joints, pattern)
    return HeadGeometry(
        mesh=mesh,
        template=with_eyeballs(mean, joint_template, pattern),
        identity_basis=with_eyeballs(components, joint_identity, np.zeros((eyeball.VERTICES, 3, 1))),
        explained=explained,
        joint_template=joint_template,
        joint_identity=joint_identity,
        expressions=build_expressions(data, mesh, rest, rest_joints, turn, METRES),
    )


def _extended_mirror(data: MakeHuman, mesh: HeadMesh, keep: NDArray[np.int64]) -> NDArray[np.int64]:
    """Mirror partners within ``keep``; base vertices may occur in it twice (as head vertices and as joint vertices)."""
    partner = data.mirror()[keep]
    count = len(mesh.source)
    tail = {int(vertex): i for i, vertex in enumerate(keep) if i >= count}
    return np.concatenate([mesh.mirror[:count], [tail[int(vertex)] for vertex in partner[count:]]])
