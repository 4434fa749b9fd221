"""Where heads are, how they are turned, and where the crop lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from trainer.data.synthetic.config import SyntheticConfig
from trainer.image_formation.camera import CropCameras, crop_at
from trainer.image_formation.rotations import matrix_from_rotvec

_NEAREST_M, _FARTHEST_M = 0.28, 2.5
_PROFILE = math.radians(55.0)
"""Yaw from which on the eye line stops telling how the head is rolled."""


@dataclass(frozen=True, slots=True)
class Poses:
    """Head poses in the axes of the large picture's camera."""

    rotation: Tensor
    """(B, 3, 3) head axes to camera axes."""
    translation: Tensor
    """(B, 3) metres."""
    yaw: Tensor
    """(B,) radians, positive when the subject looks to its left."""
    torso: Tensor
    """(B, 3) turn of the torso against the head: axis-angle, head axes."""
    shift: Tensor
    """(B, 2) displacement of the crop in its sides."""
    turn: Tensor
    """(B,) of the crop, radians."""
    scale: Tensor
    """(B,) of the crop."""
    upright: Tensor
    """(B,) 0..1: how far the crop follows the head's own upright instead of its eye line."""


def sample_poses(count: int, config: SyntheticConfig, generator: Generator) -> Poses:
    """Poses of people at a screen, and a share of large ones: yaw to 95 degrees, pitch to 45, roll to 60."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    degree = math.pi / 180.0
    large = uniform(0, 1) < config.large_poses
    extreme = large & (uniform(0, 1) < 0.5)
    yaw = torch.where(
        extreme, uniform(45, 95) * torch.sign(normal(count)), torch.where(large, uniform(-60, 60), 16 * normal(count))
    )
    pitch = torch.where(large, uniform(-45, 45) * uniform(0.2, 1.0), 9 * normal(count))
    roll = torch.where(large, uniform(-60, 60) * uniform(0.0, 1.0), 8 * normal(count))
    yaw, pitch, roll = yaw.clamp(-95, 95) * degree, pitch.clamp(-45, 45) * degree, roll.clamp(-60, 60) * degree
    zero = torch.zeros(count)
    # A head that looks into the camera is turned by half a turn about x.
    facing = matrix_from_rotvec(torch.tensor([math.pi, 0.0, 0.0]))
    turned = (
        matrix_from_rotvec(torch.stack([zero, zero, roll], 1))
        @ facing
        @ matrix_from_rotvec(torch.stack([pitch, zero, zero], 1))
        @ matrix_from_rotvec(torch.stack([zero, yaw, zero], 1))
    )
    distance = _NEAREST_M * (_FARTHEST_M / _NEAREST_M) ** (uniform(0, 1) ** 1.3)
    aside = (0.18 * normal(count, 2)).clamp(-0.45, 0.45)
    translation = torch.cat([aside, torch.ones(count, 1)], 1) * distance[:, None]
    # Pose is meant as seen: towards where the head is, not towards the camera's axis.
    towards = matrix_from_rotvec(torch.stack([-torch.atan(aside[:, 1]), torch.atan(aside[:, 0]), zero], 1))
    wide = uniform(0, 1) < 0.12
    size = config.jitter
    shift = normal(count, 2) * torch.where(wide, 0.10, 0.025)[:, None] * size
    turn = normal(count) * torch.where(wide, 20.0, 5.0) * degree * size
    scale = torch.exp(normal(count) * torch.where(wide, 0.22, 0.06) * size)
    upright = ((yaw.abs() - _PROFILE) / (80.0 * degree - _PROFILE)).clamp(0, 1) * uniform(0.5, 1.0)
    # Most of a head's turn is the neck's: the torso stays behind.
    back = torch.stack([-pitch, -yaw, roll], 1) * (0.55 + 0.3 * torch.rand(count, 3, generator=generator))
    torso = back + 0.06 * normal(count, 3)
    return Poses(
        towards @ turned,
        translation,
        yaw,
        torso,
        shift,
        turn,
        scale,
        torch.where(yaw.abs() > 80 * degree, 1.0, upright),
    )


def crop_cameras(points: Tensor, poses: Poses, eyes: tuple[int, int]) -> CropCameras:
    """Crops around landmarks (B, N, 3) in camera axes as the tracker cuts them, displaced.

    ``eyes``: indices of the outer corners of the subject's right and left eye. Towards profile their line says less and less
    about the roll: there the crop follows the head's upright.
    """
    tangents = points[..., :2] / points[..., 2:3]
    line = tangents[:, eyes[1]] - tangents[:, eyes[0]]
    up = poses.rotation[:, :2, 1].to(points.device)
    by_eyes = torch.nn.functional.normalize(line, dim=1)
    by_head = torch.nn.functional.normalize(torch.stack([-up[:, 1], up[:, 0]], 1), dim=1)
    share = poses.upright.to(points.device)[:, None]
    along = by_eyes * (1.0 - share) + by_head * share
    angle = torch.atan2(along[:, 1], along[:, 0])
    device = points.device
    return crop_at(tangents, angle, poses.shift.to(device), poses.turn.to(device), poses.scale.to(device))
