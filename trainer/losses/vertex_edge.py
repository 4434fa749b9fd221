"""The vertex-edge loss: neighbours keep their distances (Simic 2022, eq. 3.23)."""

from __future__ import annotations

from torch import Tensor

from trainer.losses.known import known


def vertex_edge(points: Tensor, truth: Tensor, weight: Tensor, edges: Tensor) -> Tensor:
    """Squared differences between predicted and true edge vectors, summed over edges (3.23), mean over images.

    Args:
        points: (B, L, D) predicted.
        truth: (B, L, D), NaN where unknown: edges with such an end are left out.
        weight: (B, L) in 0..1; an edge counts as much as the less trusted of its ends.
        edges: (E, 2) landmarks, each edge once.

    Returns:
        A scalar in squared units of the points.

    Raises:
        ValueError: the shapes do not belong together.
    """
    there = known(points, truth, weight)
    one, other = edges[:, 0], edges[:, 1]
    error = there.truth - points
    off = ((error[:, one] - error[:, other]) ** 2).sum(dim=-1)
    counts = there.weight[:, one].minimum(there.weight[:, other])
    return (off * counts).sum(dim=1).mean()
