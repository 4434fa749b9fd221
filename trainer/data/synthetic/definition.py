"""How far labels lie from where MediaPipe's network sees the same points on the same renders: two definitions of a landmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tracker.landmarks import create_encoder
from tracker.landmarks.crop import Roi
from tracker.rendering.contours import CONTOURS, IRIS_LEFT, IRIS_RIGHT, LANDMARK_SET
from trainer.data.synthetic.config import SyntheticConfig
from trainer.data.synthetic.stream import SyntheticStream

_PRESENT: Final = 0.9
_EYES: Final = (33, 263)


@dataclass(frozen=True, slots=True)
class Gap:
    """One region; lengths in per cent of the outer eye distance."""

    region: str
    points: int
    offset: float
    """RMS over points of the mean difference: what is systematic."""
    spread: float
    """RMS of what differs from picture to picture."""


def definition_gap(assets: str | None = None, pictures: int = 96, seed: int = 9) -> list[Gap]:
    """Compare labels with the network's points by region, on frontal heads with nothing in front, without camera faults.

    Args:
        assets: folder of assets; the user's if None.
        pictures: renders to look at.
        seed: of the renders.

    Raises:
        NetworkAssetError: the networks have not been fetched.
    """
    batch_size = 16
    config = SyntheticConfig(
        batch_size=batch_size, seed=seed, landmark_set=LANDMARK_SET, assets=assets, large_poses=0.0, occluders=0.0,
        negatives=0.0, degrade=False, jitter=0.5, accessories=0.3,
    )  # fmt: skip
    stream = SyntheticStream(config)
    encoder = create_encoder("mediapipe")
    size = config.crop_size
    roi = Roi(size / 2.0, size / 2.0, float(size), 0.0)
    found = []
    for number in range(-(-pictures // batch_size)):
        batch = stream.batch(number)
        for k in range(batch_size):
            image = (batch.image[k].permute(1, 2, 0).cpu().numpy() * 255.0 + 0.5).astype(np.uint8)
            seen = encoder.encode(np.ascontiguousarray(image), roi, scores=False)
            truth = batch.points[k, :, :2].cpu().numpy() * size
            if seen.presence < _PRESENT:
                continue
            eyes = float(np.linalg.norm(truth[_EYES[0]] - truth[_EYES[1]]))
            difference = (seen.landmarks.points[:, :2] - truth) / eyes * 100.0
            hidden = batch.visible[k].cpu().numpy() < 0.5
            difference[hidden] = np.nan
            found.append(difference)
    if not found:
        return []
    both = np.stack(found)
    with np.errstate(invalid="ignore"):
        count = np.isfinite(both[..., 0]).sum(axis=0)
        mean = np.nansum(both, axis=0) / np.maximum(count, 1)[:, None]
        around = np.sqrt(np.nansum((both - mean) ** 2, axis=(0, 2)) / np.maximum(count, 1))
    systematic = np.linalg.norm(mean, axis=1)
    usual = count > len(found) // 4
    rows = []
    for region, index in _regions().items():
        chosen = index[usual[index]]
        if len(chosen):
            rows.append(
                Gap(region, len(chosen), float(np.sqrt((systematic[chosen] ** 2).mean())),
                    float(np.sqrt((around[chosen] ** 2).mean())))
            )  # fmt: skip
    return rows


def _regions() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.intp]]]:
    regions: dict[str, list[int]] = {}
    for contour in CONTOURS:
        regions.setdefault(contour.kind, []).extend(contour.points)
    regions["iris"] = [*IRIS_LEFT, *IRIS_RIGHT]
    named = {point for points in regions.values() for point in points}
    regions["elsewhere"] = [point for point in range(478) if point not in named]
    regions["all"] = list(range(478))
    return {name: np.array(sorted(set(points)), np.intp) for name, points in regions.items()}
