"""Crops of the built-in head with every label known, painted with a dot at each point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tracker.face_model import FaceModel
from tracker.rotations import matrix_from_rotvec
from tracker.types import FaceParams
from trainer.data.batch import Batch, unknown

SIZE = 96
SCALE = 2.6
"""Crop sides per metre: weak perspective."""


def shape(model: FaceModel, identity: np.ndarray, expression: np.ndarray, landmark_set: str) -> np.ndarray:
    """(N, 3) points in head axes, metres."""
    zeros = np.zeros(3, np.float32)
    params: FaceParams = model.params_of(expression, zeros, zeros)
    return model.landmarks(model.vertices_head(identity, params), landmark_set)


def head_batch(
    model: FaceModel,
    landmark_set: str = "ibug68",
    count: int = 3,
    seed: int = 0,
    turn: float = 0.4,
    expressive: float = 0.3,
) -> Batch:
    """``count`` heads, slightly turned, in the middle of their crops."""
    rng = np.random.default_rng(seed)
    points = len(model.embedding(landmark_set).faces)
    batch = unknown(count, points, model.identity_count, SIZE)
    placed, turns, identities, expressions = [], [], [], []
    for _ in range(count):
        identity = rng.normal(0, 1, model.identity_count).astype(np.float32)
        expression = (rng.uniform(0, expressive, model.expression_count)).astype(np.float32)
        head = matrix_from_rotvec(rng.uniform(-turn, turn, 3)) @ np.diag([1.0, -1.0, -1.0])
        in_camera = shape(model, identity, expression, landmark_set) @ head.T * SCALE
        placed.append(in_camera + np.array([0.5, 0.45, 0.0]))
        turns.append(head)
        identities.append(identity)
        expressions.append(expression)
    where = torch.from_numpy(np.stack(placed)).float()
    return replace(
        batch,
        image=dots(where, SIZE),
        points=where,
        weight=torch.ones(count, points),
        visible=torch.ones(count, points),
        rotation=torch.from_numpy(np.stack(turns)).float(),
        expression=torch.from_numpy(np.stack(expressions)),
        identity=torch.from_numpy(np.stack(identities)),
        light=torch.from_numpy(rng.normal(0, 0.5, (count, 9, 3))).float(),
        focal=torch.full((count,), 4.0),
        source=tuple(f"head {number}" for number in range(count)),
    )


def dots(points: torch.Tensor, side: int, sigma: float = 0.03) -> torch.Tensor:
    """(B, 3, S, S) pictures with a soft white dot at each point (B, N, >=2)."""
    place = (torch.arange(side) + 0.5) / side
    dx = place[None, None, None, :] - points[:, :, 0, None, None]
    dy = place[None, None, :, None] - points[:, :, 1, None, None]
    bumps = torch.exp(-0.5 * (dx**2 + dy**2) / sigma**2)
    return bumps.amax(dim=1)[:, None].expand(-1, 3, -1, -1).contiguous()
