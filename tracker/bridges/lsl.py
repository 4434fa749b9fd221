"""Lab Streaming Layer: one stream of 68 named channels, for LabRecorder and everything else in a laboratory.

Channels: the 52 ARKit weights, head position (m) and quaternion (xyzw) in the camera's axes (OpenCV's), head yaw, pitch, roll
and both eyes' yaw, pitch (degrees; + to the subject's left, up, left shoulder), ``tracked`` and ``confidence``. Where no face
is seen the numbers are NaN and ``tracked`` is 0. The rate is irregular, as frames are when they come from a camera; the
source's nominal rate stands in the description.

A sample's time is when its frame was captured, on LSL's clock. Capture times of this machine are monotonic like LSL's clock and
are moved by their age; those of files and of trackers on other machines go by their Unix time. Receivers correct for the clocks
of machines themselves (``time_correction``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tracker.arkit import ARKIT_NAMES
from tracker.bridges.axes import yaw_pitch_roll
from tracker.bridges.bridge import Bridge, BridgeFace, BridgeFrame
from tracker.bridges.spec import BridgeSpec
from tracker.errors import ConfigError, PublishError
from tracker.types import FrameResult

if TYPE_CHECKING:
    from fractions import Fraction

CHANNELS: Final[tuple[tuple[str, str], ...]] = (
    *((name, "normalized") for name in ARKIT_NAMES),
    *((f"head_{axis}", "meters") for axis in "xyz"),
    *((f"head_q{axis}", "normalized") for axis in "xyzw"),
    *((f"head_{angle}", "degrees") for angle in ("yaw", "pitch", "roll")),
    *((f"gaze_{side}_{angle}", "degrees") for side in ("left", "right") for angle in ("yaw", "pitch")),
    ("tracked", "boolean"),
    ("confidence", "normalized"),
)
"""Label and unit of each channel, in order."""
_OLDEST_S = 60.0


def open_bridge(spec: BridgeSpec) -> Bridge:
    """Options: ``name``."""
    return LslBridge(spec.options.get("name", "FaceTracker"))


class LslBridge(Bridge):
    """Offers a stream on the network; receivers find it by its name or its type, ``Face``.

    Args:
        name: of the stream.

    Raises:
        ConfigError: the name is empty or too long.
        PublishError: pylsl is not installed, or has no library for this machine.
    """

    def __init__(self, name: str = "FaceTracker") -> None:
        if not 1 <= len(name) <= 128:
            raise ConfigError(f"--to lsl: name must have 1..128 letters, got {len(name)}")
        try:
            import pylsl
        # RuntimeError: the package is there, the library is not.
        except (ImportError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "it cannot be loaded"
            raise PublishError(
                f"the bridge lsl needs pylsl ({reason}): pip install 'facestream-tracker[lsl]'"
            ) from error
        self._name = name
        self._clock: Callable[[], float] = pylsl.local_clock
        self._pylsl: Any = pylsl
        self._outlet: Any = None
        self._rate: Fraction | None = None

    @property
    def target(self) -> str:
        return f"lsl as '{self._name}'"

    def send(self, frame: BridgeFrame) -> None:
        if self._outlet is None:
            # Only the first frame says how many come in a second.
            self._outlet = self._pylsl.StreamOutlet(self._describe(frame), max_buffered=360)
        self._outlet.push_sample(sample(frame), capture_time_s(frame.result, self._clock()))

    def close(self) -> None:
        self._outlet = None

    def _describe(self, frame: BridgeFrame) -> Any:
        info = self._pylsl.StreamInfo(
            self._name, "Face", len(CHANNELS), self._pylsl.IRREGULAR_RATE, "float32", f"facestream-tracker-{self._name}"
        )
        description = info.desc()
        channels = description.append_child("channels")
        for label, unit in CHANNELS:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", unit)
            channel.append_child_value("type", "ARKit" if label in ARKIT_NAMES else "Pose")
        acquisition = description.append_child("acquisition")
        acquisition.append_child_value("manufacturer", "facestream-tracker")
        acquisition.append_child_value("nominal_source_rate", f"{float(frame.rate):.6g}")
        acquisition.append_child_value("image_size", f"{frame.result.camera.width}x{frame.result.camera.height}")
        acquisition.append_child_value("axes", "camera: x right, y down, z forward")
        return info


def sample(frame: BridgeFrame) -> list[float]:
    """The values of ``CHANNELS``."""
    main = frame.main if frame.tracked else None
    if main is None:
        return [math.nan] * (len(CHANNELS) - 2) + [0.0, 0.0]
    return [*_values(main), 1.0, main.face.confidence]


def capture_time_s(result: FrameResult, now_s: float) -> float:
    """When the frame was captured on the clock that says ``now_s`` now."""
    ages_s = [(time.time_ns() - result.t_unix_ns) * 1e-9]
    if result.clock == "CLOCK_MONOTONIC":
        ages_s.insert(0, (time.monotonic_ns() - result.t_capture_ns) * 1e-9)
    # Another machine's monotonic clock began at another time, and Unix clocks can be wrong: then it came just now.
    return now_s - next((age for age in ages_s if -0.5 <= age <= _OLDEST_S), 0.0)


def _values(main: BridgeFace) -> list[float]:
    face = main.face
    angles = (*yaw_pitch_roll(main.rotation), *face.gaze_left.tolist(), *face.gaze_right.tolist())
    return [
        *face.arkit.tolist(),
        *face.position.tolist(),
        *face.quaternion.tolist(),
        *(math.degrees(angle) for angle in angles),
    ]
