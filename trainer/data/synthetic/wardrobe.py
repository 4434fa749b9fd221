"""Meshes that heads wear: hair, hats and hoods as one shell around the skull, glasses, and a torso.

The shell is a grid that starts at the crown, follows the head down to the ears and hangs straight below. What of it is seen (a
fringe, a parting round the face, a beanie, a veil) is a matter of transparency, decided per pixel from azimuth and height.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.face_model.model import FaceModel
from tracker.rendering.contours import LANDMARK_SET
from trainer.data.synthetic.styles import Styles, cover
from trainer.image_formation.face_model import PointSet

Float32 = NDArray[np.float32]

_COLUMNS: Final = 64
_ON_HEAD: Final = 20
_HANGING: Final = 12
_LOWEST_RAD: Final = -0.06
_HANGS_M: Final = 0.30
_CENTRE: Final = np.array([0.0, 0.02, -0.06], np.float32)
_RING: Final = 28
_TEMPLE_M: Final = 0.0045
SHELL, FRAME, LENS = range(3)


@dataclass(frozen=True, slots=True)
class Worn:
    """Geometry of accessories in head axes."""

    vertices: Tensor
    """(B, W, 3)."""
    shown: Tensor
    """(B, W) False at what is not worn."""


class Wardrobe:
    """Accessories of one head model."""

    def __init__(self, model: FaceModel, device: torch.device) -> None:
        azimuth, direction = _grid()
        triangle, barycentric = _outermost(model, direction[: _ON_HEAD * _COLUMNS])
        corners = model.faces[triangle]
        self._corners = torch.tensor(corners, dtype=torch.int64, device=device)
        self._barycentric = torch.tensor(barycentric, dtype=torch.float32, device=device)
        surface = np.einsum("nk,nkd->nd", barycentric, model.template[corners])
        rim = surface[-_COLUMNS:]
        drop = np.linspace(0.0, _HANGS_M, _HANGING + 1)[1:]
        height = np.concatenate([surface[:, 1], (rim[None, :, 1] - drop[:, None]).ravel()])
        self._drop = torch.tensor(drop, dtype=torch.float32, device=device)
        self._direction = torch.tensor(direction[: _ON_HEAD * _COLUMNS], device=device)
        self._marks = PointSet(model.faces, model.embedding(LANDMARK_SET)).to(device)
        ears = [np.flatnonzero(model.regions[:, model.region_names.index(f"ear_{side}")]) for side in ("right", "left")]
        self._ear = torch.tensor([int(rows[np.argmax(model.template[rows, 1])]) for rows in ears], device=device)
        faces = [_grid_faces(_ON_HEAD + _HANGING, _COLUMNS)]
        shell = len(height)
        glasses, kinds = _glasses_faces()
        faces.append(glasses + shell)
        self.faces = torch.tensor(np.concatenate(faces), dtype=torch.int64, device=device)
        self.kind = torch.tensor(np.concatenate([np.zeros(shell, np.int64), kinds]), device=device)
        fixed = np.zeros((len(self.kind), 2), np.float32)
        fixed[:shell, 0] = azimuth
        fixed[:shell, 1] = height
        self.place = torch.tensor(fixed, device=device)
        """(W, 2) azimuth from the front, radians, and height over the eyes, metres, of the shell's vertices."""
        self.shell_count = shell

    def __call__(self, head: Tensor, styles: Styles) -> Worn:
        """The accessories of heads whose vertices are (B, V, 3) in head axes."""
        surface = (head[:, self._corners] * self._barycentric[None, :, :, None]).sum(2)
        azimuth, height = self.place[: self.shell_count].unbind(1)
        inside = cover(styles.outline[:, None], azimuth, height, 0.0)
        lift = styles.thickness(self.place[: self.shell_count]) * (0.15 + 0.85 * (inside / 0.02).clamp(0.0, 1.0))
        on_head = surface + self._direction * lift[:, : len(self._direction), None]
        rim = on_head[:, -_COLUMNS:]
        spread = 1.0 + 0.5 * self._drop * styles.flare[:, None]
        outwards = torch.tensor([1.0, 0.0, 1.0], device=head.device)
        middle = rim.mean(1, keepdim=True)[:, None] * outwards
        hanging = (rim[:, None] * outwards - middle) * spread[:, :, None, None] + middle
        down = torch.tensor([0.0, 1.0, 0.0], device=head.device)
        hanging = hanging + (rim[:, None] - self._drop[:, None, None]) * down
        shell = torch.cat([on_head, hanging.flatten(1, 2)], 1)
        glasses = self._glasses(head, styles)
        shown = torch.cat([
            styles.has_shell[:, None].expand(-1, shell.shape[1]), styles.has_glasses[:, None].expand(-1, glasses.shape[1]),
        ], 1)  # fmt: skip
        return Worn(torch.cat([shell, glasses], 1), shown)

    def _glasses(self, head: Tensor, styles: Styles) -> Tensor:
        """(B, 2 * (3 ring + 1) + 12, 3): rims, lenses, bridge and temples."""
        marks = self._marks(head)
        ears = head[:, self._ear]
        turn = torch.arange(_RING, device=head.device) * (2.0 * np.pi / _RING)
        cos, sin = torch.cos(turn), torch.sin(turn)
        power = styles.roundness[:, None]
        flat = torch.zeros(len(head), _RING, device=head.device)
        shape = torch.stack([cos.sign() * cos.abs() ** power, sin.sign() * sin.abs() ** power, flat], -1)
        ahead = marks[:, [33, 133, 263, 362], 2].amax(1) + styles.distance
        parts = []
        inner, outer = [], []
        for outside, inside, sign in ((33, 133, -1.0), (263, 362, 1.0)):
            centre = (marks[:, outside] + marks[:, inside]) / 2.0
            centre = torch.stack([centre[:, 0] + sign * 0.002, centre[:, 1] + styles.lowered, ahead], 1)
            radii = torch.cat([styles.lens, torch.zeros_like(styles.lens[:, :1])], 1)
            ring = shape * radii[:, None]
            # Rims wrap around the face a little.
            back = torch.zeros_like(ring)
            back[..., 2] = -0.12 * (sign * ring[..., 0]).clamp_min(-0.01)
            width = 1.0 + (styles.rim / styles.lens.mean(1))[:, None, None]
            deep = torch.tensor([0.0, 0.0, 0.0035], device=head.device)
            middle = centre[:, None]
            parts += [middle + ring * width + back - deep, middle + ring * width + back, middle + ring + back, middle]
            wide, high = styles.lens.unbind(1)
            none = torch.zeros_like(wide)
            inner.append(centre + torch.stack([-sign * wide, 0.2 * high, none], 1))
            outer.append(centre + torch.stack([sign * 1.05 * wide, 0.5 * high, none], 1))
        up = torch.tensor([0.0, 1.0, 0.0], device=head.device) * _TEMPLE_M / 2.0
        rise = torch.tensor([0.0, 0.002, 0.002], device=head.device)
        parts.append(
            torch.stack([inner[0] + up + rise, inner[0] - up + rise, inner[1] + up + rise, inner[1] - up + rise], 1)
        )
        for k in (0, 1):
            end = ears[:, k] + torch.tensor([(-0.002, 0.002)[k], -0.006, 0.0], device=head.device)
            hinge = outer[k].clone()
            hinge[:, 0] = torch.where(
                end[:, 0].abs() > hinge[:, 0].abs(), 0.6 * hinge[:, 0] + 0.4 * end[:, 0], hinge[:, 0]
            )
            hinge[:, 2] = hinge[:, 2] - 0.006
            parts.append(torch.stack([hinge + up, hinge - up, end + up, end - up], 1))
        return torch.cat(parts, 1)


def _grid() -> tuple[Float32, Float32]:
    """Azimuth (N,) of all nodes, crown first, and directions (N, 3)."""
    turn = (np.arange(_COLUMNS) + 0.5) / _COLUMNS * 2.0 * np.pi - np.pi
    rise = np.concatenate([np.linspace(1.52, _LOWEST_RAD, _ON_HEAD), np.full(_HANGING, _LOWEST_RAD)])
    rise, turn = (grid.ravel() for grid in np.meshgrid(rise, turn, indexing="ij"))
    direction = np.stack([np.cos(rise) * np.sin(turn), np.sin(rise), np.cos(rise) * np.cos(turn)], axis=1)
    return turn.astype(np.float32), direction.astype(np.float32)


def _grid_faces(rows: int, columns: int) -> NDArray[np.int64]:
    """Triangles of a grid that closes around, counter-clockwise from outside when azimuth runs to the subject's left."""
    r, c = (grid.ravel() for grid in np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij"))
    a, b = r * columns + c, r * columns + (c + 1) % columns
    below_a, below_b = a + columns, b + columns
    return np.concatenate([np.stack([a, below_a, b], 1), np.stack([b, below_a, below_b], 1)])


def _glasses_faces() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    faces: list[NDArray[np.int64]] = []
    kinds: list[NDArray[np.int64]] = []
    here, there = np.arange(_RING), (np.arange(_RING) + 1) % _RING
    each = 4 * _RING + 1 - _RING
    for eye in (0, 1):
        start = eye * each
        for strip in (0, 1):
            a, b = start + strip * _RING + here, start + strip * _RING + there
            faces += [np.stack([a, b, a + _RING], 1), np.stack([b, b + _RING, a + _RING], 1)]
        # The lens hangs on points of its own kind: the middle one. Its rim lies on the frame's inner ring.
        faces.append(
            np.stack([start + 2 * _RING + here, start + 2 * _RING + there, np.full(_RING, start + 3 * _RING)], 1)
        )
        kinds.append(np.concatenate([np.full(3 * _RING, FRAME), [LENS]]))
    for quad in range(3):
        start = 2 * each + 4 * quad
        faces.append(np.array([[start, start + 1, start + 2], [start + 1, start + 3, start + 2]]))
        kinds.append(np.full(4, FRAME))
    return np.concatenate(faces).astype(np.int64), np.concatenate(kinds).astype(np.int64)


def _outermost(model: FaceModel, direction: Float32) -> tuple[NDArray[np.int64], Float32]:
    """Where rays from inside the skull leave the head: triangle (N,) and barycentric coordinates (N, 3)."""
    skin = model.parts == model.part_names.index("skin")
    if "neck" in model.region_names:
        skin &= ~model.regions[:, model.region_names.index("neck")]
    candidates = np.flatnonzero(skin[model.faces].all(axis=1))
    a, b, c = (model.template[model.faces[candidates, k]] - _CENTRE for k in range(3))
    edge1, edge2 = b - a, c - a
    triangle = np.zeros(len(direction), np.int64)
    weights = np.zeros((len(direction), 3), np.float32)
    for row, ray in enumerate(direction):
        p = np.cross(ray, edge2)
        scale = np.einsum("fi,fi->f", edge1, p)
        scale = np.where(np.abs(scale) < 1e-12, np.inf, scale)
        u = -np.einsum("fi,fi->f", a, p) / scale
        q = np.cross(-a, edge1)
        v = (q @ ray) / scale
        far = np.einsum("fi,fi->f", edge2, q) / scale
        hit = (u >= -1e-4) & (v >= -1e-4) & (u + v <= 1.0 + 1e-4) & (far > 0.0)
        best = int(np.argmax(np.where(hit, far, -np.inf)))
        if not hit[best]:
            # Through a gap (the neck): the vertex that lies most in this direction.
            best = int(np.argmax((a / np.linalg.norm(a, axis=1, keepdims=True)) @ ray))
            u[best] = v[best] = 0.0
        triangle[row] = candidates[best]
        weights[row] = (1.0 - u[best] - v[best], u[best], v[best])
    return triangle, weights
