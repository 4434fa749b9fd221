"""What is measured of a trained network: errors by part of the face, by view and by source, and calibration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from trainer.metrics.calibration import Calibration, sigma_calibration
from trainer.metrics.landmarks import landmark_errors

PX: Final = 256
"""The thesis's crops: errors are told in their pixels whatever the crop's size."""
_VIEWS: Final = ((0, 30), (30, 60), (60, 180))


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predictions and truth of a data set, on the CPU."""

    points: Tensor
    """(N, L, 2) fractions of the crop's side."""
    sigma: Tensor
    """(N, L, 2) standard deviations."""
    truth: Tensor
    """(N, L, 2), NaN where unknown."""
    rotation: Tensor
    """(N, 3, 3)."""
    source: tuple[str, ...]


def joined(parts: Iterable[Predicted]) -> Predicted:
    """Parts as one. Raises ``ValueError`` when there is none."""
    all_parts = list(parts)
    if not all_parts:
        raise ValueError("expected at least one batch to measure")
    return Predicted(
        torch.cat([part.points for part in all_parts]),
        torch.cat([part.sigma for part in all_parts]),
        torch.cat([part.truth for part in all_parts]),
        torch.cat([part.rotation for part in all_parts]),
        tuple(name for part in all_parts for name in part.source),
    )


def measure(predicted: Predicted, regions: Mapping[str, Tensor]) -> tuple[dict[str, dict[str, float]], Calibration]:
    """Rows of a table: ``all``, regions of the face, angles between the face and the camera, kinds of sources.

    Returns:
        Rows with ``mlme_px`` (4.1, pixels of a 256-pixel crop); ``all`` also with ``sigma_ratio`` (predicted over actual
        deviation) and ``sigma_rank`` (Spearman's correlation). And the calibration.
    """
    errors = landmark_errors(predicted.points, predicted.truth) * PX
    calibration = sigma_calibration(predicted.points, predicted.sigma, predicted.truth)
    rows: dict[str, dict[str, float]] = {
        "all": {
            "mlme_px": float(errors.nanmean()),
            "sigma_ratio": calibration.ratio,
            "sigma_rank": calibration.rank_correlation,
        }
    }
    for name, landmarks in regions.items():
        rows[name] = {"mlme_px": float(errors[:, landmarks].nanmean())}
    # The face looks along +z of its own axes, and into the camera when that is -z of the camera's.
    away = torch.rad2deg(torch.acos((-predicted.rotation[:, 2, 2]).clamp(-1.0, 1.0)))
    for low, high in _VIEWS:
        chosen = (away >= low) & (away < high)
        rows[f"{low}-{high} deg"] = {"mlme_px": float(errors[chosen].nanmean()) if bool(chosen.any()) else math.nan}
    kinds = _kinds(predicted.source)
    if len(kinds) > 1:
        for kind, line in by_kind(predicted).items():
            rows[kind] = {
                "mlme_px": float(errors[kinds[kind]].nanmean()),
                "sigma_ratio": line.ratio,
                "sigma_rank": line.rank_correlation,
            }
    return rows, calibration


def by_kind(predicted: Predicted) -> dict[str, Calibration]:
    """The calibration of each kind of source (what stands before the colon), by name; ``all`` where none is told."""
    return {
        kind: sigma_calibration(predicted.points[rows], predicted.sigma[rows], predicted.truth[rows])
        for kind, rows in _kinds(predicted.source).items()
    }


def _kinds(sources: tuple[str, ...]) -> dict[str, Tensor]:
    """Rows (N,) bool of each kind of source."""
    names = [name.split(":")[0].split("/")[0] or "all" for name in sources]
    return {kind: torch.tensor([name == kind for name in names]) for kind in sorted(set(names))}
