"""What an encoder is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from tracker.config import DEFAULT_ENCODER, ENCODERS, EngineName, Precision, is_network_file
from tracker.errors import ConfigError
from tracker.landmarks.crop import Roi
from tracker.types import Float32, ImageRGB, Landmarks

PRESENT = 0.5
"""Presence from which on a crop is taken to show a face."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder reads out of one crop."""

    landmarks: Landmarks
    presence: float
    """Probability in 0..1 that the crop shows a face."""
    arkit_hint: Float32 | None
    """(52,) expression scores in 0..1 in ``ARKIT_NAMES`` order; None when the encoder gives none, none were asked for
    or no face is present."""


class LandmarkEncoder(Protocol):
    """Reads landmarks out of the image region of one face. Keeps buffers: one per thread."""

    set_name: str
    """Name of the landmark set it produces."""
    outer_eye_corners: tuple[int, int]
    """Indices of the outer corner of the subject's right and left eye."""
    last_timing: dict[str, float]
    """Milliseconds the last ``encode`` spent, by stage."""

    def encode(self, image: ImageRGB, roi: Roi, scores: bool = True) -> Encoded:
        """Landmarks of the face in ``roi`` of ``image``, uint8 (H, W, 3), in image pixels; without ``scores`` no
        expression hint.
        """
        ...


@runtime_checkable
class BatchEncoder(LandmarkEncoder, Protocol):
    """An encoder that reads all faces of a frame at once."""

    def encode_all(self, image: ImageRGB, rois: Sequence[Roi], scores: bool = True) -> list[Encoded]:
        """``encode`` for each region."""
        ...


def encode_all(encoder: LandmarkEncoder, image: ImageRGB, rois: Sequence[Roi]) -> list[Encoded]:
    """What the faces in ``rois`` look like, at once where the encoder can; its ``last_timing`` is that of all."""
    if isinstance(encoder, BatchEncoder):
        return encoder.encode_all(image, rois)
    encoded, spent = [], dict[str, float]()
    for roi in rois:
        encoded.append(encoder.encode(image, roi))
        for stage, ms in encoder.last_timing.items():
            spent[stage] = spent.get(stage, 0.0) + ms
    encoder.last_timing = spent
    return encoded


def sigmoid(logit: float) -> float:
    """Probability of a logit."""
    return 1.0 / (1.0 + math.exp(-max(logit, -700.0)))


def create_encoder(
    name: str = DEFAULT_ENCODER, threads: int = 1, precision: Precision = "auto", engine: EngineName = "auto"
) -> LandmarkEncoder:
    """The encoder of this name: ``own`` (478 landmarks, expression scores, steady behind covers), ``mediapipe`` (without that),
    ``light`` (cheaper, no scores), or a network file with a header.

    Raises:
        ConfigError: unknown name.
        NetworkAssetError: its networks have not been fetched, or the file is no encoder.
    """
    if name == "mediapipe":
        from tracker.landmarks.mediapipe478 import MediaPipeEncoder

        return MediaPipeEncoder(threads=threads, precision=precision, engine=engine)
    if name == "light":
        from tracker.landmarks.light import LightEncoder

        return LightEncoder(threads=threads, precision=precision, engine=engine)
    if name == "own":
        from tracker.landmarks.own import OwnEncoder

        return OwnEncoder(threads=threads, precision=precision, engine=engine)
    if is_network_file(name):
        from tracker.landmarks.header_encoder import HeaderEncoder

        return HeaderEncoder(Path(name).expanduser(), threads=threads, precision=precision, engine=engine)
    raise ConfigError(f"encoder must be one of {', '.join(ENCODERS)}, or an .onnx or .engine file; got {name!r}")
