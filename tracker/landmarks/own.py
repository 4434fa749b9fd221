"""The tracker's own encoder: one pass gives landmarks with their sigma and visibility.

The network is fine-tuned from MediaPipe's landmark network (Apache-2.0) so that a face stays put when something covers part
of it; docs/encoder.md says on what, and what it reaches. Its weights come with the package; expression scores are read from its
landmarks by the same network as the default encoder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np

from tracker.cache import cache_dir
from tracker.config import EngineName, Precision
from tracker.errors import NetworkAssetError
from tracker.landmarks.crop import Roi
from tracker.landmarks.crop_network import MOST_CROPS, crops_for
from tracker.landmarks.encoder import PRESENT, Encoded
from tracker.landmarks.mediapipe478 import CROP_SIZE, OUTER_EYE_CORNERS, POINTS, SET_NAME
from tracker.landmarks.scores import ExpressionScorer, hint
from tracker.types import Float32, ImageRGB, Landmarks

if TYPE_CHECKING:
    from engines import Engine

WEIGHTS: Final = "own_encoder.onnx"
_COVER_FROM, _COVER_TO = 0.06, 0.25
"""Share of the 478 points out of sight from which on the sharp network's landmarks count less, and at which no more."""
_RIDGE: Final = 1e-3
"""Pull towards no change, in points: for faces of which next to nothing is in sight."""
_OUTPUTS: Final = ("points", "log_sigma", "visibility", "presence", "published", "tongue")


class OwnEncoder:
    """478 landmarks with sigma and visibility of their own, and 52 expression scores.

    The network knows 150 further points around the face (``head628``); they are left to whoever loads it as a file.
    """

    set_name = SET_NAME
    outer_eye_corners = OUTER_EYE_CORNERS

    def __init__(
        self,
        threads: int = 1,
        precision: Precision = "auto",
        engine: EngineName = "auto",
        network: Path | None = None,
    ) -> None:
        """Load the network that comes with the package, or another one of its kind.

        Raises NetworkAssetError when it cannot be read, or the network for scores has not been fetched.
        """
        # As for the default encoder: bf16 moves points by several times the noise of a still face.
        opened = _open(network, "f32" if precision == "auto" else precision, threads, engine)
        place = {spec.name: index for index, spec in enumerate(opened.outputs)}
        missing = [name for name in _OUTPUTS if name not in place]
        if missing:
            raise NetworkAssetError(
                f"{opened.path.name} is no encoder of this kind: it has no output '{missing[0]}'; "
                "use it as a file: --encoder FILE"
            )
        self._place = [place[name] for name in _OUTPUTS]
        self._scorer = ExpressionScorer("f32" if precision == "auto" else precision, threads, engine)
        self._crops = crops_for(opened)
        self.last_timing: dict[str, float] = {}

    def encode(self, image: ImageRGB, roi: Roi, scores: bool = True) -> Encoded:
        """See ``LandmarkEncoder.encode``."""
        (encoded,) = self.encode_all(image, [roi], scores)
        return encoded

    def encode_all(self, image: ImageRGB, rois: Sequence[Roi], scores: bool = True) -> list[Encoded]:
        """See ``BatchEncoder.encode_all``."""
        if not rois:
            self.last_timing = {}
            return []
        start = perf_counter()
        outputs, _ = self._crops.run(image, rois)
        seen = perf_counter()
        ours, log_sigmas, sights, certainties, published, tongues = (outputs[place] for place in self._place)
        in_crops = np.stack([
            combined(*each) for each in zip(ours[:, :POINTS], published, sights[:, :POINTS], strict=True)
        ]) * np.float32(CROP_SIZE)  # fmt: skip
        presences = [float(value) for value in certainties.reshape(-1)]
        landmarks = []
        for row, roi in enumerate(rois):
            points = roi.to_image(in_crops[row], CROP_SIZE)
            sigma: Float32 = np.exp(log_sigmas[row, :POINTS]) * np.float32(roi.size)
            landmarks.append(Landmarks(SET_NAME, points, sigma, sights[row, :POINTS].astype(np.float32)))
        shown = [row for row, presence in enumerate(presences) if scores and presence >= PRESENT]
        scoring = perf_counter()
        values = self._scorer.scores(in_crops[shown])
        hints = {row: hint(found, float(tongues.flat[row])) for row, found in zip(shown, values, strict=True)}
        self.last_timing = {
            "crop": self._crops.last_crop_ms,
            "landmarks": (seen - start) * 1e3 - self._crops.last_crop_ms,
            "sigma": (scoring - seen) * 1e3,
            "blendshapes": (perf_counter() - scoring) * 1e3,
        }
        return [Encoded(found, presences[row], hints.get(row)) for row, found in enumerate(landmarks)]


def combined(steady: Float32, sharp: Float32, visibility: Float32) -> Float32:
    """Landmarks (N, 3) of two networks as one: where the face is by the steady one, what it does by the sharp one.

    The sharp one's are brought onto the steady one's by the affine map that fits best where the face is in sight, so that nothing
    jumps when a hand comes; the more of the face is hidden, the more the steady one's own count.

    Args:
        steady: (N, 3) of the network that covers do not mislead.
        sharp: (N, 3) of the one that shows lids and lips best.
        visibility: (N,) probability that each point is in sight.
    """
    hidden = 1.0 - float(visibility.mean())
    ramp = min(max((hidden - _COVER_FROM) / (_COVER_TO - _COVER_FROM), 0.0), 1.0)
    if ramp == 1.0:
        return steady
    source = np.concatenate([sharp, np.ones((len(sharp), 1), np.float32)], axis=1).astype(np.float64)
    weighted = source * visibility[:, None]
    affine = np.linalg.solve(weighted.T @ source + _RIDGE * np.eye(4), weighted.T @ steady + _RIDGE * np.eye(4, 3))
    bent = (source @ affine).astype(np.float32)
    share = np.float32(ramp * ramp * (3.0 - 2.0 * ramp))
    mixed: Float32 = bent + share * (steady - bent)
    return mixed


def _open(network: Path | None, precision: Precision, threads: int, engine: EngineName) -> Engine:
    from engines import EngineError, load_engine
    from engines.batch import BatchProfile
    from engines.build import open_engine

    try:
        with as_file(files("tracker.landmarks") / "data" / WEIGHTS) as shipped:
            path = shipped if network is None else network
            if engine in ("tensorrt", "torch"):
                arithmetic = "fp32" if precision == "f32" else precision
                return open_engine(path, engine, arithmetic, BatchProfile(1, 1, MOST_CROPS), threads=threads)
            return load_engine(path, engine, precision=precision, threads=threads, cache_dir=cache_dir("engines"))
    except EngineError as error:
        raise NetworkAssetError(str(error)) from error
