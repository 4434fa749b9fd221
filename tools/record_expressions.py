"""What faces do before cameras: writes trainer/data/synthetic/recorded_expressions.npz.

    python tools/record_expressions.py CLIP [CLIP ...] [--every 2] [--most 240]

Tracks every clip and keeps how often each ARKit weight is how strong, and how the weights go together: quantiles and a
correlation of ranks, from which no frame and no person can be told. The statistics are as free as the clips are: take such
as may be used for anything (recorded_expressions.LICENCE.txt names those that were).
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from tracker.arkit import ARKIT_NAMES
from tracker.config import TrackerConfig
from tracker.errors import TrackerError
from tracker.rotations import matrix_from_rotvec
from tracker.sources.open import open_source
from tracker.tracking import FrameTracker

TARGET: Final = Path(__file__).resolve().parent.parent / "trainer/data/synthetic/recorded_expressions.npz"
LEVELS: Final = np.array([0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0], np.float32)
_FRONTAL_COSINE: Final = 0.85
_WORST_RESIDUAL: Final = 0.03
_FEWEST: Final = 20
_SHRINK: Final = 0.03
"""Share of the identity in the correlation: few people say little about rare pairs."""


def main() -> int:
    """Track, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="look at one frame in so many (default 1)")
    parser.add_argument("--most", type=int, default=240, help="frames of a clip that count at most (default 240)")
    args = parser.parse_args()
    rows = []
    for clip in args.clips:
        try:
            seen = weights_of(clip, args.every)
        except TrackerError as error:
            sys.stderr.write(f"{error}\n")
            return error.exit_code
        if len(seen) < _FEWEST:
            print(f"{clip.name}: {len(seen)} frames, too few")
            continue
        chosen = seen[np.linspace(0, len(seen) - 1, min(args.most, len(seen))).round().astype(int)]
        print(f"{clip.name}: {len(chosen)} of {len(seen)} frames")
        rows.append(chosen)
    if not rows:
        sys.stderr.write("no clip shows a face from the front for long enough\n")
        return 1
    quantiles, correlation = statistics(np.concatenate(rows))
    names = np.array(ARKIT_NAMES)
    np.savez_compressed(
        TARGET, names=names, levels=LEVELS, quantiles=quantiles.astype(np.float16), correlation=correlation
    )
    print(f"{TARGET}: {sum(map(len, rows))} frames of {len(rows)} clips, {TARGET.stat().st_size / 1e3:.1f} kB")
    return 0


def weights_of(clip: Path, every: int) -> NDArray[np.float32]:
    """(N, 52) unsmoothed weights of all frames in which a face is seen from the front and fitted well."""
    tracker = FrameTracker(TrackerConfig(smoothing=False))
    kept = []
    with open_source(str(clip)) as source:
        for frame in islice(source, 0, None, every):
            for face in tracker.process(frame).faces:
                points = face.landmarks.points
                eyes = float(np.linalg.norm(points[33, :2] - points[263, :2]))
                ahead = -float(matrix_from_rotvec(face.raw.rotation)[2, 2])
                if ahead > _FRONTAL_COSINE and face.residual_px < _WORST_RESIDUAL * eyes:
                    kept.append(face.arkit if face.arkit_raw is None else face.arkit_raw)
    return np.array(kept, np.float32).reshape(-1, len(ARKIT_NAMES))


def statistics(weights: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Quantiles (52, L) of weights (N, 52), and the correlation (52, 52) of the normal scores of their ranks."""
    quantiles = np.quantile(weights, LEVELS, axis=0).T.astype(np.float32)
    scores = ndtri((np.apply_along_axis(rankdata, 0, weights) - 0.5) / len(weights))
    moving = np.ptp(weights, axis=0) > 1e-4
    correlation = np.eye(len(ARKIT_NAMES))
    correlation[np.ix_(moving, moving)] = np.corrcoef(scores[:, moving].T)
    shrunk = (1.0 - _SHRINK) * correlation + _SHRINK * np.eye(len(ARKIT_NAMES))
    return quantiles, shrunk.astype(np.float16)


if __name__ == "__main__":
    raise SystemExit(main())
