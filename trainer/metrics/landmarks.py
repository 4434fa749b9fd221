"""Errors of landmarks in the picture (Simic 2022, eq. 4.1 and 4.3)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def landmark_errors(points: Tensor, truth: Tensor) -> Tensor:
    """Distance of every landmark from its truth: (B, L, D) twice to (B, L), in their unit; NaN where the truth is."""
    return (points - truth).square().sum(dim=-1).sqrt()


def mlme(points: Tensor, truth: Tensor) -> float:
    """Mean landmark error (4.1) over all that is known, in the unit of the points; NaN where nothing is known."""
    return float(landmark_errors(points, truth).nanmean())


def mrle(projected: Tensor, points: Tensor) -> float:
    """Mean re-projected landmark error (4.3): between projected vertices of a fit and the landmarks it was fitted to,
    (B, L, 2) each, in their unit.
    """
    return mlme(projected, points)


def by_subset(errors: Tensor, subsets: Mapping[str, Tensor]) -> dict[str, float]:
    """Mean error of each named subset.

    Args:
        errors: (B, L), NaN where unknown.
        subsets: (n,) landmarks of each.

    Returns:
        NaN for a subset without anything known.
    """
    return {name: float(errors[:, chosen].nanmean()) for name, chosen in subsets.items()}
