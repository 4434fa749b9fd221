"""What a face does at one moment, and over a take; the same for the live stream and for files."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arkit import ARKIT_NAMES, mirrored_order

Float32 = NDArray[np.float32]
NANOSECONDS = 1_000_000_000


class TakeError(Exception):
    """A take that cannot be used, in a line."""


@dataclass(frozen=True)
class Sample:
    """One face in one frame."""

    arkit: Float32
    """(52,) in the order of ``ARKIT_NAMES``, 0..1."""
    quaternion: Float32
    """(4,) xyzw, head axes to camera axes."""
    position: Float32
    """(3,) metres, head origin in camera axes."""
    gaze: Float32
    """(2, 2) yaw, pitch of the left, the right eye, radians relative to the head."""

    def mirrored(self) -> Sample:
        """The face as a mirror shows it: left and right change places."""
        x, y, z, w = self.quaternion
        return Sample(
            self.arkit[mirrored_order()],
            # Both bases flip x, so a turn keeps its x and changes the sign of y and z.
            np.array([x, -y, -z, w], np.float32),
            self.position * np.array([-1, 1, 1], np.float32),
            self.gaze[::-1] * np.array([-1, 1], np.float32),
        )


@dataclass
class Clip:
    """A take: samples at their exact times."""

    name: str
    times: list[Fraction] = field(default_factory=list)
    """Seconds from the first frame of the take, growing."""
    samples: list[Sample] = field(default_factory=list)
    rate: Fraction | None = None
    """Frames a second of its source, where that is known."""
    identity: Float32 | None = None
    """The person's coefficients in the face model, where the file has them."""
    model: str = ""
    """Name of the face model."""


class Recorder:
    """Collects live frames. A restart of the tracker or a loop of a replay goes on after the real pause."""

    def __init__(self, name: str) -> None:
        self.clip = Clip(name)
        self._stream = ""
        self._base_ns = 0
        self._first_ns = 0
        self._last_ns = -1
        self._last_arrival_ns = 0

    def add(self, stream: str, t_capture_ns: int, arrival_ns: int, sample: Sample) -> None:
        """Add one face. ``arrival_ns`` is of the clock of this machine."""
        if stream != self._stream or t_capture_ns <= self._first_ns + self._last_ns - self._base_ns:
            pause = max(1, arrival_ns - self._last_arrival_ns)
            self._base_ns = 0 if self._last_ns < 0 else self._last_ns + pause
            self._stream, self._first_ns = stream, t_capture_ns
        self._last_ns = self._base_ns + t_capture_ns - self._first_ns
        self._last_arrival_ns = arrival_ns
        self.clip.times.append(Fraction(self._last_ns, NANOSECONDS))
        self.clip.samples.append(sample)


def scene_rate(fps: int, fps_base: float) -> Fraction:
    """Blender's two numbers as an exact rate: 30 and 1.001 are 30000/1001."""
    return Fraction(fps) / Fraction(fps_base).limit_denominator(10000)


def key_frames(times: list[Fraction], rate: Fraction, start: int) -> NDArray[np.float64]:
    """(T,) scene frames of exact times; fractions where the take's frames do not fall on the scene's."""
    return np.array([float(start + time * rate) for time in times], np.float64)


def read_take(path: Path, face: int = 0) -> Clip:
    """Read a take (.npz, docs/takes.md of the tracker). Frames without the face are left out.

    Args:
        path: the file.
        face: which slot; with one face at a time everything is in slot 0.

    Raises:
        TakeError: the file is missing, damaged, of another version, or has no such face.
    """
    prefix = f"slot{face}_" if face else ""
    wanted = ("arkit", "quaternion", "position", "gaze_left", "gaze_right", "face_id", "shape")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "meta_json" not in archive.files:
                raise TakeError(f"{path.name} is no take of the tracker: it has no meta_json")
            meta: dict[str, Any] = json.loads(str(archive["meta_json"]))
            if meta.get("format") != "face-take" or meta.get("version") != 1:
                raise TakeError(
                    f"{path.name} is a take of {meta.get('format')} {meta.get('version')}; this add-on reads face-take 1"
                )
            slots = int(meta["slots"])
            if not 0 <= face < slots:
                raise TakeError(f"{path.name} has {slots} face(s): choose 0 to {slots - 1}, not {face}")
            columns = {key: archive[prefix + key] for key in wanted}
            pts, times_ns = archive["pts"], archive["timestamps_ns"]
    except OSError as error:
        raise TakeError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise TakeError(f"{path.name} cannot be read as a take ({error})") from error
    _check(path, columns, len(times_ns))
    if len(times_ns) == 0:
        raise TakeError(f"{path.name} has no frames")
    exact = [Fraction(int(n), int(d)) for n, d in pts] if (pts[:, 1] > 0).all() else _from_ns(times_ns)
    rows = np.flatnonzero(columns["face_id"] >= 0)
    if rows.size == 0:
        raise TakeError(f"{path.name} shows nobody in any of its {len(exact)} frames")
    gaze = np.stack([columns["gaze_left"], columns["gaze_right"]], axis=1).astype(np.float32)
    return Clip(
        name=path.stem,
        times=[exact[row] - exact[0] for row in rows],
        samples=[
            Sample(
                columns["arkit"][row].astype(np.float32),
                columns["quaternion"][row].astype(np.float32),
                columns["position"][row].astype(np.float32),
                gaze[row],
            )
            for row in rows
        ],
        rate=Fraction(*meta["rate"]) if meta.get("rate") else None,
        identity=columns["shape"].astype(np.float32),
        model=str(meta.get("model", {}).get("name", "")),
    )


def _from_ns(times_ns: NDArray[np.int64]) -> list[Fraction]:
    return [Fraction(int(time), NANOSECONDS) for time in times_ns]


def _check(path: Path, columns: dict[str, NDArray[Any]], count: int) -> None:
    sizes = {"arkit": (len(ARKIT_NAMES),), "quaternion": (4,), "position": (3,), "gaze_left": (2,), "gaze_right": (2,)}
    for key, shape in (sizes | {"face_id": ()}).items():
        if columns[key].shape != (count, *shape):
            raise TakeError(f"{path.name}: '{key}' should have shape {(count, *shape)}, got {columns[key].shape}")
        if not np.isfinite(columns[key]).all():
            raise TakeError(f"{path.name}: '{key}' holds NaN or infinity")
