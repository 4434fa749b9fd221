"""What a user can set about tracking, validated on construction; one schema for code and command line."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from tracker.errors import ConfigError

EncoderName = Literal["own", "mediapipe", "light"]
EngineName = Literal["auto", "openvino", "onnxruntime", "litert", "tensorrt", "torch"]
Precision = Literal["auto", "f32", "f16", "bf16"]
Photometric = Literal["auto", "on", "off"]
ENCODERS: Final[tuple[EncoderName, ...]] = ("own", "mediapipe", "light")
DEFAULT_ENCODER: Final[EncoderName] = "own"
PHOTOMETRIC: Final[tuple[Photometric, ...]] = ("auto", "on", "off")
ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)
DEFAULT_FACE_MODEL: Final = "builtin"
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Settings of the tracking itself (not of sources or publishing)."""

    encoder: str = DEFAULT_ENCODER
    """``own``: 478 points with irises and expression scores, steady where something covers the face (docs/encoder.md);
    ``mediapipe``: the same without what is steady; ``light``: the smaller 468-point pair; or an ``.onnx`` or ``.engine`` file
    whose header makes it an encoder (docs/training.md)."""
    face_model: str = DEFAULT_FACE_MODEL
    """``builtin``, the name of an imported face model, or a file in the neutral format."""
    flame: str | None = None
    """A FLAME model to publish and record in, where another one is fitted; None: parameters are those of ``face_model``."""
    identity: str | None = None
    """What `tracker enroll` has written: the person to expect."""
    max_faces: int = 1
    focal_px: float | None = None
    """Focal length in pixels; None: sqrt(W^2 + H^2)."""
    fov_deg: float | None = None
    """Horizontal field of view in degrees, instead of ``focal_px``."""
    smoothing: bool = True
    threads: int = 1
    """Threads per network."""
    precision: Precision = "auto"
    engine: EngineName = "auto"
    """What runs the networks; ``auto`` is the CPU: OpenVINO where it has a wheel."""
    appearance: bool = False
    """Estimate skin reflectance, light and occlusion (docs/appearance.md)."""
    photometric: Photometric = "auto"
    """With ``appearance``: the picture has a say in the pose ``auto``: while something seems to be in front of the face; ``on``:
    in every frame; ``off``: never."""

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS and not is_network_file(self.encoder):
            raise ConfigError(
                f"encoder must be one of {', '.join(ENCODERS)}, or an .onnx or .engine file; got '{self.encoder}'"
            )
        _one_of("engine", self.engine, ENGINES)
        _one_of("photometric", self.photometric, PHOTOMETRIC)
        _one_of("precision", self.precision, PRECISIONS)
        if not 1 <= self.max_faces <= 16:
            raise ConfigError(f"max_faces must be 1..16, got {self.max_faces}")
        if not 1 <= self.threads <= 64:
            raise ConfigError(f"threads must be 1..64, got {self.threads}")
        if self.focal_px is not None and self.fov_deg is not None:
            raise ConfigError("give focal_px or fov_deg, not both: one follows from the other")
        if self.focal_px is not None and not (math.isfinite(self.focal_px) and self.focal_px > 0.0):
            raise ConfigError(f"focal_px must be a positive number of pixels, got {self.focal_px}")
        if self.fov_deg is not None and not 5.0 <= self.fov_deg <= 170.0:
            raise ConfigError(f"fov_deg must be 5..170 degrees, got {self.fov_deg}")

    def focal_for(self, width: int) -> float | None:
        """Focal length in pixels for an image ``width`` pixels wide, or None for the default rule."""
        if self.fov_deg is not None:
            return width / (2.0 * math.tan(math.radians(self.fov_deg) / 2.0))
        return self.focal_px

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as saved beside outputs."""
        return asdict(self)


def is_network_file(encoder: str) -> bool:
    """Whether an encoder is meant as a file, not by name."""
    return encoder.lower().endswith((".onnx", ".engine"))


def _one_of(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ConfigError(f"{name} must be one of {', '.join(valid)}; got '{value}'")


def add_tracking_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``TrackerConfig`` to a command."""
    group = parser.add_argument_group("tracking")
    group.add_argument(
        "--encoder", default=DEFAULT_ENCODER, metavar="NAME|PATH",
        help="networks that find the landmarks: 'own' (default) has 478 points and expression scores, and keeps its place behind "
        "hands and in profile (docs/encoder.md), 'mediapipe' is the same without that, 'light' a smaller pair without scores; or "
        "a file by `trainer export` or `engines build`",
    )  # fmt: skip
    group.add_argument(
        "--face-model", metavar="NAME|PATH",
        help="face model to fit: a name that `tracker models list` shows, or a file (default: the built-in head)",
    )  # fmt: skip
    group.add_argument(
        "--flame", metavar="NAME|PATH",
        help="publish and record in this FLAME model's parameters what is fitted with an ARKit-named one",
    )  # fmt: skip
    group.add_argument("--identity", metavar="ME.NPZ", help="the person to expect, as `tracker enroll` has written it")
    group.add_argument("--max-faces", type=int, default=1, metavar="N", help="follow up to N faces (default 1)")
    group.add_argument("--focal", type=float, metavar="PX", help="focal length in pixels, if the camera is calibrated")
    group.add_argument(
        "--fov", type=float, metavar="DEG", help="horizontal field of view in degrees, instead of --focal"
    )
    group.add_argument(
        "--no-smoothing", action="store_true", help="publish every frame's fit as it is, without smoothing"
    )
    group.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads per network (default 1)")
    group.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="arithmetic of the networks (default auto)"
    )
    group.add_argument(
        "--engine", choices=ENGINES, default="auto",
        help="what runs the networks: 'auto' is the CPU's best, 'tensorrt' an NVIDIA GPU (docs/gpu.md)",
    )  # fmt: skip
    group.add_argument(
        "--appearance", choices=("on", "off"), default="off",
        help="estimate skin reflectance, light and occlusion (default off)",
    )  # fmt: skip
    group.add_argument(
        "--photometric", choices=PHOTOMETRIC, default="auto",
        help="let the skin in the picture correct the pose: 'auto' while something is in front of the face (default), 'on' in "
        "every frame, 'off' never; needs --appearance on",
    )  # fmt: skip


def tracking_config(args: argparse.Namespace) -> TrackerConfig:
    """The configuration that the options of ``add_tracking_arguments`` describe. Raises ``ConfigError``."""
    return TrackerConfig(
        encoder=args.encoder,
        face_model=DEFAULT_FACE_MODEL if args.face_model is None else args.face_model,
        flame=args.flame,
        identity=args.identity,
        max_faces=args.max_faces,
        focal_px=args.focal,
        fov_deg=args.fov,
        smoothing=not args.no_smoothing,
        threads=args.threads,
        precision=args.precision,
        engine=args.engine,
        appearance=args.appearance == "on",
        photometric=args.photometric,
    )
