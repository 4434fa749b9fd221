"""The tracker's own encoder: the default one's landmarks, and steadier ones for faces that are covered or turned away.

Two networks. The *glance* runs for every crop: MediaPipe's landmark network (Apache-2.0) as it was published, and a slim head
on its maps that tells what is covered and how far the head is turned. Where that is much, the *branch* goes on from the
glance's first stages: a fine-tuned copy that keeps a face where it is behind a hand and follows it to profile, with sigma and
visibility of its own. So a bare face costs what it costs with the default encoder, and looks the same. docs/encoder.md says
what they were trained on, and what they reach; their weights come with the package. Expression scores are read from the
landmarks by the same network as the default encoder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracker.config import EngineName, Precision
from tracker.errors import NetworkAssetError
from tracker.landmarks.crop import Roi
from tracker.landmarks.crop_network import MOST_CROPS, crops_for
from tracker.landmarks.encoder import PRESENT, Encoded, sigmoid
from tracker.landmarks.mediapipe478 import CROP_SIZE, OUTER_EYE_CORNERS, POINTS, SET_NAME
from tracker.landmarks.scores import ExpressionScorer, hint
from tracker.landmarks.sigma import SigmaModel
from tracker.networks import open_network
from tracker.networks.shipped import BRANCH, GLANCE, shipped
from tracker.types import Float32, ImageRGB, Landmarks

if TYPE_CHECKING:
    from engines import Engine

_COVERED_FROM, _COVERED_TO = 0.012, 0.04
"""Share of the landmarks behind a thing from which on the branch is asked, and from which on it alone says where the face is."""
_TURNED_FROM, _TURNED_TO = np.cos(np.radians(60.0)), np.cos(np.radians(75.0))
"""The same for the cosine of the head's turn away from the camera."""
_UNSURE_FROM, _UNSURE_TO = 0.9, 0.6
"""The same for the published network's presence."""
_HIDDEN_FROM, _HIDDEN_TO = 0.06, 0.25
"""Share of landmarks out of sight from which on the branch's own landmarks count, and from which on they alone."""
_RIDGE: Final = 1e-3
"""Pull towards no change, in points: for faces of which next to nothing is in sight."""
_LEAST_BELIEF: Final = 0.55
"""Of the branch's presence, where the published network sees no face: enough to go on following one behind a hand, too little to
start with (``tracker.detection.follow``)."""


class _Steady(NamedTuple):
    """What the branch says about one crop."""

    points: Float32
    """(478, 3) fractions of the crop's side."""
    log_sigma: Float32
    """(478,) of that unit."""
    visibility: Float32
    """(478,) probability of being in sight."""
    kept: float
    """Probability that a face which was there before still is."""


class OwnEncoder:
    """478 landmarks with sigma, visibility where the branch was asked, and 52 expression scores."""

    set_name = SET_NAME
    outer_eye_corners = OUTER_EYE_CORNERS

    def __init__(
        self,
        threads: int = 1,
        precision: Precision = "auto",
        engine: EngineName = "auto",
        glance: Path | None = None,
        branch: Path | None = None,
    ) -> None:
        """Load the networks that come with the package, or others of their kind.

        Raises NetworkAssetError when they cannot be read, or the network for scores has not been fetched.
        """
        if engine == "litert":
            raise NetworkAssetError(
                "engine litert reads no .onnx files, which encoder own is made of; use --encoder mediapipe, or another --engine"
            )
        # As for the published network alone: bf16 moves points by several times the noise of a still face.
        precision = "f32" if precision == "auto" else precision
        given = glance or shipped(GLANCE), branch or shipped(BRANCH)
        opened, opened_branch = (
            open_network(path, precision=precision, threads=threads, engine=engine, rows=MOST_CROPS) for path in given
        )
        self._glance = _places(opened, ("points", "presence", "tongue", "covered", "rotation", "stem"))
        self._crops = crops_for(opened)
        self._branch = _Branch(opened_branch)
        self._scorer = ExpressionScorer(precision, threads, engine)
        self._sigma = SigmaModel.load("mediapipe")
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
        outputs, gains = self._crops.run(image, rois)
        published, logits, tongues, covered, turns, stems = (outputs[place] for place in self._glance)
        presences = [sigmoid(float(logit)) for logit in logits.reshape(-1)]
        needs = [need(*each) for each in zip(covered, turns, presences, strict=True)]
        asked = [row for row, share in enumerate(needs) if share > 0.0]
        told = dict(zip(asked, self._branch.run(stems, asked), strict=True))
        seen = perf_counter()
        in_crops = published * np.float32(CROP_SIZE)
        landmarks = []
        for row, roi in enumerate(rois):
            points = roi.to_image(in_crops[row], CROP_SIZE)
            sigma = self._sigma.predict(points, roi, presences[row], float(gains[row]))
            visibility = None
            if row in told:
                steady, share = told[row], np.float32(needs[row])
                in_crops[row] = combined(steady.points, published[row], steady.visibility, needs[row]) * CROP_SIZE
                points = roi.to_image(in_crops[row], CROP_SIZE)
                sigma = sigma ** (1.0 - share) * (np.exp(steady.log_sigma) * np.float32(roi.size)) ** share
                visibility = 1.0 - share * (1.0 - steady.visibility)
                belief = _LEAST_BELIEF + (1.0 - _LEAST_BELIEF) * presences[row]
                presences[row] += needs[row] * (steady.kept * belief - presences[row])
            landmarks.append(Landmarks(SET_NAME, points, sigma, visibility))
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


class _Branch:
    """The second network, run for some rows of the glance's map at stride 4."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._outputs = _places(engine, ("points", "log_sigma", "visibility", "kept"))
        (self._stems,) = engine.buffers.values()

    def run(self, stems: NDArray[Any], rows: Sequence[int]) -> list[_Steady]:
        """What it says about each of ``rows`` of the maps (B, C, 64, 64)."""
        most, told = self._engine.batch.maximum, []
        for start in range(0, len(rows), most):
            part = list(rows[start : start + most])
            self._stems[: len(part)] = stems[part]
            outputs = self._engine.run(None if self._engine.batch.fixed else len(part))
            points, log_sigma, visibility, kept = (outputs[place] for place in self._outputs)
            told += [
                _Steady(
                    points[k, :POINTS].copy(),
                    log_sigma[k, :POINTS].copy(),
                    visibility[k, :POINTS].copy(),
                    float(kept[k, 0]),
                )
                for k in range(len(part))
            ]
        return told


def need(covered: Float32, rotation: Float32, presence: float) -> float:
    """How far, 0..1, the branch is to be believed before the published network; nothing jumps as it sets in.

    Args:
        covered: (N,) probability that a thing is in front of each landmark.
        rotation: (3, 3) head axes to the axes of a camera that looks at the crop's centre.
        presence: probability that the published network sees a face.
    """
    facing = -float(rotation[2, 2])
    return max(
        _ramp(float(covered.mean()), _COVERED_FROM, _COVERED_TO),
        _ramp(facing, _TURNED_FROM, _TURNED_TO),
        _ramp(presence, _UNSURE_FROM, _UNSURE_TO),
    )


def _ramp(value: float, start: float, end: float) -> float:
    """From 0 at ``start`` to 1 at ``end``, without corners."""
    x = min(max((value - start) / (end - start), 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


def combined(steady: Float32, sharp: Float32, visibility: Float32, share: float) -> Float32:
    """Landmarks (N, 3) of two networks as one: where the face is by the steady one, what it does by the sharp one.

    The sharp one's are brought onto the steady one's by the affine map that fits best where the face is in sight; the more of the
    face is hidden, the more the steady one's own count.

    Args:
        steady: (N, 3) of the network that covers do not mislead.
        sharp: (N, 3) of the one that shows lids and lips best.
        visibility: (N,) probability that each point is in sight.
        share: how far the steady one counts at all, 0..1 (``need``).
    """
    own = np.float32(_ramp(1.0 - float(visibility.mean()), _HIDDEN_FROM, _HIDDEN_TO))
    source = np.concatenate([sharp, np.ones((len(sharp), 1), np.float32)], axis=1).astype(np.float64)
    weighted = source * visibility[:, None]
    affine = np.linalg.solve(weighted.T @ source + _RIDGE * np.eye(4), weighted.T @ steady + _RIDGE * np.eye(4, 3))
    bent = (source @ affine).astype(np.float32)
    mixed: Float32 = sharp + np.float32(share) * (bent + own * (steady - bent) - sharp)
    return mixed


def _places(engine: Engine, names: Sequence[str]) -> list[int]:
    """Where the named outputs are among an engine's. Raises NetworkAssetError when one is not."""
    place = {spec.name: index for index, spec in enumerate(engine.outputs)}
    missing = [name for name in names if name not in place]
    if missing:
        raise NetworkAssetError(
            f"{engine.path.name} is no network of this kind: it has no output '{missing[0]}'; use it as a file: --encoder FILE"
        )
    return [place[name] for name in names]
