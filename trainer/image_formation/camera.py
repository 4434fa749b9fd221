"""Perspective cameras of crops."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tracker.landmarks.crop import FACE_MARGIN


def project(points: Tensor, focal: Tensor, centre: Tensor) -> Tensor:
    """Image points (B, N, 2) of camera-frame points (B, N, 3), z > 0.

    Args:
        points: metres.
        focal: (B,) in the unit that image points are wanted in.
        centre: (B, 2) principal point in that unit.
    """
    return points[..., :2] / points[..., 2:3] * focal[:, None, None] + centre[:, None]


@dataclass(frozen=True, slots=True)
class CropCameras:
    """Cameras whose pictures are square crops of a larger picture: its camera, then a turn, a scale and a shift in the plane.

    Crop points are fractions of the crop's side: ``scale * turn @ (x / z, y / z) + offset``.
    """

    linear: Tensor
    """(B, 2, 2) rows map the tangents (x / z, y / z) of the large picture's camera to crop axes."""
    offset: Tensor
    """(B, 2)."""

    @property
    def focal(self) -> Tensor:
        """(B,) focal length as a multiple of the crop's side."""
        determinant: Tensor = torch.linalg.det(self.linear)
        return determinant.sqrt()

    @property
    def looking_at_crop(self) -> Tensor:
        """(B, 3, 3) from the large picture's camera axes to those of a camera that looks at the crop's centre, turned with it."""
        half = torch.full_like(self.offset, 0.5)
        middle = torch.linalg.solve(self.linear, (half - self.offset)[..., None])[..., 0]
        ahead = torch.nn.functional.normalize(torch.cat([middle, torch.ones_like(middle[:, :1])], 1), dim=1)
        along = torch.nn.functional.pad(self.linear[:, 0] / self.focal[:, None], (0, 1))
        right = torch.nn.functional.normalize(along - (along * ahead).sum(1, keepdim=True) * ahead, dim=1)
        return torch.stack([right, torch.linalg.cross(ahead, right), ahead], 1)

    def project(self, points: Tensor) -> Tensor:
        """Crop points (B, N, 2) of points (B, N, 3) in the large picture's camera axes, z > 0."""
        tangents = points[..., :2] / points[..., 2:3]
        return tangents @ self.linear.transpose(1, 2) + self.offset[:, None]


def crop_at(tangents: Tensor, angle: Tensor, shift: Tensor, turn: Tensor, scale: Tensor) -> CropCameras:
    """The crops that follow landmarks as ``tracker.landmarks.crop.roi_around`` cuts them, displaced.

    Args:
        tangents: (B, N, 2) landmarks in the large picture as tangents x / z, y / z.
        angle: (B,) of the line that the crop is upright along, radians, positive clockwise as seen; the tracker takes the line
            through the outer eye corners.
        shift: (B, 2) displacement in sides of the crop, along its axes.
        turn: (B,) radians, added to ``angle``.
        scale: (B,) side over the side that the tracker would take.
    """
    along = _axes(angle)
    local = tangents @ along.transpose(1, 2)
    low, high = local.amin(1), local.amax(1)
    middle = (along.transpose(1, 2) @ ((low + high) / 2.0)[..., None])[..., 0]
    side = FACE_MARGIN * (high - low).amax(1) * scale
    linear = _axes(angle + turn) / side[:, None, None]
    return CropCameras(linear, 0.5 - shift - (linear @ middle[..., None])[..., 0])


def _axes(angle: Tensor) -> Tensor:
    """(B, 2, 2) rows are the axes of a square turned clockwise by ``angle`` (B,)."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
